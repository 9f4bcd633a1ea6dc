"""Rules that count faults: for each a planted fault that fires and a healthy case that stays quiet."""

from __future__ import annotations

import numpy as np
import pytest

from ta_assets.core.values import Skip, Split
from ta_checks.rules.cells.all_seeds_aggregated import all_seeds_aggregated
from ta_checks.rules.cells.finite_metrics import finite_metrics
from ta_checks.rules.data.split_is_disjoint import split_is_disjoint
from ta_checks.rules.files.artifacts_intact import artifacts_intact
from ta_checks.rules.files.readme_is_current import readme_is_current
from ta_checks.rules.vectors.zero_skipped_problems import zero_skipped_problems

HASH, OTHER = "ab" * 32, "cd" * 32


def test_no_skipped_problem_passes() -> None:
    assert zero_skipped_problems([], 20).passed


def test_a_skipped_problem_fails_its_check_and_says_why() -> None:
    verdict = zero_skipped_problems([Skip(4164, "context_length", "8392 tokens, context 8192")], 8)
    assert (verdict.status, verdict.observed, verdict.n) == ("failed", 1, 8)
    assert verdict.offenders == ("problem 4164: context_length: 8392 tokens, context 8192",)


def test_an_empty_corpus_has_not_been_extracted() -> None:
    assert zero_skipped_problems([], 0).status == "failed"


def test_finite_metrics_pass() -> None:
    verdict = finite_metrics({"linear_probe.test.pr_auc": np.float32(0.2), "seeds": 5})  # type: ignore[dict-item]
    assert (verdict.status, verdict.n) == ("passed", 2)


@pytest.mark.parametrize("bad", [None, float("nan"), np.float32("inf"), -np.inf, "0.5"])
def test_one_metric_that_is_no_number_fails(bad: object) -> None:
    verdict = finite_metrics({"good": 0.1, "mlp_probe.val.pr_auc": bad})  # type: ignore[dict-item]
    assert (verdict.status, verdict.observed) == ("failed", 1)
    assert verdict.offenders[0].startswith("mlp_probe.val.pr_auc")


def test_a_table_without_metrics_fails() -> None:
    assert finite_metrics({}).status == "failed"


def test_a_healthy_split_passes() -> None:
    assert split_is_disjoint(Split((1, 2), (3,), (4,)), [4, 3, 2, 1]).passed


@pytest.mark.parametrize(
    ("split", "said"),
    [
        (Split((1, 2), (3,), (4, 2)), "problem 2 is in train and test"),
        (Split((1, 1, 2), (3,), (4,)), "problem 1 is 2 times in train"),
        (Split((1, 2), (3,), (4, 9)), "problem 9 is in test but not in the setting"),
        (Split((1,), (3,), (4,)), "problem 2 is in no part"),
        (Split((1, 2, 3), (), (4,)), "val is empty"),
    ],
)
def test_every_way_to_break_a_split_fails(split: Split, said: str) -> None:
    verdict = split_is_disjoint(split, [1, 2, 3, 4])
    assert verdict.status == "failed"
    assert verdict.offenders == (said,)


def test_a_current_readme_passes() -> None:
    assert readme_is_current("| a |\n| 1 |", "| a |\n| 1 |").passed


@pytest.mark.parametrize("found", ["| a |\n| 2 |", "| a |", "| a |\n| 1 |\n| 3 |", "| a |\n| 1 |\n", "", None])
def test_a_readme_that_says_something_else_fails(found: str | None) -> None:
    assert readme_is_current("| a |\n| 1 |", found).status == "failed"


def test_an_empty_block_is_not_current() -> None:
    assert readme_is_current(" \n", " \n").status == "failed"


def test_the_first_line_that_differs_is_named() -> None:
    assert readme_is_current("a\nb", "a\nc").offenders == ("line 2: found 'c', expected 'b'",)


def test_intact_artifacts_pass() -> None:
    assert artifacts_intact({"a.parquet": HASH}, {"a.parquet": HASH.upper()}).passed


@pytest.mark.parametrize(
    ("found", "said"),
    [
        ({}, "a.parquet: missing"),
        ({"a.parquet": None}, "a.parquet: missing"),
        ({"a.parquet": OTHER}, "a.parquet: changed, sha256 cdcdcdcdcdcd instead of abababababab"),
        ({"a.parquet": HASH, "b.json": OTHER}, "b.json: not recorded"),
    ],
)
def test_a_file_changed_behind_the_record_fails(found: dict[str, str | None], said: str) -> None:
    verdict = artifacts_intact({"a.parquet": HASH}, found)
    assert (verdict.status, verdict.offenders) == ("failed", (said,))


@pytest.mark.parametrize("recorded", [None, {}])
def test_a_cell_that_recorded_nothing_fails(recorded: dict[str, str] | None) -> None:
    assert artifacts_intact(recorded, {"a.parquet": HASH}).status == "failed"


def test_a_mean_over_fewer_seeds_than_the_study_has_is_found() -> None:
    assert all_seeds_aggregated([0, 1, 2], {}, 3).status == "passed"
    verdict = all_seeds_aggregated([0, 2], {"1": "it was not made"}, 3)
    assert (verdict.status, verdict.observed, verdict.threshold) == ("failed", 2, 3)
    assert verdict.offenders == ("seed 1: it was not made",)
