"""The Hub path against a real HTTP server on this machine that fails as networks fail."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from email.utils import formatdate
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from huggingface_hub import constants

from ta_assets.core.errors import InputError
from ta_assets.core.values import CorpusSource
from ta_resources.hub_client import HubClient, HubFailedError, RetryPolicy, wait_asked_for
from ta_resources.rollouts.resource import RolloutsResource

if TYPE_CHECKING:
    from tests.resources.hub_stand_in import HubStandIn

NewRollouts = Callable[..., RolloutsResource]


def load_all(rollouts: RolloutsResource, corpus: CorpusSource) -> list[str]:
    ids = rollouts.list_problem_ids(corpus)
    return [problem.sentences[0] for problem in rollouts.load_problems(corpus, ids)]


WHOLE = [f"Sentence 0 of problem {problem_id}." for problem_id in (2, 10, 33)]


@pytest.mark.parametrize("part", ["/revision/", "/tree/", "problem_10/chunks_labeled.json"])
@pytest.mark.parametrize(
    ("kind", "details"),
    [
        ("reset", {}),
        ("status", {"status": 503}),
        ("status", {"status": 429}),
        ("status", {"status": 408}),
        ("truncated", {}),
    ],
)
def test_a_passing_failure_is_outlived(
    hub: HubStandIn, hub_corpus: CorpusSource, rollouts: RolloutsResource, part: str, kind: str, details: dict[str, Any]
) -> None:
    hub.fail(part, kind, times=2, **details)
    assert load_all(rollouts, hub_corpus) == WHOLE
    assert len(hub.requests) == 11 + 2


@pytest.mark.parametrize("part", ["/revision/", "/tree/", "problem_10/chunks_labeled.json"])
def test_a_silent_server_is_asked_again_after_the_timeout(
    hub: HubStandIn, hub_corpus: CorpusSource, new_rollouts: NewRollouts, part: str
) -> None:
    hub.fail(part, "silent")
    assert load_all(new_rollouts(timeout=0.3), hub_corpus) == WHOLE


@pytest.mark.parametrize("headers", [{"Retry-After": "1"}, {"RateLimit": '"api";r=0;t=1'}])
def test_a_rate_limit_is_waited_for_as_long_as_it_says(
    hub: HubStandIn, hub_corpus: CorpusSource, rollouts: RolloutsResource, headers: dict[str, str]
) -> None:
    hub.fail("/tree/", "status", status=429, headers=headers)
    started = time.monotonic()
    assert rollouts.list_problem_ids(hub_corpus) == [2, 10, 33]
    assert time.monotonic() - started >= 1


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"Retry-After": " 7 "}, 7),
        ({"Retry-After": "Thu, 01 Jan 1970 00:00:00 GMT"}, 0),
        ({"Retry-After": "soon"}, 0),
        ({"Retry-After": ""}, 0),
        ({"RateLimit": '"api";r=3;t=55'}, 0),
        ({"RateLimit": '"resolvers";r=0;t=55'}, 55),
        ({}, 0),
    ],
)
def test_the_wait_that_a_server_asks_for_is_read(headers: dict[str, str], seconds: float) -> None:
    assert wait_asked_for(headers) == seconds


def test_a_date_to_come_back_at_is_read() -> None:
    assert 50 <= wait_asked_for({"Retry-After": formatdate(time.time() + 60, usegmt=True)}) <= 61


@pytest.mark.parametrize("kind", ["corrupted", "unframed"])
def test_a_wrong_content_is_fetched_anew_once(
    hub: HubStandIn, hub_corpus: CorpusSource, rollouts: RolloutsResource, kind: str
) -> None:
    hub.fail("problem_10/problem.json", kind)
    assert load_all(rollouts, hub_corpus) == WHOLE
    assert len(hub.paths("problem_10/problem.json")) == 2


def test_a_content_that_stays_wrong_is_an_error_and_is_not_kept(
    hub: HubStandIn, hub_corpus: CorpusSource, new_rollouts: NewRollouts, tmp_path: Path
) -> None:
    hub.fail("problem_10/problem.json", "corrupted", times=2)
    with pytest.raises(HubFailedError, match=r"problem_10/problem\.json: its content differed .* 2 downloads"):
        new_rollouts().load_problem(hub_corpus, 10)
    assert not list(tmp_path.rglob("problem_10/problem.json"))
    assert new_rollouts().load_problem(hub_corpus, 10).problem_id == 10


def test_a_hash_that_only_head_tells_is_asked_for(
    hub: HubStandIn, hub_corpus: CorpusSource, rollouts: RolloutsResource
) -> None:
    hub.headerless_get = True
    hub.fail("problem_2/problem.json", "corrupted")
    rollouts.load_problem(hub_corpus, 2)
    assert len(hub.paths("problem_2/problem.json", method="GET")) == 2


def test_a_large_file_is_verified_and_its_storage_never_sees_the_token(
    hub: HubStandIn,
    hub_corpus: CorpusSource,
    rollouts: RolloutsResource,
    new_hub: Callable[..., HubStandIn],
    monkeypatch: pytest.MonkeyPatch,
    prefix: str,
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    hub.large = {f"{prefix}/problem_10/chunks_labeled.json"}
    with new_hub() as storage:
        hub.storage = storage.endpoint.replace("127.0.0.1", "localhost")
        storage.fail("/storage/", "corrupted")
        assert load_all(rollouts, hub_corpus) == WHOLE
        assert len(storage.paths("/storage/")) == 2
        assert all("authorization" not in {name.lower() for name in seen.headers} for seen in storage.requests)
    assert all(seen.headers["authorization"] == "Bearer hf_secret" for seen in hub.requests)


def test_after_the_last_attempt_the_error_says_what_how_often_and_what_stays(
    hub: HubStandIn, hub_corpus: CorpusSource, new_rollouts: NewRollouts, tmp_path: Path
) -> None:
    new_rollouts().load_problem(hub_corpus, 2)
    hub.fail("problem_10/base_solution.json", "status", status=503, times=3)
    with pytest.raises(HubFailedError) as caught:
        load_all(new_rollouts(attempts=3), hub_corpus)
    for part in ("problem_10/base_solution.json", "tried 3 times", "HTTP 503", "stays in", str(tmp_path)):
        assert part in str(caught.value)
    assert len(hub.paths("problem_10/base_solution.json")) == 3
    fetched = len(hub.paths("problem_2/"))
    assert load_all(new_rollouts(), hub_corpus) == WHOLE
    assert len(hub.paths("problem_2/")) == fetched


def test_a_dead_server_and_an_empty_disk_are_an_error(
    hub: HubStandIn, hub_corpus: CorpusSource, new_rollouts: NewRollouts
) -> None:
    hub.die()
    with pytest.raises(HubFailedError, match=r"commit of dataset someone/rollouts .* tried 2 times"):
        new_rollouts(attempts=2).list_problem_ids(hub_corpus)


@pytest.mark.parametrize(
    "refusal",
    [
        ("/revision/", 401, "repo_id", "HF_TOKEN"),
        ("/tree/", 403, "repo_id", "HF_TOKEN"),
        ("/tree/", 404, "prefix", "a folder of the dataset"),
        ("problem_2/problem.json", 404, "file", "a file that can be downloaded"),
        ("problem_2/problem.json", 403, "repo_id", "HF_TOKEN"),
    ],
)
def test_a_refusal_is_told_at_once_and_not_retried(
    hub: HubStandIn, hub_corpus: CorpusSource, rollouts: RolloutsResource, refusal: tuple[str, int, str, str]
) -> None:
    part, status, field, advice = refusal
    hub.fail(part, "status", status=status, times=9)
    with pytest.raises(InputError) as caught:
        rollouts.load_problem(hub_corpus, 2)
    assert caught.value.field == field
    for text in (hub.repo_id, hub_corpus.prefix, "revision main", advice):
        assert text in str(caught.value)
    assert len(hub.paths(part)) == 1


def test_an_answer_that_is_no_json_names_the_address(
    hub: HubStandIn, hub_corpus: CorpusSource, rollouts: RolloutsResource
) -> None:
    hub.fail("/revision/", "status", status=200)
    with pytest.raises(InputError, match=r"/revision/main.*answer: found 'no', expected JSON from a Hub"):
        rollouts.list_problem_ids(hub_corpus)


def test_the_token_is_sent_but_never_told(
    hub: HubStandIn,
    hub_corpus: CorpusSource,
    new_rollouts: NewRollouts,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    hub.fail("/tree/", "reset", times=9)
    with caplog.at_level(logging.DEBUG), pytest.raises(HubFailedError) as caught:
        new_rollouts(attempts=2).list_problem_ids(hub_corpus)
    assert hub.requests[0].headers["authorization"] == "Bearer hf_secret"
    told = caplog.text + "".join(str(error) for error in (caught.value, caught.value.__cause__))
    assert "attempt 1 of 2" in told
    assert "hf_secret" not in told


@pytest.mark.parametrize(
    "endpoint",
    [
        "http://me:s3cret@hub.example.org",
        "https://s3cret@hub.example.org/mirror",
        "ftp://me:s3cret@hub.example.org",
        "me:s3cret@hub.example.org",
        "http://me:s3c@ret@hub.example.org",
        "http://[me:s3cret@hub.example.org",
    ],
)
@pytest.mark.parametrize("by_variable", [True, False])
def test_an_endpoint_with_a_password_is_refused_and_not_shown(
    monkeypatch: pytest.MonkeyPatch, endpoint: str, *, by_variable: bool
) -> None:
    if by_variable:
        monkeypatch.setattr(constants, "ENDPOINT", endpoint)
    with pytest.raises(InputError, match=r"endpoint: found '…@hub\.example\.org.*HF_ENDPOINT.*HF_TOKEN") as caught:
        HubClient(None if by_variable else endpoint, RetryPolicy())
    for secret in ("s3c", "ret@", "me:"):
        assert secret not in str(caught.value)


@pytest.mark.parametrize("endpoint", ["hub.example.org", "ftp://hub.example.org", "https://", "http://[::1"])
def test_an_endpoint_that_is_no_address_is_refused(endpoint: str) -> None:
    with pytest.raises(InputError, match=r"Hub: endpoint: found .*https://"):
        HubClient(endpoint, RetryPolicy())


@pytest.mark.parametrize("endpoint", ["https://hub.example.org/", "http://127.0.0.1:80", "https://a.example/hub/@b"])
def test_an_address_is_an_endpoint(endpoint: str) -> None:
    assert HubClient(endpoint, RetryPolicy()).endpoint == endpoint.rstrip("/")
