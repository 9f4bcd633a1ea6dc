"""Rules on one split, asked of many folds: none is left out, and the worst one speaks."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ta_assets.core.results.lopo import lopo_splits
from ta_assets.core.values import Split
from ta_checks.rules.data.split_is_disjoint import folds_are_disjoint
from ta_checks.rules.shuffles.beats_shuffled_labels import ScoredVectors, beats_shuffled_labels
from ta_checks.rules.shuffles.folds import own_folds, worst
from ta_checks.rules.shuffles.labelled_vectors import LabelledVectors
from ta_checks.verdict import Verdict

PASSED, FAILED = Verdict.judge(1, "==", 1), Verdict.judge(2, "==", 1, message="too many")


@given(st.integers(1, 40), st.integers(1, 7))
def test_the_cells_of_a_setting_judge_every_fold_together_and_none_judges_nothing(n: int, parts: int) -> None:
    shares = [own_folds(range(n), part, parts) for part in range(parts)]
    assert all(shares)
    assert {fold for share in shares for fold in share} == set(range(n))
    assert max(len(share) for share in shares) <= -(-n // parts)


def test_one_red_fold_makes_the_cell_red() -> None:
    found = worst({1: PASSED, 2: FAILED, 3: Verdict.skipped("nothing to rank")})
    assert (found.status, found.message) == ("failed", "fold 2: too many")
    assert worst({1: Verdict.skipped("nothing"), 2: PASSED}).status == "passed"
    assert worst({1: Verdict.skipped("nothing"), 2: Verdict.skipped("nothing")}).status == "skipped"
    assert worst({1: PASSED, 2: Verdict.errored(OSError("x"))}).status == "errored"
    assert worst({None: FAILED}) == FAILED
    with pytest.raises(ValueError, match="no fold"):
        worst({})


def test_healthy_folds_pass() -> None:
    assert folds_are_disjoint(lopo_splits(range(6), 0.15), range(6)).passed


@pytest.mark.parametrize(
    ("fold", "split", "said"),
    [
        (2, Split((0, 2), (1,), (2,)), "fold 2: problem 2 is in train and test"),
        (2, Split((0,), (1,), (2,)), "fold 2: problem 3 is in no part"),
        (2, Split((0, 2), (1,), (3,)), "fold 2: test is [3]"),
        (2, Split((3,), (1,), (0, 2)), "fold 2: test is [0, 2]"),
        (2, None, "no fold leaves problem 2 out"),
    ],
)
def test_every_way_to_break_a_fold_fails(fold: int, split: Split | None, said: str) -> None:
    folds = lopo_splits(range(4), 0.15)
    if split is None:
        del folds[fold]
    else:
        folds[fold] = split
    found = folds_are_disjoint(folds, range(4))
    assert found.status == "failed"
    assert said in found.offenders


def left_out(data: LabelledVectors, scores: dict[str, np.ndarray]) -> list[ScoredVectors]:
    return [
        ScoredVectors(replace(data, train=data.problems != one, test=data.problems == one), scores)
        for one in np.unique(data.problems)
    ]


def test_probes_are_compared_with_shuffles_over_all_folds() -> None:
    rng = np.random.default_rng(0)
    problems = np.repeat(np.arange(8), 40)
    anchors = np.tile(np.arange(40) < 4, 8).astype(int)
    nothing = np.ones(320, dtype=bool)
    data = LabelledVectors(rng.normal(size=(320, 10)), anchors, problems, nothing, nothing)
    knowing, noise = anchors + rng.normal(0, 1.0, 320), rng.normal(size=320)
    verdict = beats_shuffled_labels(left_out(data, {"linear_probe": knowing, "mlp_probe": noise}), seed=0)
    assert verdict.passed
    assert verdict.details["folds"] == 8
    assert verdict.details["null_mean"] == pytest.approx(0.5, abs=0.03)
    assert verdict.details["auroc"]["linear_probe"] == pytest.approx(
        np.mean(
            [np.mean(np.subtract.outer(knowing[p][:4], knowing[p][4:]) > 0) for p in (problems == i for i in range(8))]
        )
    )
    assert beats_shuffled_labels(left_out(data, {"mlp_probe": noise}), seed=0).status == "failed"
    broken = left_out(data, {"linear_probe": knowing})
    broken[3] = replace(broken[3], scores={"linear_probe": np.full(320, np.nan)})
    assert beats_shuffled_labels(broken, seed=0).status == "failed"
    other = replace(data, problems=problems[::-1].copy())
    with pytest.raises(ValueError, match="same sentences"):
        beats_shuffled_labels([*broken, *left_out(other, {})], seed=0)
