"""A real server: llama.cpp with SmolLM2 makes the rollouts of three problems, is killed and started again."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from ta_assets.core.campaign.grading import AnswerRule
from ta_assets.core.campaign.prefixes import cut_trace
from ta_assets.core.campaign.records import FinishReason, Sampling
from ta_assets.core.campaign.stopping import StoppingRule
from ta_resources.campaigns.grading_process import Graders
from ta_resources.campaigns.parts import Parts
from ta_resources.campaigns.run import Judgement, TraceTask, base_draws, different_text, run_trace
from ta_resources.campaigns.source import Source
from ta_resources.engines.completions_server import CompletionsServer, ServerOptions
from ta_resources.engines.protocol import EngineUnavailableError
from ta_resources.language_model.checkpoint.model_folder import LocalModelFolder
from ta_resources.language_model.tokenizing import TraceTokenizer
from tests.resources.engines.llama_cpp import LlamaCppServer, write_gguf

SAMPLING = Sampling(temperature=0.8, top_p=0.95, max_total_tokens=90)
RULE = StoppingRule(rollouts=4, batch=2)
QUESTIONS = ("What is 2 + 2?", "What is 7 - 4?", "How many legs has a dog?")
ANSWERS = ("4", "3", "4")

pytestmark = [pytest.mark.real_model, pytest.mark.slow]


@pytest.fixture(scope="module")
def folder() -> Path:
    named = os.environ.get("TA_SMOLLM2")
    if named is None:
        pytest.skip("TA_SMOLLM2 names no folder of SmolLM2")
    if importlib.util.find_spec("xllamacpp") is None or importlib.util.find_spec("gguf") is None:
        pytest.skip("the packages xllamacpp, which holds a llama.cpp server, and gguf are not installed")
    return Path(named)


@pytest.fixture(scope="module")
def server(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LlamaCppServer]:
    gguf = tmp_path_factory.mktemp("gguf") / "smollm2.gguf"
    write_gguf(folder, gguf)
    made = LlamaCppServer(gguf)
    made.start()
    yield made
    made.kill()


def prompt(question: str) -> str:
    return f"Question: {question} The answer is a number, in \\boxed{{}}.\nAnswer: First, let me think of it. "


def test_three_problems_over_http_with_a_kill_in_the_middle(
    server: LlamaCppServer, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    options = ServerOptions(
        server.address, "smollm2", concurrency=4, attempts=2, first_wait_seconds=0.1, extra={"logprobs": 1}
    )
    engine = CompletionsServer(options, TraceTokenizer.from_folder(LocalModelFolder(folder)), {"revision": "local"})
    store = Source(Parts(tmp_path), dict(engine.identity()), SAMPLING, engine)
    judgement = Judgement(Graders(AnswerRule(grader="exact", second=None)), different_text, engine.decode)
    tasks = []
    for question, gold in zip(QUESTIONS, ANSWERS, strict=True):
        ids = engine.encode(prompt(question))
        tries = [one.completion for one in base_draws(store, ids, 4, 2)]
        assert all(one.finish_reason != FinishReason.ERROR for one in tries)
        assert all(one.token_ids or not one.text for one in tries)
        longest = max(tries, key=lambda one: len(one.text))
        trace = cut_trace([*ids, *longest.token_ids], len(ids), engine.decode)
        tasks.append(TraceTask(question, trace, gold, False, tuple(range(min(3, len(trace.sentences))))))
    run_trace(store, tasks[0], RULE, judgement)
    before = store.parts.files()

    sampled = engine.sample

    def killed_at_the_second_batch(*arguments):
        monkeypatch.setattr(engine, "sample", killed)
        return sampled(*arguments)

    def killed(*arguments):
        server.kill()
        return sampled(*arguments)

    monkeypatch.setattr(engine, "sample", killed_at_the_second_batch)
    with pytest.raises(EngineUnavailableError):
        run_trace(store, tasks[1], RULE, judgement)
    middle = store.parts.files()
    assert len(middle) == len(before) + 1
    monkeypatch.setattr(engine, "sample", sampled)
    server.start()
    results = [run_trace(store, one, RULE, judgement) for one in tasks]
    after = store.parts.files()
    assert set(before) < set(middle) < set(after)
    for one, result in zip(tasks, results, strict=True):
        assert {place: len(own) for place, own in result.rollouts.items()} == dict.fromkeys(one.prefixes, RULE.rollouts)
        for own in result.rollouts.values():
            assert len({rollout.seed for rollout in own}) == RULE.rollouts
            assert all(rollout.completion.finish_reason != FinishReason.ERROR for rollout in own)
        again = run_trace(Source(store.parts, dict(engine.identity()), SAMPLING, None), one, RULE, judgement)
        assert again.labels() == result.labels()
