"""Rules that compute a result a second time: for each a healthy case that stays quiet and planted faults that fire."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest

from ta_assets.core.crossfit import fit as crossfit
from ta_assets.core.crossfit import nulls
from ta_assets.core.crossfit.fit import cross_fit
from ta_assets.core.crossfit.folds import evaluation_folds
from ta_assets.core.crossfit.nulls import permuted_labels, refit_null
from ta_assets.core.crossfit.out_of_fold import Sentences
from ta_assets.core.crossfit.spectrum import prepare
from ta_assets.core.options import LabelRule, ProbeOptions
from ta_assets.core.probes.models import ProbeData, fit_scores
from ta_assets.core.probes.targets import TARGETS
from ta_assets.core.results.aggregate import aggregate
from ta_assets.core.traces.labels import label_problem
from ta_assets.core.values import PooledProblem, Problem
from ta_checks.rules.cells.aggregate_recomputes import aggregate_recomputes
from ta_checks.rules.cells.predictions_recompute import PredictedPart, predictions_recompute
from ta_checks.rules.cells.scores_refit import StoredFit, scores_refit
from ta_checks.rules.cells.scores_vary import scores_vary
from ta_checks.rules.cells.seeds_differ import seeds_differ
from ta_checks.rules.claims.comparison_recomputes import comparison_recomputes
from ta_checks.rules.claims.scores_out_of_fold import scores_out_of_fold
from ta_checks.rules.data.labels_follow_rule import SourceProblem, labels_follow_rule
from ta_checks.rules.data.problems_as_asked import problems_as_asked
from ta_checks.rules.files.verdict_unedited import verdict_unedited
from ta_checks.rules.vectors.vectors_are_sound import Expected, vectors_are_sound

N_PROBLEMS, N_SENTENCES, D_MODEL = 6, 11, 24
KEYS = ["problem_id", "chunk_idx"]


@pytest.mark.parametrize(("wanted", "found"), [(None, [1, 2, 5]), (2, [1, 5]), (9, [1, 2, 5])])
def test_problems_that_were_asked_for_pass(wanted: int | None, found: list[int]) -> None:
    assert problems_as_asked(found, [5, 1, 2], wanted).passed


@pytest.mark.parametrize(
    ("found", "said"),
    [
        ([1, 2], "2 problems, the study asks for 3 of 3"),
        ([1, 2, 5, 5], "problem 5 is listed 2 times"),
        ([1, 2, 7], "problem 7 is not in the data"),
        ([], "0 problems"),
    ],
)
def test_other_problems_than_asked_for_fail(found: list[int], said: str) -> None:
    verdict = problems_as_asked(found, [1, 2, 5], None)
    assert verdict.status == "failed"
    assert any(said in offender for offender in verdict.offenders)


def corpus(seed: int = 0) -> list[Problem]:
    rng = np.random.default_rng(seed)
    return [
        Problem(
            problem_id,
            "made here",
            {},
            {},
            tuple(
                {"chunk": f"Sentence {problem_id}.{index}", "counterfactual_importance_accuracy": float(value)}
                for index, value in enumerate(np.round(rng.normal(size=N_SENTENCES + 1), 3))
            ),
        )
        for problem_id in range(1, N_PROBLEMS + 1)
    ]


def sources(problems: list[Problem]) -> list[SourceProblem]:
    return [
        SourceProblem(
            one.problem_id,
            one.sentences[:-1],
            [chunk["counterfactual_importance_accuracy"] for chunk in one.chunks[:-1]],
        )
        for one in problems
    ]


def labelled(percentile: float = 90.0) -> pd.DataFrame:
    rule = LabelRule(anchor_percentile=percentile)
    return pd.concat([label_problem(one, rule) for one in corpus()], ignore_index=True)


@pytest.mark.parametrize("percentile", [50.0, 90.0, 99.0])
@pytest.mark.parametrize("n", [1, 2, 10, 11, 21])
def test_labels_by_the_rule_pass_whatever_the_length(n: int, percentile: float) -> None:
    rng = np.random.default_rng(n)
    values = np.round(rng.normal(size=n + 1), 1)  # rounded: ties at the threshold
    chunks = tuple({"chunk": f"{i}", "counterfactual_importance_accuracy": float(v)} for i, v in enumerate(values))
    problem = Problem(1, "made here", {}, {}, chunks)
    table = label_problem(problem, LabelRule(anchor_percentile=percentile))
    assert labels_follow_rule(table, sources([problem]), percentile).passed


def test_the_labels_of_a_corpus_pass() -> None:
    verdict = labels_follow_rule(labelled(), sources(corpus()), 90.0)
    assert (verdict.status, verdict.n) == ("passed", N_PROBLEMS * N_SENTENCES)


@pytest.mark.parametrize(
    "edit",
    [
        pytest.param(lambda t: t.assign(counterfactual_raw=np.roll(t["counterfactual_raw"], 1)), id="shifted"),
        pytest.param(lambda t: t.assign(counterfactual_raw=-t["counterfactual_raw"]), id="sign"),
        pytest.param(lambda t: t.assign(importance_score=t["importance_signed"]), id="not absolute"),
        pytest.param(lambda t: t.assign(anchor=1 - t["anchor"]), id="anchors inverted"),
        pytest.param(lambda t: t.assign(relative_position=0.5), id="position"),
        pytest.param(lambda t: t.assign(chunk_text="the same"), id="texts"),
        pytest.param(lambda t: t.assign(num_chunks=t["num_chunks"] + 1), id="length"),
        pytest.param(lambda t: t[t["problem_id"] != 3], id="a problem lost"),
        pytest.param(lambda t: t.assign(problem_id=t["problem_id"] + 1), id="another problem"),
        pytest.param(lambda t: t.iloc[::-1], id="order"),
        pytest.param(lambda _: labelled(75.0), id="another percentile"),
    ],
)
def test_labels_by_another_rule_fail(edit: Callable[[pd.DataFrame], pd.DataFrame]) -> None:
    verdict = labels_follow_rule(edit(labelled()), sources(corpus()), 90.0)
    assert verdict.status == "failed"
    assert verdict.offenders[0].startswith("problem ")


def pooled(edit: Callable[[np.ndarray], np.ndarray] = lambda vectors: vectors) -> PooledProblem:
    vectors = np.random.default_rng(0).normal(size=(N_SENTENCES, D_MODEL)).astype(np.float32)
    spans = np.stack([np.arange(N_SENTENCES) * 3, np.arange(N_SENTENCES) * 3 + 3], axis=1)
    return PooledProblem(1, 2, edit(vectors), spans, 3 * N_SENTENCES, "text")


EXPECTED = Expected(D_MODEL, "float32")


def test_sound_vectors_pass_also_where_two_sentences_share_their_tokens() -> None:
    assert vectors_are_sound([pooled()], EXPECTED).passed
    one = pooled()
    one.vectors[4], one.token_spans[4] = one.vectors[3], one.token_spans[3]
    assert vectors_are_sound([one], EXPECTED).passed


def test_all_tokens_of_sentences_pass_when_they_are_as_many_as_the_offsets_say() -> None:
    one = dataclasses.replace(pooled(), offsets=np.arange(N_SENTENCES + 1))
    assert vectors_are_sound([one], EXPECTED).passed
    assert not vectors_are_sound([dataclasses.replace(one, offsets=2 * np.arange(N_SENTENCES + 1))], EXPECTED).passed


def _poke(value: float) -> Callable[[np.ndarray], np.ndarray]:
    def edit(vectors: np.ndarray) -> np.ndarray:
        vectors[5, 7] = value
        return vectors

    return edit


@pytest.mark.parametrize(
    ("edit", "said"),
    [
        (_poke(float("nan")), "NaN or infinity in 1 rows, such as 5"),
        (_poke(float("inf")), "NaN or infinity"),
        (np.ones_like, "10 rows equal an earlier one"),
        (np.zeros_like, "rows are zero"),
        (lambda v: v.astype(np.float16), "stored as float16"),
        (lambda v: v[:, :-1], "shape"),
        (lambda v: v[:-1], "shape"),
        (lambda v: np.repeat(v[:1], len(v), axis=0), "rows equal"),
    ],
)
def test_vectors_that_are_none_fail(edit: Callable[[np.ndarray], np.ndarray], said: str) -> None:
    verdict = vectors_are_sound([pooled(edit)], EXPECTED)
    assert verdict.status == "failed"
    assert said in " ".join(verdict.offenders)


def test_no_vectors_at_all_fail() -> None:
    assert vectors_are_sound([], EXPECTED).status == "failed"


@dataclasses.dataclass(frozen=True)
class Setting:
    """A small setting with out-of-fold scores and permutations, by the real code."""

    rows: pd.DataFrame
    vectors: np.ndarray
    scores: pd.DataFrame
    nulls: pd.DataFrame
    repeats: tuple[tuple[tuple[int, ...], ...], ...]

    def judged(self, **changed: Any) -> Any:
        parts = {
            "scores": self.scores,
            "nulls": self.nulls,
            "repeats": self.repeats,
            "expected": self.rows,
            "features": {"difference_of_means": prepare(self.vectors, self.rows["problem_id"].to_numpy())},
        }
        return scores_out_of_fold(**(parts | changed))


def cross_fitted(rows: pd.DataFrame, vectors: np.ndarray) -> Setting:
    sentences = Sentences(rows, {0: vectors})
    folds = evaluation_folds(sentences.problems.tolist())
    found = cross_fit(sentences, folds)
    scores = sentences.rows[[*KEYS, "anchor"]].assign(
        **{f"{name}/{repeat}": one[repeat] for name, one in found.scores.items() for repeat in range(len(one))}
    )
    null = refit_null(sentences, folds, permuted_labels(sentences, 200, scheme="shuffled", seed=0))
    nulls = pd.DataFrame({f"shuffled/{name}": null.scores[:, i] for i, name in enumerate(null.hypotheses)})
    return Setting(rows, vectors, scores, nulls, folds.repeats)


@pytest.fixture(scope="module")
def setting() -> Setting:
    rows = labelled().assign(token_count=5)
    vectors = np.random.default_rng(1).normal(size=(len(rows), D_MODEL))
    return cross_fitted(rows, vectors)


def test_out_of_fold_scores_pass(setting: Setting) -> None:
    verdict = setting.judged()
    assert verdict.passed, verdict.offenders


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        (lambda s: {"scores": s.scores.assign(anchor=np.roll(s.scores["anchor"], 1))}, "another label"),
        (lambda s: {"scores": s.scores.iloc[N_SENTENCES:]}, "are not the"),
        (lambda s: {"scores": s.scores.assign(**{"ridge/0": np.nan})}, "ridge/0 is not finite"),
        (lambda s: {"repeats": [[*s.repeats[0], s.repeats[0][0]]]}, "hold every problem out once"),
        (lambda s: {"repeats": [s.repeats[0][1:]]}, "hold every problem out once"),
        (lambda s: {"nulls": s.nulls + 0.2}, "permuted labels reach"),
        (
            lambda s: {"scores": s.scores.assign(**{"difference_of_means/0": s.scores["anchor"].astype(float)})},
            "know more than their folds",
        ),
    ],
)
def test_scores_that_are_not_out_of_fold_fail(
    setting: Setting, changed: Callable[[Setting], dict[str, Any]], said: str
) -> None:
    verdict = setting.judged(**changed(setting))
    assert verdict.status == "failed"
    assert any(said in offender for offender in verdict.offenders), verdict.offenders


@pytest.mark.parametrize(
    ("modules", "said"),
    [
        ((crossfit, nulls), "permuted labels reach"),
        ((nulls,), "permuted labels reach"),
        ((crossfit,), "know more than their folds"),
    ],
)
def test_a_fold_that_trains_on_what_it_holds_out_fails(
    setting: Setting, monkeypatch: pytest.MonkeyPatch, modules: tuple[Any, ...], said: str
) -> None:
    right = crossfit.folds_of

    def leaking(*given: Any) -> Any:
        return (dataclasses.replace(f, train=np.union1d(f.train, f.test)) for f in right(*given))

    for module in modules:
        monkeypatch.setattr(module, "folds_of", leaking)
    verdict = cross_fitted(setting.rows, setting.vectors).judged()
    assert verdict.status == "failed"
    assert said in verdict.offenders[0]


def test_scores_of_repeated_folds_pass() -> None:
    rows = pd.concat(
        [labelled().assign(problem_id=lambda t, first=first: t["problem_id"] + first) for first in range(0, 48, 6)],
        ignore_index=True,
    ).assign(token_count=5)
    found = cross_fitted(rows, np.random.default_rng(2).normal(size=(len(rows), 6)))
    assert len(found.repeats) > 1
    verdict = found.judged()
    assert verdict.passed, verdict.offenders


PRECISION = {"ridge": np.array([0.5, 0.7]), "order": np.array([0.2, 0.4]), "chance": np.array([0.1, 0.2])}


def compared(**fields: Any) -> list[dict[str, Any]]:
    row = {
        "name": "ridge", "against": "order", "average_precision": 0.6, "difference": 0.3, "share_of_ceiling": 0.6,
        "low": 0.1, "high": 0.5, "verdict": "better", "p": 0.01, "chance_p": 0.01, "increment_p": 0.01,
        "stratified_p": None,
        "strata_p": None,
        "supported_p": None,
    }  # fmt: skip
    other = {
        "name": "order", "against": "chance", "average_precision": 0.3, "difference": 0.15, "share_of_ceiling": 0.2,
        "low": None, "high": None, "verdict": "inconclusive, needs about 9 problems",
    }  # fmt: skip
    return [row | fields, other]


def test_a_comparison_that_follows_from_its_scores_passes() -> None:
    assert comparison_recomputes(compared(), PRECISION, 0.9).passed
    assert comparison_recomputes(compared(share_of_ceiling=None), PRECISION, None).passed


@pytest.mark.parametrize(
    "fields",
    [
        {"average_precision": 0.61},
        {"difference": -0.3},
        {"average_precision": float("nan")},
        {"average_precision": None},
        {"low": -0.1},
        {"verdict": "worse"},
        {"share_of_ceiling": 0.61},
        {"share_of_ceiling": None},
        {"p": 0.06},
        {"chance_p": 0.06},
        {"increment_p": 0.06},
        {"against": "nobody"},
        {"name": "logistic"},
    ],
)
def test_a_comparison_of_something_else_fails(fields: dict[str, Any]) -> None:
    assert comparison_recomputes(compared(**fields), PRECISION, 0.9).status == "failed"


def cell(target: str = "anchor_binary") -> PredictedPart:
    rng = np.random.default_rng(3)
    rows = labelled()
    rows = rows.assign(split=np.where(rows["problem_id"] == 1, "val", "test"))
    predictions = rows.assign(seed=2, score_a=rng.normal(size=len(rows)).astype(np.float32))
    measured = {
        part: TARGETS[target].measure(
            rows.take(np.flatnonzero(rows["split"] == part)),
            predictions["score_a"].to_numpy()[rows["split"] == part],
            (5,),
        )
        for part in ("val", "test")
    }
    return PredictedPart("", rows, predictions, {"seed": 2, "models": {"a": measured}})


@pytest.mark.parametrize("target", ["anchor_binary", "importance_abs", "importance_signed"])
def test_predictions_that_give_their_metrics_pass(target: str) -> None:
    column = TARGETS[target].column
    verdict = predictions_recompute([cell(target)], seed=2, models=["a"], target=column)
    assert verdict.passed, verdict.offenders


def judged_cell(part: PredictedPart, **changed: Any) -> Any:
    return predictions_recompute([part], **({"seed": 2, "models": ["a"], "target": "anchor"} | changed))


@pytest.mark.parametrize(
    ("edit", "said"),
    [
        (lambda t: t.assign(score_a=-t["score_a"]), "the predictions give"),
        (lambda t: t.assign(anchor=1 - t["anchor"]), "another anchor"),
        (lambda t: t.assign(importance_score=0.0), "another importance_score"),
        (lambda t: t.assign(seed=1), "made with seed 1, expected 2"),
        (lambda t: t.iloc[1:], "are not of the"),
        (lambda t: t.assign(problem_id=t["problem_id"] + 1), "are not of the"),
        (lambda t: t.assign(split="test"), "are not of the"),
        (lambda t: t.drop(columns="score_a"), "a has no scores"),
        (lambda t: t.assign(score_a=np.nan), "the predictions give nan"),
    ],
)
def test_predictions_of_something_else_fail(edit: Callable[[pd.DataFrame], pd.DataFrame], said: str) -> None:
    part = cell()
    verdict = judged_cell(dataclasses.replace(part, predictions=edit(part.predictions)))
    assert verdict.status == "failed"
    assert any(said in offender for offender in verdict.offenders), verdict.offenders


def test_metrics_of_another_seed_or_of_no_model_fail() -> None:
    assert judged_cell(cell(), seed=3).status == "failed"
    assert judged_cell(dataclasses.replace(cell(), metrics={"seed": 2, "models": {}})).status == "failed"
    assert judged_cell(cell(), models=["a", "b"]).status == "failed"
    assert predictions_recompute([], seed=2, models=["a"], target="anchor").status == "failed"


def test_a_constant_scorer_fails_and_a_varying_one_passes() -> None:
    table = pd.DataFrame({"problem_id": [1, 1, 2, 2], "score_a": [0.1, 0.1, 0.1, 0.2]})
    assert scores_vary(table).passed
    verdict = scores_vary(table.assign(score_b=[0.5, 0.5, 0.7, 0.7], score_c=np.nan))
    assert verdict.n_offenders == 2
    assert scores_vary(table.drop(columns="score_a")).status == "failed"


def test_seeds_must_change_seeded_models_and_no_others() -> None:
    def table(a: float, b: float) -> pd.DataFrame:
        return pd.DataFrame({"score_seeded": [0.1, a], "score_other": [0.1, b]})

    assert seeds_differ({0: table(0.1, 0.5), 1: table(0.2, 0.5), 2: table(0.3, 0.5)}, ["seeded"]).passed
    same = seeds_differ({0: table(0.1, 0.5), 1: table(0.2, 0.5), 2: table(0.1, 0.5)}, ["seeded"])
    assert same.offenders == ("seeded: seeds 0 and 2 have equal scores",)
    other = seeds_differ({0: table(0.1, 0.5), 1: table(0.2, 0.6)}, ["seeded"])
    assert "though no seed changes it" in other.offenders[0]
    lacking = seeds_differ({0: table(0.1, 0.5), 1: table(0.2, 0.5).drop(columns="score_seeded")}, ["seeded"])
    assert "only one of the seeds" in lacking.offenders[0]
    assert seeds_differ({0: table(0.1, 0.5)}, ["seeded"]).status == "skipped"


def cells_of_seeds() -> dict[int, dict[str, Any]]:
    return {
        seed: {
            "models": {
                "mlp_probe": {part: {"average_precision": 0.1 * seed, "pr_auc": None} for part in ("val", "test")},
                "linear_probe": {part: {"average_precision": 0.5, "pr_auc": 0.25} for part in ("val", "test")},
            }
        }
        for seed in range(3)
    }


def test_means_of_the_cells_pass_and_others_fail() -> None:
    cells = cells_of_seeds()
    summary = aggregate(cells)["summary_by_model"]
    assert aggregate_recomputes(summary, cells).passed
    wrong = [{**row, "average_precision_mean": row["average_precision_mean"] + 1e-6} for row in summary]
    assert aggregate_recomputes(wrong, cells).n_offenders == 2
    assert aggregate_recomputes([{**row, "pr_auc_std": 0.0} for row in summary], cells).n_offenders == 1
    assert aggregate_recomputes(summary, {0: cells[0], 1: cells[1]}).status == "failed"
    assert aggregate_recomputes(summary[:1], cells).status == "failed"
    assert aggregate_recomputes(summary, {}).status == "failed"


@pytest.mark.parametrize("target", ["anchor_binary", "importance_abs"])
def test_scores_of_a_fit_to_the_training_rows_pass_and_of_more_rows_fail(target: Any) -> None:
    rows = labelled()
    vectors = np.random.default_rng(0).normal(size=(len(rows), D_MODEL)).astype(np.float32)
    train = (rows["problem_id"] < 5).to_numpy()
    options, values = ProbeOptions(target=target), TARGETS[target].values(rows)

    def judged(fitted_on: np.ndarray) -> Any:
        scores = fit_scores("linear_probe", ProbeData(rows, vectors, fitted_on), options).scores
        return scores_refit([StoredFit("probe", vectors, values, train, scores, TARGETS[target].continuous)])

    assert judged(train).passed
    assert judged(np.ones_like(train)).status == "failed"
    assert judged((rows["problem_id"] < 4).to_numpy()).status == "failed"
    absent = np.full(len(rows), np.nan)
    nothing = StoredFit("probe", vectors, values, train, absent, TARGETS[target].continuous)
    assert scores_refit([nothing]).status == "failed"
    assert scores_refit([]).status == "skipped"


@pytest.mark.parametrize(
    "recorded",
    [[], [{}], [{"a": "1", "b": "2"}], [{"a": "9", "b": "2"}, {"a": "1", "b": "8"}]],
    ids=["none", "nothing recorded", "recorded", "the newest release died between its files"],
)
def test_a_verdict_as_it_was_written_passes(recorded: list[dict[str, str]]) -> None:
    assert verdict_unedited(recorded, {"a": "1", "b": "2"}).passed


@pytest.mark.parametrize(
    ("found", "said"),
    [
        ({"a": "1", "b": "3"}, "b was edited since its release wrote it"),
        ({"a": "1", "b": None}, "b is gone"),
        ({"a": "1"}, "b is gone"),
        ({"a": "2", "b": "2"}, "a was edited since its release wrote it"),
    ],
)
def test_an_edited_or_deleted_verdict_fails(found: dict[str, str | None], said: str) -> None:
    verdict = verdict_unedited([{"a": "1", "b": "2"}], found)
    assert (verdict.status, verdict.offenders) == ("failed", (said,))


def test_a_release_that_died_excuses_no_third_content() -> None:
    recorded = [{"a": "1"}, {"a": "2"}]
    assert verdict_unedited(recorded, {"a": "3"}).status == "failed"
    assert verdict_unedited(recorded, {"a": None}).status == "failed"
    assert verdict_unedited([{"a": "1"}, {}], {"a": None}).passed
