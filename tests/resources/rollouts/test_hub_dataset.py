"""Which commit, problems and files are asked for, once, and what is kept; over a real HTTP server on this machine."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from huggingface_hub import constants

from ta_assets.core.errors import InputError
from ta_assets.core.values import CorpusSource
from ta_resources.hub_client import HubFailedError
from ta_resources.rollouts.problem_files import FILE_NAMES
from ta_resources.rollouts.resource import RolloutsResource

if TYPE_CHECKING:
    from tests.resources.hub_stand_in import HubStandIn

NewRollouts = Callable[..., RolloutsResource]


def load_all(rollouts: RolloutsResource, corpus: CorpusSource) -> list[str]:
    ids = rollouts.list_problem_ids(corpus)
    return [problem.sentences[0] for problem in rollouts.load_problems(corpus, ids)]


WHOLE = [f"Sentence 0 of problem {problem_id}." for problem_id in (2, 10, 33)]


def test_a_run_makes_one_listing_and_three_requests_per_problem(
    hub: HubStandIn, hub_corpus: CorpusSource, rollouts: RolloutsResource, prefix: str
) -> None:
    assert load_all(rollouts, hub_corpus) == WHOLE
    assert load_all(rollouts, hub_corpus) == WHOLE
    assert len(hub.paths("/revision/main")) == 1
    assert len(hub.paths("/tree/")) == 1
    assert "recursive=False" in hub.paths("/tree/")[0]
    wanted = [f"/datasets/{hub.repo_id}/resolve/{hub.commit}/{prefix}/problem_{i}" for i in (2, 10, 33)]
    assert sorted(hub.paths("/resolve/")) == sorted(f"{folder}/{name}" for folder in wanted for name in FILE_NAMES)
    assert len(hub.requests) == 1 + 1 + 9
    commit = {"repo_id": hub.repo_id, "prefix": prefix, "commit": hub.commit}
    assert rollouts.identity(hub_corpus) == commit
    assert len(hub.requests) == 1 + 1 + 9


def test_a_long_listing_is_followed_page_by_page(
    hub: HubStandIn, hub_corpus: CorpusSource, rollouts: RolloutsResource
) -> None:
    hub.page_size = 1
    assert rollouts.list_problem_ids(hub_corpus) == [2, 10, 33]
    assert len(hub.paths("/tree/")) == 4


@pytest.mark.parametrize("offline", [False, True])
def test_a_second_run_needs_no_server(
    hub: HubStandIn, hub_corpus: CorpusSource, new_rollouts: NewRollouts, offline: bool
) -> None:
    assert load_all(new_rollouts(), hub_corpus) == WHOLE
    before = len(hub.requests)
    assert load_all(new_rollouts(offline=offline), hub_corpus) == WHOLE
    hub.die()
    assert load_all(new_rollouts(offline=offline), hub_corpus) == WHOLE
    assert new_rollouts(offline=offline).identity(hub_corpus)["commit"] == hub.commit
    assert len(hub.requests) == before


def test_what_was_fetched_is_a_dataset_folder_of_its_own(
    hub: HubStandIn, hub_corpus: CorpusSource, rollouts: RolloutsResource, tmp_path: Path, prefix: str
) -> None:
    load_all(rollouts, hub_corpus)
    folder = tmp_path / "downloads" / "someone--rollouts" / hub.commit
    assert load_all(RolloutsResource(), CorpusSource(prefix=prefix, folder=str(folder))) == WHOLE
    assert not list((tmp_path / "downloads").rglob("*unfinished*"))


def test_offline_says_what_was_never_fetched(
    hub: HubStandIn, hub_corpus: CorpusSource, new_rollouts: NewRollouts
) -> None:
    with pytest.raises(InputError, match="run once with the network"):
        new_rollouts(offline=True).list_problem_ids(hub_corpus)
    new_rollouts().list_problem_ids(hub_corpus)
    before = len(hub.requests)
    with pytest.raises(InputError, match=r"problem_2.problem\.json.*run once with the network"):
        new_rollouts(offline=True).load_problem(hub_corpus, 2)
    assert len(hub.requests) == before


@pytest.mark.parametrize("part", ["/revision/", "/tree/"])
def test_a_refresh_that_the_hub_fails_goes_on_from_what_is_kept(
    hub: HubStandIn,
    hub_corpus: CorpusSource,
    new_rollouts: NewRollouts,
    caplog: pytest.LogCaptureFixture,
    part: str,
) -> None:
    assert load_all(new_rollouts(), hub_corpus) == WHOLE
    hub.fail(part, "status", status=503, times=2)
    with caplog.at_level(logging.WARNING):
        assert new_rollouts(attempts=2).list_problem_ids(hub_corpus, refresh=True) == [2, 10, 33]
    assert "going on with the listing kept" in caplog.text


def test_a_hub_that_fails_is_asked_once_a_revision_for_all_corpora_and_again_for_a_refresh(
    hub: HubStandIn, hub_corpus: CorpusSource, new_rollouts: NewRollouts, prefix: str
) -> None:
    hub.fail("/revision/", "status", status=503, times=2)
    other = CorpusSource(prefix=prefix.replace("correct", "incorrect"), repo_id=hub.repo_id)
    for corpus in (hub_corpus, other, hub_corpus):
        with pytest.raises(HubFailedError, match="tried 2 times"):
            new_rollouts(attempts=2).identity(corpus)
    assert len(hub.paths("/revision/")) == 2, "the attempts of one question"
    assert new_rollouts().list_problem_ids(hub_corpus, refresh=True) == [2, 10, 33]
    assert new_rollouts().identity(hub_corpus)["commit"] == hub.commit, "what failed is forgotten once it went well"


def test_a_revision_that_fails_keeps_no_other_one_from_being_asked(
    hub: HubStandIn, hub_corpus: CorpusSource, new_rollouts: NewRollouts, prefix: str
) -> None:
    hub.fail("/revision/", "status", status=503, times=1)
    with pytest.raises(HubFailedError):
        new_rollouts(attempts=1).identity(hub_corpus)
    pinned = CorpusSource(prefix=prefix, repo_id=hub.repo_id, revision=hub.commit)
    assert new_rollouts().identity(pinned)["commit"] == hub.commit


def test_only_a_refresh_moves_to_a_newer_commit(
    hub: HubStandIn, hub_corpus: CorpusSource, new_rollouts: NewRollouts, prefix: str
) -> None:
    rollouts = new_rollouts()
    first = hub.commit
    assert rollouts.list_problem_ids(hub_corpus) == [2, 10, 33]
    hub.commit = "b" * 40
    hub.files[f"{prefix}/problem_4/problem.json"] = b"{}"
    assert new_rollouts().list_problem_ids(hub_corpus) == [2, 10, 33]
    assert rollouts.identity(hub_corpus)["commit"] == first
    assert rollouts.list_problem_ids(hub_corpus, refresh=True) == [2, 4, 10, 33]
    assert new_rollouts().identity(hub_corpus)["commit"] == hub.commit


def test_corpora_of_one_revision_come_from_one_commit(
    hub: HubStandIn, hub_corpus: CorpusSource, new_rollouts: NewRollouts, prefix: str
) -> None:
    other = prefix.replace("correct", "incorrect")
    hub.files |= {path.replace(prefix, other): content for path, content in hub.files.items()}
    for corpus in (hub_corpus, CorpusSource(prefix=other, repo_id=hub.repo_id)):
        assert new_rollouts().identity(corpus)["commit"] == hub.commit
    assert len(hub.paths("/revision/")) == 1
    assert len(hub.paths("/tree/")) == 2


def test_a_pinned_commit_is_not_resolved(hub: HubStandIn, rollouts: RolloutsResource, prefix: str) -> None:
    pinned = CorpusSource(prefix=prefix, repo_id=hub.repo_id, revision=hub.commit)
    assert load_all(rollouts, pinned) == WHOLE
    assert hub.paths("/revision/") == []


def test_an_unknown_dataset_revision_or_prefix_is_named(
    hub: HubStandIn, rollouts: RolloutsResource, prefix: str
) -> None:
    for source, field in (
        (CorpusSource(prefix=prefix, repo_id="someone/else"), "repo_id"),
        (CorpusSource(prefix=prefix, repo_id=hub.repo_id, revision="v9"), "revision"),
        (CorpusSource(prefix="no/such", repo_id=hub.repo_id), "prefix"),
    ):
        with pytest.raises(InputError) as caught:
            rollouts.list_problem_ids(source)
        assert caught.value.field == field
    assert len(hub.requests) == 1 + 1 + 2


@pytest.mark.parametrize("path", ["{prefix}/..", "{prefix}/a/../../problem_1", "/etc/problem_1", "problem_1"])
def test_an_entry_that_would_leave_its_folder_is_refused(
    hub: HubStandIn, hub_corpus: CorpusSource, rollouts: RolloutsResource, path: str
) -> None:
    hub.extra_entries = [{"type": "directory", "path": path.format(prefix=hub_corpus.prefix)}]
    with pytest.raises(InputError, match="an entry directly below"):
        rollouts.list_problem_ids(hub_corpus)


@pytest.mark.parametrize("repo_id", ["a/b/c", "../up", "a--b/c", "a b", ""])
def test_a_name_that_is_no_dataset_is_refused(rollouts: RolloutsResource, prefix: str, repo_id: str) -> None:
    with pytest.raises(InputError, match="repo_id"):
        rollouts.list_problem_ids(CorpusSource(prefix=prefix, repo_id=repo_id))


def test_an_endpoint_that_is_no_address_is_refused(hub_corpus: CorpusSource, new_rollouts: NewRollouts) -> None:
    with pytest.raises(InputError, match="endpoint"):
        new_rollouts(endpoint="hub.example.org").list_problem_ids(hub_corpus)


def test_an_unlisted_problem_is_refused_without_a_request(
    hub: HubStandIn, hub_corpus: CorpusSource, rollouts: RolloutsResource
) -> None:
    with pytest.raises(InputError, match="a problem of the listing"):
        rollouts.load_problem(hub_corpus, 4)
    assert hub.paths("/resolve/") == []


@pytest.mark.parametrize("damage", [b"{", b"[]", b'{"commit": 3}', None])
def test_a_damaged_listing_on_disk_is_made_anew(
    hub: HubStandIn, hub_corpus: CorpusSource, new_rollouts: NewRollouts, tmp_path: Path, damage: bytes | None
) -> None:
    new_rollouts().list_problem_ids(hub_corpus)
    (path,) = tmp_path.rglob("listings/*.json")
    if damage is None:
        damage = json.dumps(json.loads(path.read_bytes()) | {"problem_ids": ["../.."]}).encode()
    path.write_bytes(damage)
    assert new_rollouts().list_problem_ids(hub_corpus) == [2, 10, 33]
    assert len(hub.paths("/tree/")) == 2


def test_the_switch_of_the_hub_library_means_offline(
    hub: HubStandIn, hub_corpus: CorpusSource, new_rollouts: NewRollouts, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert load_all(new_rollouts(), hub_corpus) == WHOLE
    before = len(hub.requests)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert load_all(new_rollouts(), hub_corpus) == WHOLE
    assert new_rollouts().list_problem_ids(hub_corpus, refresh=True) == [2, 10, 33]
    assert len(hub.requests) == before
