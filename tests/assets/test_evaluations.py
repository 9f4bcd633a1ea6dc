"""Every check on stored artifacts: quiet on a healthy world, red on a planted fault of its own kind."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ta_assets.assets.expected import without_cells
from ta_assets.assets.verdicts import VerdictConfig, make_report
from ta_assets.core.values import PooledProblem
from ta_assets.ledger.table import ASSETS, FACTS, Scope, partitions_of
from ta_assets.ledger.world import World
from ta_checks import gate
from ta_checks.checks import evaluate, judge
from ta_checks.evidence import Evidence
from ta_checks.invariant import Invariant
from ta_checks.table import INVARIANTS
from ta_checks.verdict import Verdict
from ta_resources.storage.shards import ShardStore, read_shard
from tests.assets.made import change, copy_of, materialized, verdict

CORPUS, CELL = "tiny_correct", "3|tiny_correct"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, tiny_model: Path, make_world: Callable) -> Iterator[World]:
    """A tiny study, made once; tests that plant faults work on a copy of its artifacts."""
    folder = tmp_path_factory.mktemp("made")
    world = make_world(folder, tiny_model)
    with materialized(world.study) as world:
        yield world


@pytest.fixture
def copied(made: World, tmp_path: Path) -> World:
    return copy_of(made, tmp_path)


def edit_vectors(world: World, edit: Callable[[np.ndarray, dict[int, np.ndarray]], np.ndarray]) -> None:
    """Rewrite every shard of the corpus as an extraction would have, with other vectors."""
    activations = world.store.load("activations", CORPUS)
    pooled = {problem: read_shard(world.store.files, shard) for problem, shard in activations.shards.items()}
    vectors = {problem: one.vectors for problem, one in pooled.items()}
    edit_shards(world, lambda one: dataclasses.replace(one, vectors=edit(one.vectors, vectors)))


def edit_shards(world: World, edit: Callable[[PooledProblem], PooledProblem]) -> None:
    """Rewrite every shard of the corpus."""
    activations = world.store.load("activations", CORPUS)
    shards = ShardStore(world.store.files, "f" * 64)
    for problem, stored in activations.shards.items():
        one = read_shard(world.store.files, stored)
        changed = edit(one)
        shard = shards.write(f"shards/planted/{problem}.safetensors", changed)
        activations.record["shards"][str(problem)] = {str(one.block): dataclasses.asdict(shard)}
    world.store.save("activations", CORPUS, activations)


@pytest.mark.parametrize("invariant", INVARIANTS, ids=lambda row: f"{row.name}-{row.asset}")
def test_a_healthy_world_raises_no_alarm(made: World, invariant: Invariant) -> None:
    if not invariant.applies(made.studies.selected):
        pytest.skip("the tiny study has it turned off; it has a test of its own")
    for partition in partitions_of(invariant.asset, made.studies.selected):
        found = judge(invariant, Evidence(invariant.asset, partition, made))
        assert found.status in {"passed", "warned"}, (partition, found.message)
        assert found.status == "passed" or invariant.severity == "WARN"


def test_the_whole_report_is_ok_and_an_incident_is_not(made: World) -> None:
    assert make_report(made, "tiny", VerdictConfig()).verdict == "OK"
    assert make_report(made, "tiny", VerdictConfig(incidents=["plan crashed"])).verdict == "NOT OK"


@pytest.mark.parametrize(
    "edit",
    [
        pytest.param(lambda vectors, _: vectors[::-1].copy(), id="rows shuffled within a problem"),
        pytest.param(lambda vectors, every: next(v for v in every.values() if v is not vectors), id="another problem"),
        pytest.param(lambda vectors, _: vectors * 1.01, id="another model"),
        pytest.param(lambda vectors, _: np.roll(vectors, 1, axis=0), id="shifted by one sentence"),
    ],
)
def test_vectors_of_something_else_do_not_match_their_text(copied: World, edit: Callable) -> None:
    edit_vectors(copied, edit)
    assert verdict(copied, "activations_match_text", "activations", CORPUS).status == "failed"


def test_spans_of_another_text_do_not_match_though_shapes_do(copied: World) -> None:
    edit_shards(copied, lambda one: dataclasses.replace(one, token_spans=one.token_spans + 1))
    found = verdict(copied, "activations_match_text", "activations", CORPUS)
    assert found.status == "failed"
    assert "other token spans than stored" in found.offenders[0]


def test_another_block_does_not_match(copied: World, made: World) -> None:
    study = made.studies.selected
    other = study.extraction_spec(CORPUS).model_copy(update={"layer": 1})
    source = study.source(CORPUS)
    with made.language_model.open(other) as extractor:
        problems = made.rollouts.load_problems(source, made.rollouts.list_problem_ids(source))
        texts = [(problem.problem_id, problem.trace_text, problem.sentences) for problem in problems]
        results = list(extractor.extract(texts, log=print))
    fresh = {one.problem_id: one.vectors for one in results if isinstance(one, PooledProblem)}
    order = iter(sorted(fresh))
    edit_vectors(copied, lambda *_: fresh[next(order)])
    assert verdict(copied, "activations_match_text", "activations", CORPUS).status == "failed"


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_constant_activations_cannot_be_memorized(copied: World, value: float) -> None:
    edit_vectors(copied, lambda vectors, _: np.full_like(vectors, value))
    assert verdict(copied, "overfit_memorization", "probe_metrics", CELL).status == "failed"


def test_a_shifted_span_does_not_decode_to_its_sentence(copied: World) -> None:
    def shift(activations: Any) -> Any:
        activations.spans["token_start"] += 3
        activations.spans["token_end"] += 3
        return activations

    change(copied, "activations", CORPUS, shift)
    assert verdict(copied, "span_integrity", "activations", CORPUS).status == "failed"


def test_a_problem_lost_without_a_word_counts_as_skipped(copied: World) -> None:
    def lose(activations: Any) -> Any:
        activations.record["shards"].popitem()
        return activations

    change(copied, "activations", CORPUS, lose)
    found = verdict(copied, "zero_skipped_problems", "activations", CORPUS)
    assert found.status == "failed"
    assert "neither extracted nor recorded" in found.offenders[0]


def test_a_test_problem_among_the_training_problems_is_found(copied: World) -> None:
    change(copied, "splits", CORPUS, lambda split: {**split, "train": sorted([*split["train"], split["test"][0]])})
    assert verdict(copied, "split_is_disjoint", "splits", CORPUS).status == "failed"


def test_an_undefined_metric_is_found_in_cell_and_aggregate(copied: World) -> None:
    def undefine(cell: Any) -> Any:
        cell.metrics["models"]["linear_probe"]["test"]["average_precision"] = None
        return cell

    change(copied, "probe_metrics", CELL, undefine)
    assert verdict(copied, "finite_metrics", "probe_metrics", CELL).status == "failed"

    def undefine_mean(value: dict[str, Any]) -> dict[str, Any]:
        value["summary_by_model"][0]["average_precision_mean"] = None
        return value

    change(copied, "aggregate_metrics", CORPUS, undefine_mean)
    assert verdict(copied, "finite_metrics", "aggregate_metrics", CORPUS).status == "failed"


def test_a_seed_that_was_left_out_is_named(copied: World) -> None:
    change(
        copied,
        "aggregate_metrics",
        CORPUS,
        lambda value: {**value, "seeds": value["seeds"][:-1], "left_out": {"4": "finite_metrics did not pass"}},
    )
    found = verdict(copied, "all_seeds_aggregated", "aggregate_metrics", CORPUS)
    assert (found.status, found.offenders) == ("failed", ("seed 4: finite_metrics did not pass",))


def test_a_deferral_plan_of_other_predictions_is_found(copied: World) -> None:
    seed = copied.store.load("deferral_plan", CORPUS)["plans"][0]["seed"]

    def flip(value: Any) -> Any:
        return dataclasses.replace(value, predictions=value.predictions.assign(anchor=1 - value.predictions["anchor"]))

    change(copied, "probe_metrics", f"{seed}|{CORPUS}", flip)
    found = verdict(copied, "deferral_recomputes", "deferral_plan", CORPUS)
    assert found.status == "failed"
    assert "n_errors" in found.offenders[0]


def test_a_deferral_plan_that_does_not_keep_its_objective_is_named(copied: World) -> None:
    def overspend(value: dict[str, Any]) -> dict[str, Any]:
        return {**value, "plans": [{**plan, "t_neg": -1e9, "t_pos": 1e9} for plan in value["plans"]]}

    change(copied, "deferral_plan", CORPUS, overspend)
    assert verdict(copied, "deferral_objective_met", "deferral_plan", CORPUS).status == "warned"


def test_a_deferral_plan_is_made_anew_when_its_options_or_cells_change(made: World) -> None:
    def work(world: World, left_out: dict[str, str]) -> str | None:
        return made.ledger.work("deferral_plan", CORPUS, without_cells(world, "deferral_plan", CORPUS, left_out))

    study = made.studies.selected
    assert work(made, {}) is None
    asked = study.model_copy(update={"deferral": study.deferral.model_copy(update={"budget": 0.3})})
    others = tuple(one for one in made.studies.studies if one is not study)
    studies = dataclasses.replace(made.studies, studies=(*others, asked))
    assert work(dataclasses.replace(made, studies=studies), {}) == "deferral.budget: 0.2 -> 0.3"
    reason = work(made, {"0": "a red check"})
    assert reason == "left_out_seeds: [] -> ['0']"


@pytest.mark.parametrize("asset", [one for one in ASSETS if FACTS[one].scope is not Scope.GENERATED])
def test_a_file_changed_behind_dagsters_back_is_found(copied: World, asset: str) -> None:
    partition = partitions_of(asset, copied.studies.selected)[0]
    files = sorted(Path(copied.store.place(asset, partition)).iterdir())
    files[-1].write_bytes(files[-1].read_bytes() + b" ")
    found = verdict(copied, "artifacts_intact", asset, partition)
    assert found.status == "failed"
    assert files[-1].name in found.offenders[0]


def test_a_changed_or_missing_shard_turns_its_activations_red(copied: World) -> None:
    shards = list(copied.store.load("activations", CORPUS).shards.values())
    path = copied.store.local_folder / shards[0].file
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(bytes(content))
    (copied.store.local_folder / shards[1].file).unlink()
    found = verdict(copied, "artifacts_intact", "activations", CORPUS)
    assert found.status == "failed"
    assert found.n_offenders == 2


@pytest.mark.parametrize("edit", [lambda text: text.replace("0.", "0.9"), lambda _: "", lambda text: text + text])
def test_a_readme_that_says_something_else_is_found(copied: World, edit: Callable[[str], str]) -> None:
    readme = copied.store.local_folder / "tiny/README.md"
    readme.write_text(edit(readme.read_text(encoding="utf-8")), encoding="utf-8")
    assert verdict(copied, "readme_is_current", "readme_block", "tiny").status == "failed"


def test_a_rule_that_raises_is_errored_and_keeps_its_reason(made: World) -> None:
    def raises() -> Verdict:
        raise OSError("planted")

    invariant = Invariant("planted", "splits", lambda _: {}, raises, "a planted fault", severity="WARN")
    found = judge(invariant, Evidence("splits", CORPUS, made))
    assert (found.status, found.message) == ("errored", "OSError: planted")
    assert not evaluate(invariant, Evidence("splits", CORPUS, made)).passed
    assert json.dumps(found.to_json(), allow_nan=False)


def test_the_gate_is_open_for_made_and_checked_cells_only(made: World) -> None:
    assert gate.closed(made.ledger, "activations", CORPUS) is None
    assert gate.closed(made.ledger, "activations", "llama_correct") == "activations[llama_correct] was not made"
    assert gate.left_out_cells(made.ledger, CORPUS) == {}
    assert set(gate.left_out_cells(made.ledger, "llama_correct")) == {"0", "1", "2", "3", "4"}


def test_a_mean_is_made_anew_when_other_cells_may_be_in_it(made: World) -> None:
    def work(left_out: dict[str, str]) -> str | None:
        made_from = without_cells(made, "aggregate_metrics", CORPUS, left_out)
        return made.ledger.work("aggregate_metrics", CORPUS, made_from)

    assert work({}) is None
    reason = work({"3": "a red check"})
    assert reason == "left_out_seeds: [] -> ['3']"


def edit_rows(world: World, **fields: Any) -> None:
    """Change every probe's row of a comparison by hand."""

    def edit(value: dict[str, Any]) -> dict[str, Any]:
        rows = [row | (fields if row["kind"] == "probe" else {}) for row in value["rows"]]
        return {**value, "rows": rows}

    change(world, "probe_comparison", CORPUS, edit)


