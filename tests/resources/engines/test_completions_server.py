"""A completions server over HTTP: equal to its engine, patient with what passes, exact about what it is told."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ta_assets.core.campaign.records import FinishReason, Outcome
from ta_assets.core.campaign.stopping import StoppingRule
from ta_assets.core.errors import InputError
from ta_resources.campaigns.parts import Parts
from ta_resources.campaigns.run import run_trace
from ta_resources.campaigns.source import Source
from ta_resources.engines.completions_server import CompletionsServer, ServerOptions
from ta_resources.engines.protocol import EngineUnavailableError
from ta_resources.engines.scripted import ScriptedEngine
from tests.resources.campaigns.made import PROMPT, SAMPLING, judgement, task, tree
from tests.resources.engines.stand_in_server import StandInServer

SCRIPTED = ScriptedEngine(tree())
PREFIX = SCRIPTED.encode(PROMPT)


class Characters:
    """The scripted engine's tokens as a tokenizer."""

    def encode(self, text: str) -> tuple[Any, None]:
        import numpy as np

        return np.array(SCRIPTED.encode(text)), None

    def decode(self, token_ids, *, special: bool = True) -> str:
        return SCRIPTED.decode(token_ids)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[StandInServer]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with StandInServer(SCRIPTED) as made:
        yield made


def client(server: StandInServer, **options: Any) -> CompletionsServer:
    settings: dict[str, Any] = {"first_wait_seconds": 0.01, "attempts": 4, **options}
    return CompletionsServer(ServerOptions(server.address, "made", **settings), Characters(), {"revision": "1"})  # type: ignore[arg-type]


@pytest.mark.parametrize("ids", ["token_ids", "tokens"])
@pytest.mark.parametrize("with_end", [True, False])
@pytest.mark.parametrize("prompt", ["tokens", "text"])
def test_what_the_server_gives_is_what_its_engine_gives(server: StandInServer, ids, with_end, prompt) -> None:
    server.ids, server.with_end = ids, with_end
    seeds = range(100, 112)
    assert client(server, prompt=prompt).sample(PREFIX, seeds, SAMPLING) == SCRIPTED.sample(PREFIX, seeds, SAMPLING)
    assert sorted(one["seed"] for one in server.requests) == [*seeds]


def test_a_server_that_tells_no_ids_gives_texts_whose_tokens_nobody_knows(server: StandInServer) -> None:
    server.ids = None
    (one,), (known,) = client(server).sample(PREFIX, [5], SAMPLING), SCRIPTED.sample(PREFIX, [5], SAMPLING)
    assert (one.token_ids, one.text, one.generated_tokens) == ((), known.text, known.generated_tokens)


def test_ids_among_the_logprobs_count_as_well(server: StandInServer) -> None:
    server.ids = None
    known = SCRIPTED.sample(PREFIX, [5], SAMPLING)
    content = [{"id": one, "token": chr(one)} for one in known[0].token_ids]
    server.change = _choice(logprobs={"content": content})
    assert client(server).sample(PREFIX, [5], SAMPLING) == known


def test_what_a_server_would_do_by_itself_is_switched_off(server: StandInServer) -> None:
    client(server).sample(PREFIX, [5], SAMPLING)
    sent = server.requests[0]
    assert (sent["top_k"], sent["min_p"], sent["repetition_penalty"]) == (-1, 0, 1)
    assert (sent["temperature"], sent["top_p"], sent["n"]) == (SAMPLING.temperature, SAMPLING.top_p, 1)


def test_what_passes_is_waited_for_with_the_same_seed(server: StandInServer) -> None:
    faults = {1: 429, 2: 500, 3: (503, {"Retry-After": "0"})}
    server.fault = lambda request, number: faults.get(number)
    assert client(server).sample(PREFIX, [9], SAMPLING) == SCRIPTED.sample(PREFIX, [9], SAMPLING)
    assert [one["seed"] for one in server.requests] == [9] * 4


def test_a_wish_to_be_asked_later_is_kept(server: StandInServer) -> None:
    server.fault = lambda request, number: (429, {"Retry-After": "1"}) if number == 1 else None
    begun = time.monotonic()
    client(server).sample(PREFIX, [9], SAMPLING)
    assert time.monotonic() - begun >= 1


@pytest.mark.parametrize("fault", [500, 429, 0])
def test_a_server_that_stays_away_is_gone_and_nothing_is_recorded(server: StandInServer, tmp_path: Path, fault) -> None:
    server.fault = lambda request, number: fault
    engine = client(server, attempts=2)
    store = Source(Parts(tmp_path), dict(engine.identity()), SAMPLING, engine)
    with pytest.raises(EngineUnavailableError, match="tried 2 times"):
        run_trace(store, task(SCRIPTED), StoppingRule(rollouts=4, batch=4), judgement(SCRIPTED))
    assert store.parts.files() == []


def test_nobody_listening_is_gone_too() -> None:
    options = ServerOptions("http://127.0.0.1:9", "made", attempts=2, first_wait_seconds=0.01)
    with pytest.raises(EngineUnavailableError, match="tried 2 times"):
        CompletionsServer(options, Characters(), {}).sample(PREFIX, [1], SAMPLING)  # type: ignore[arg-type]


