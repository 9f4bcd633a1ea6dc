"""A campaign over a tree whose importances are known: accounts, resumption, stopping, budget, several processes."""

from __future__ import annotations

import json
import multiprocessing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ta_assets.core.campaign.accounting import Tally
from ta_assets.core.campaign.records import Outcome, Sampling
from ta_assets.core.campaign.seeds import BASE_TRIES, seed_of
from ta_assets.core.campaign.stopping import StoppingRule
from ta_assets.core.errors import InputError
from ta_resources.campaigns.parts import Parts
from ta_resources.campaigns.run import base_draws, run_trace
from ta_resources.campaigns.source import BudgetSpentError, MissingRolloutsError, Source
from ta_resources.engines.protocol import EngineUnavailableError
from ta_resources.engines.scripted import FAILURES, ScriptedEngine
from tests.resources.campaigns.made import PROMPT, STEPS, judgement, source, task, tree, truths

UNIFORM = StoppingRule(rollouts=60, batch=20)
ADAPTIVE = StoppingRule(kind="threshold", rollouts=120, first=40, batch=20)


@pytest.fixture(scope="module")
def engine() -> ScriptedEngine:
    return ScriptedEngine(tree())


@pytest.mark.parametrize("rule", [UNIFORM, ADAPTIVE], ids=["uniform", "threshold"])
def test_labels_follow_from_the_parts_alone(engine, tmp_path: Path, rule: StoppingRule) -> None:
    made = run_trace(source(tmp_path, engine), task(engine), rule, judgement(engine)).labels()
    again = run_trace(source(tmp_path, engine, reading=True), task(engine), rule, judgement(engine)).labels()
    assert json.dumps(made) == json.dumps(again)
    assert all("interval" in one for one in made[:-1])


def test_a_campaign_that_was_interrupted_gives_the_same_labels(engine, tmp_path: Path) -> None:
    whole = run_trace(source(tmp_path / "whole", engine), task(engine), ADAPTIVE, judgement(engine))
    for budget in range(1, 40):
        try:
            parted = run_trace(
                source(tmp_path / "parted", engine, budget=budget * 700), task(engine), ADAPTIVE, judgement(engine)
            )
            break
        except BudgetSpentError:
            continue
    else:
        pytest.fail("it never came to an end")
    assert budget > 3
    assert parted.labels() == whole.labels()


def test_more_rollouts_in_the_store_change_no_label(engine, tmp_path: Path) -> None:
    few = run_trace(source(tmp_path, engine), task(engine), UNIFORM, judgement(engine)).labels()
    more = UNIFORM.model_copy(update={"rollouts": 100})
    assert run_trace(source(tmp_path, engine), task(engine), more, judgement(engine)).labels() != few
    assert run_trace(source(tmp_path, engine), task(engine), UNIFORM, judgement(engine)).labels() == few


def test_six_kinds_of_failure_leave_every_rollout_with_one_outcome(tmp_path: Path) -> None:
    clean = ScriptedEngine(tree())
    it, store = task(clean), source(tmp_path, clean)
    seeds = [seed_of(store.key(it.trace.prefix(place)), number) for place in it.prefixes for number in range(60)]
    planned = dict(zip(seeds[::7], FAILURES * len(seeds), strict=False))
    engine = ScriptedEngine(tree(), planned)
    while True:
        try:
            result = run_trace(source(tmp_path, engine), it, UNIFORM, judgement(engine))
            break
        except EngineUnavailableError:
            continue  # nothing was recorded, and the engine is back
    outcomes = {one.seed: one.outcome for own in result.rollouts.values() for one in own}
    assert len(outcomes) == 60 * len(it.prefixes)
    expected = {
        "timeout": {Outcome.ENGINE_ERROR},
        "refused": {Outcome.ENGINE_ERROR},
        "too_many_tokens": {Outcome.ENGINE_ERROR},
        "empty": {Outcome.NO_ANSWER},
        "endless": {Outcome.TRUNCATED, Outcome.RIGHT, Outcome.WRONG},
        "unavailable": set(Outcome),
    }
    assert all(outcomes[seed] in expected[failure] for seed, failure in planned.items())
    assert sum(Tally.of(one.outcome for one in own).total for own in result.rollouts.values()) == len(outcomes)
    true = {place: accuracy for place, (_, accuracy) in enumerate(truths(engine))}
    for place, entry in enumerate(result.labels()[:-1]):
        assert sum(entry["outcomes"].values()) == 60 + entry["reused"]
        low, high = entry["accuracy_bounds"]
        assert low - 0.15 < true[place] < high + 0.15


def test_an_engine_that_fails_at_every_rollout_is_gone_and_records_nothing(tmp_path: Path) -> None:
    clean = ScriptedEngine(tree())
    it, store = task(clean), source(tmp_path, clean)
    seeds = [seed_of(store.key(it.trace.prefix(0)), number) for number in range(20)]
    engine = ScriptedEngine(tree(), dict.fromkeys(seeds, "refused"))
    with pytest.raises(EngineUnavailableError, match="every one of 20"):
        run_trace(source(tmp_path, engine), it, UNIFORM, judgement(engine))
    assert store.parts.files() == []