def test_a_claim_on_too_few_problems_is_red(copied: World) -> None:
    def fewer(value: Any) -> Any:
        kept = value.scores["problem_id"].isin(sorted(value.scores["problem_id"].unique())[:4])
        return dataclasses.replace(value, scores=value.scores[kept].reset_index(drop=True))

    edit_rows(copied, verdict="better")
    change(copied, "cv_scores", CORPUS, fewer)
    assert verdict(copied, "enough_problems", "probe_comparison", CORPUS).status == "failed"


def test_an_interval_without_width_is_red(copied: World) -> None:
    edit_rows(copied, low=0.1, high=0.1, difference=0.1)
    assert verdict(copied, "interval_not_degenerate", "probe_comparison", CORPUS).status == "failed"


def test_labels_on_a_handful_of_rollouts_warn(copied: World) -> None:
    change(copied, "sentences", CORPUS, lambda table: table.assign(n_different=2.0))
    assert verdict(copied, "label_support", "probe_comparison", CORPUS).status == "warned"


def test_probes_worse_than_the_order_warn(copied: World) -> None:
    def perfect_order(value: Any) -> Any:
        return dataclasses.replace(
            value, scores=value.scores.assign(**{"order/0": value.scores["anchor"].astype(float)})
        )

    change(copied, "cv_scores", CORPUS, perfect_order)
    assert verdict(copied, "beats_order_baseline", "probe_comparison", CORPUS).status == "warned"


def test_a_claim_without_a_corrected_test_warns(copied: World) -> None:
    edit_rows(copied, verdict="better", p=0.9)
    assert verdict(copied, "claims_survive_correction", "probe_comparison", CORPUS).status == "warned"