@pytest.mark.parametrize("status", [401, 403, 404])
def test_a_server_that_does_not_serve_the_model_is_an_input_fault(server: StandInServer, status: int) -> None:
    server.fault = lambda request, number: status
    with pytest.raises(InputError, match=f"HTTP {status}"):
        client(server).sample(PREFIX, [1], SAMPLING)
    assert len(server.requests) == 1


def _usage(**changes: int):
    return lambda answer: {**answer, "usage": {**answer["usage"], **changes}}


def _choice(**changes: object):
    return lambda answer: {**answer, "choices": [{**answer["choices"][0], **changes}]}


@pytest.mark.parametrize(
    ("change", "error"),
    [
        (_usage(prompt_tokens=len(PREFIX) + 1), "it read"),
        (_usage(completion_tokens=3), "it counts 3 tokens"),
        (_usage(completion_tokens=10**9), "it counts 1000000000"),
        (_choice(token_ids=None, finish_reason="length"), "cut off"),
        (_choice(text="Another text."), "not that of its tokens"),
        (_choice(finish_reason="content_filter"), "content_filter"),
        (_choice(finish_reason=None), "None"),
        (lambda answer: {"choices": []}, "an answer that is none"),
        (lambda answer: {**answer, "usage": None}, "an answer that is none"),
        (lambda answer: [], "an answer that is none"),
    ],
)
def test_a_server_that_lies_about_its_tokens_is_recorded_as_failed(server: StandInServer, change, error: str) -> None:
    server.change = change
    (one,) = client(server).sample(PREFIX, [5], SAMPLING)
    assert (one.finish_reason, one.text, one.token_ids) == (FinishReason.ERROR, "", ())
    assert error in one.error


@pytest.mark.parametrize(("fault", "error"), [(400, "HTTP 400"), (302, "HTTP 302"), (b"<html>", "no JSON")])
def test_a_request_that_is_refused_is_recorded_and_not_asked_again(server: StandInServer, fault, error: str) -> None:
    server.fault = lambda request, number: fault
    (one,) = client(server).sample(PREFIX, [5], SAMPLING)
    assert error in one.error
    assert len(server.requests) == 1


def test_a_rollout_that_takes_too_long_is_an_engine_error_and_not_drawn_again(
    server: StandInServer, tmp_path: Path
) -> None:
    engine = client(server, read_seconds=0.3)
    it, slow = task(SCRIPTED), {}

    def fault(request: dict[str, Any], number: int) -> None:
        if number == 3:
            slow["seed"] = request["seed"]
        if request["seed"] == slow.get("seed"):
            time.sleep(1)

    server.fault = fault
    store = Source(Parts(tmp_path), dict(engine.identity()), SAMPLING, engine)
    result = run_trace(store, it, StoppingRule(rollouts=6, batch=6), judgement(SCRIPTED))
    outcomes = {one.seed: one.outcome for own in result.rollouts.values() for one in own}
    assert outcomes[slow["seed"]] == Outcome.ENGINE_ERROR
    assert [*outcomes.values()].count(Outcome.ENGINE_ERROR) == 1
    assert [one["seed"] for one in server.requests].count(slow["seed"]) == 1


def test_batches_are_asked_for_at_once_and_never_more_requests_than_allowed(
    server: StandInServer, tmp_path: Path
) -> None:
    running, most, lock = 0, 0, threading.Lock()

    def fault(request: dict[str, Any], number: int) -> None:
        nonlocal running, most
        with lock:
            running, most = running + 1, max(most, running + 1)
        time.sleep(0.02)
        with lock:
            running -= 1

    server.fault = fault
    engine = client(server, concurrency=6)
    store = Source(Parts(tmp_path / "server"), dict(engine.identity()), SAMPLING, engine)
    rule = StoppingRule(rollouts=6, batch=2)
    result = run_trace(store, task(SCRIPTED), rule, judgement(SCRIPTED))
    assert 3 <= most <= 6
    alone = Source(Parts(tmp_path / "alone"), dict(engine.identity()), SAMPLING, SCRIPTED)
    assert run_trace(alone, task(SCRIPTED), rule, judgement(SCRIPTED)).labels() == result.labels()


def test_an_empty_text_is_a_rollout_without_an_answer(server: StandInServer, tmp_path: Path) -> None:
    server.ids = None
    server.change = lambda answer: _choice(text="")(_usage(completion_tokens=1)(answer))
    engine = client(server)
    store = Source(Parts(tmp_path), dict(engine.identity()), SAMPLING, engine)
    result = run_trace(store, task(SCRIPTED), StoppingRule(rollouts=2, batch=2), judgement(SCRIPTED))
    assert {one.outcome for own in result.rollouts.values() for one in own} == {Outcome.NO_ANSWER}


@pytest.mark.parametrize("address", ["127.0.0.1:8000", "ftp://host", "http://name:secret@host", ""])
def test_an_address_that_is_none_is_refused_without_showing_a_secret(address: str) -> None:
    with pytest.raises(InputError, match="http://host:port") as caught:
        CompletionsServer(ServerOptions(address, "made"), Characters(), {})  # type: ignore[arg-type]
    assert "secret" not in str(caught.value)


def test_the_key_goes_into_no_identity(server: StandInServer) -> None:
    engine = client(server, key="hf_secret", extra={"top_k": 5})
    engine.sample(PREFIX, [1], SAMPLING)
    assert "secret" not in str(engine.identity())
    assert server.address not in str(engine.identity())
    assert server.requests[0]["top_k"] == 5