def test_reuse_adds_draws_for_no_token_and_the_estimates_stay_at_the_truth(engine, tmp_path: Path) -> None:
    rule = StoppingRule(rollouts=400, batch=400)
    run = source(tmp_path, engine)
    result = run_trace(run, task(engine), rule, judgement(engine))
    sampled = sum(len(own) for own in result.rollouts.values())
    draws = sum(len(own) for own in result.draws.values())
    assert draws >= 1.2 * sampled
    for place, (entry, (importance, accuracy)) in enumerate(zip(result.labels(), truths(engine), strict=False)):
        assert entry["reused"] == len(result.draws[place]) - 400
        assert entry["accuracy"] == pytest.approx(accuracy, abs=0.1)
        assert entry["counterfactual_importance_accuracy"] == pytest.approx(importance, abs=0.2)
        low, high = entry["interval"]
        assert low < high


def test_a_sample_of_sentences_samples_their_prefixes_and_the_next_ones_alone(engine, tmp_path: Path) -> None:
    it = task(engine, labelled=(1, 4))
    assert it.prefixes == (1, 2, 4)
    entries = run_trace(source(tmp_path, engine), it, UNIFORM, judgement(engine)).labels()
    importances = [one.get("counterfactual_importance_accuracy") for one in entries]
    assert importances[1] is not None
    assert [importances[place] for place in (0, 2, 3)] == [None] * 3
    adaptive = run_trace(source(tmp_path, engine), it, ADAPTIVE, judgement(engine)).labels()
    assert adaptive[1]["interval"][0] <= adaptive[1]["interval"][1]


def test_base_tries_are_no_rollouts_of_the_first_sentence(engine, tmp_path: Path) -> None:
    store = source(tmp_path, engine)
    tries = base_draws(store, engine.encode(PROMPT), 30, 20)
    assert [one.index for one in tries] == list(range(BASE_TRIES, BASE_TRIES + 30))
    result = run_trace(store, task(engine), UNIFORM, judgement(engine))
    assert not {one.seed for one in tries} & {one.seed for one in result.rollouts[0]}
    assert base_draws(source(tmp_path, engine, reading=True), engine.encode(PROMPT), 30, 20) == tries


def test_a_budget_is_kept_and_none_at_all_refused(engine, tmp_path: Path) -> None:
    store = source(tmp_path, engine, budget=5000)
    with pytest.raises(BudgetSpentError, match="of 5000"):
        run_trace(store, task(engine), StoppingRule(rollouts=1000, batch=10), judgement(engine))
    assert 5000 <= store.generated <= 5000 + 10 * 300
    for none in (0, -1):
        with pytest.raises(InputError, match="at least one token"):
            source(tmp_path, engine, budget=none)


def test_without_an_engine_what_is_missing_is_said(engine, tmp_path: Path) -> None:
    with pytest.raises(MissingRolloutsError, match="rollouts 0 to 19"):
        run_trace(source(tmp_path, engine, reading=True), task(engine), UNIFORM, judgement(engine))


def test_a_gold_answer_or_sentences_that_cannot_be_are_refused_before_any_token(engine, tmp_path: Path) -> None:
    store = source(tmp_path, engine)
    for wrong in (
        replace(task(engine), gold=" "),
        replace(task(engine), sentences=()),
        replace(task(engine), sentences=(9,)),
    ):
        with pytest.raises(InputError, match="made"):
            run_trace(store, wrong, UNIFORM, judgement(engine))
    assert store.generated == 0


def test_a_limit_that_a_prefix_fills_is_said_before_any_token(engine, tmp_path: Path) -> None:
    it = task(engine)
    limited = Sampling(max_total_tokens=it.trace.boundaries[-1])
    store = Source(Parts(tmp_path), dict(engine.identity()), limited, engine)
    with pytest.raises(InputError, match="has room"):
        run_trace(store, it, UNIFORM, judgement(engine))
    assert store.generated == 0


def _share(root: Path, started) -> None:
    engine = ScriptedEngine(tree())
    started.wait(30)
    run_trace(source(root, engine), task(engine), UNIFORM, judgement(engine))


def test_several_processes_share_a_store_and_sample_nothing_twice(engine, tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    started = context.Event()
    processes = [context.Process(target=_share, args=(tmp_path / "shared", started)) for _ in range(3)]
    for process in processes:
        process.start()
    started.set()
    for process in processes:
        process.join(60)
        assert process.exitcode == 0
    run_trace(source(tmp_path / "alone", engine), task(engine), UNIFORM, judgement(engine))
    assert source(tmp_path / "shared", engine).parts.files() == source(tmp_path / "alone", engine).parts.files()


def test_the_stopping_rule_spends_less_on_what_is_clear(engine, tmp_path: Path) -> None:
    result = run_trace(source(tmp_path, engine), task(engine), ADAPTIVE, judgement(engine))
    drawn = {place: len(own) for place, own in result.rollouts.items()}
    assert set(drawn) == set(range(len(STEPS)))
    assert min(drawn.values()) >= 40
    assert max(drawn.values()) <= 120
    assert result.stopped
    assert np.mean([*drawn.values()]) < 120
