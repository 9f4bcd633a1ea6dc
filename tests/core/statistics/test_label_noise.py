"""Counts behind labels, their significance and the noise ceiling, against scipy and planted truth."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from ta_assets.core.statistics.label_noise import fisher_p, noise_ceiling, standard_errors, support
from ta_assets.core.statistics.ranking import average_precision_by_problem
from ta_assets.core.traces.labels import anchors
from ta_assets.core.traces.rollout_counts import COUNT_COLUMNS, rollout_counts
from tests.core.made_traces import campaign

REAL = Path(__file__).resolve().parents[3] / "shared/data/math-rollouts"


def entries(groups: list[tuple[int, int, int, int]]) -> list[dict[str, float]]:
    """Dataset entries of sentences with (answered, right, different, different and right) rollouts."""
    made = []
    for index, (n, right, different, right_different) in enumerate(groups):
        following = groups[index + 1] if index + 1 < len(groups) else None
        counted = different and following
        importance = right_different / different - following[1] / following[0] if counted and following else 0.0
        made.append(
            {
                "accuracy": right / n,
                "different_trajectories_fraction": different / n,
                "counterfactual_importance_accuracy": importance,
            }
        )
    return made


@st.composite
def campaigns(draw: st.DrawFn) -> list[tuple[int, int, int, int]]:
    made = []
    for _ in range(draw(st.integers(2, 6))):
        n = draw(st.integers(51, 100))
        right, different = draw(st.integers(0, n)), draw(st.integers(0, n))
        low, high = max(0, right + different - n), min(right, different)
        made.append((n, right, different, draw(st.integers(low, high))))
    return made


@given(campaigns())
@settings(max_examples=80, deadline=None)
def test_recovered_counts_give_back_every_stored_fraction(groups: list[tuple[int, int, int, int]]) -> None:
    stored = entries(groups)
    counts = rollout_counts(stored, 100)
    for index, entry in enumerate(stored[:-1]):
        n_different, k_different, n_next, k_next = (counts[name][index] for name in COUNT_COLUMNS)
        assert k_next / n_next == pytest.approx(stored[index + 1]["accuracy"], abs=1e-9)
        if n_different:
            found = k_different / n_different - k_next / n_next
            assert found == pytest.approx(entry["counterfactual_importance_accuracy"], abs=1e-9)
    assert all(np.isnan(values[-1]) for values in counts.values())


def test_counts_of_a_full_campaign_are_exact() -> None:
    counts = rollout_counts(entries([(97, 31, 41, 17), (99, 50, 13, 2), (98, 45, 3, 1)]), 100)
    assert [counts[name][0] for name in COUNT_COLUMNS] == [41, 17, 99, 50]


def test_entries_without_fractions_have_unknown_counts() -> None:
    counts = rollout_counts([{"chunk": "a"}, {"chunk": "b"}], 100)
    assert all(np.isnan(values).all() for values in counts.values())
    assert support(pd.DataFrame({"problem_id": [1, 1], "anchor": [0, 1], **counts})) is None
    rows = pd.DataFrame({"problem_id": [1, 1], "anchor": [0, 1], "counterfactual_raw": [0.0, 1.0], **counts})
    assert noise_ceiling(rows, draws=20, seed=0) is None


@given(st.integers(1, 40), st.integers(1, 40), st.data())
@settings(max_examples=60, deadline=None)
def test_fishers_p_is_scipys(a: int, b: int, data: st.DataObject) -> None:
    k_a, k_b = data.draw(st.integers(0, a)), data.draw(st.integers(0, b))
    plain: Any = stats.fisher_exact([[k_a, a - k_a], [k_b, b - k_b]])
    frame = pd.DataFrame([[a, k_a, b, k_b]], columns=pd.Index(COUNT_COLUMNS))
    assert fisher_p(frame)[0] == pytest.approx(plain.pvalue, abs=1e-9)


def test_an_empty_group_has_no_error_and_no_significance() -> None:
    frame = pd.DataFrame([[0.0, 0.0, 60.0, 30.0]], columns=pd.Index(COUNT_COLUMNS))
    assert np.isnan(standard_errors(frame)[0])
    assert fisher_p(frame)[0] == 1.0


@pytest.mark.parametrize(("zero", "spread"), [(0.0, 0.1), (0.8, 0.3), (0.95, 0.4)])
def test_the_planted_ceiling_is_recovered(zero: float, spread: float) -> None:
    differences = []
    for seed in range(6):  # one campaign's oracle varies by .02 itself
        rows, true = campaign(seed, zero, spread)
        ceiling = noise_ceiling(rows, draws=40, seed=0)
        labels, problems = rows["anchor"].to_numpy(), rows["problem_id"].to_numpy()
        assert ceiling is not None
        differences.append(
            ceiling.oracle - average_precision_by_problem(labels, np.abs(true)[:, None], problems).mean()
        )
    assert np.mean(differences) == pytest.approx(0, abs=0.03)


def test_the_ceiling_is_recovered_where_sentences_with_few_rollouts_have_the_large_effects() -> None:
    differences = []
    for seed in range(4):
        rng, problems = np.random.default_rng(seed), np.repeat(np.arange(20), 60)
        a = np.where(rng.random(1200) < 0.3, rng.integers(1, 11, 1200), rng.integers(11, 90, 1200))
        base = rng.uniform(0.3, 0.7, 1200)
        effect = np.where(a <= 10, rng.normal(0, 0.4, 1200), rng.normal(0, 0.15, 1200) * (rng.random(1200) < 0.3))
        true = np.clip(base + effect, 0.02, 0.98) - base
        k_a, k_b = rng.binomial(a, base + true), rng.binomial(95, base)
        raw = k_a / a - k_b / 95
        labels = np.concatenate([anchors(raw[start : start + 60], 90) for start in range(0, 1200, 60)])
        counts = dict(zip(COUNT_COLUMNS, (a, k_a, np.full(1200, 95), k_b), strict=True))
        rows = pd.DataFrame({"problem_id": problems, "anchor": labels, **counts}).astype(float)
        ceiling = noise_ceiling(rows, draws=30, seed=0)
        assert ceiling is not None
        reached = average_precision_by_problem(labels, np.abs(true)[:, None], problems).mean()
        differences.append(ceiling.oracle - reached)
    assert np.mean(differences) == pytest.approx(0, abs=0.06)  # one campaign varies by .03 itself


def test_a_problem_with_unknown_counts_does_not_lower_the_ceiling() -> None:
    rows, _ = campaign(0, 0.5, 0.2)
    first = rows["problem_id"] < 20
    half = rows.assign(**{name: rows[name].where(first | (rows.index % 60 > 0)) for name in COUNT_COLUMNS})
    whole, alone, found = (
        noise_ceiling(one, draws=20, seed=0) for one in (rows, rows.take(np.flatnonzero(first)), half)
    )
    assert whole is not None
    assert found is not None
    assert found == alone
    assert (whole.problems, found.problems) == (40, 20)
    known = support(half)
    assert known is not None
    assert (known.sentences, known.unknown) == (len(rows) - 20, 20)


def test_where_every_problem_has_a_sentence_of_unknown_counts_there_is_no_ceiling() -> None:
    rows, _ = campaign(0, 0.5, 0.2)
    last = rows["problem_id"] != rows["problem_id"].shift(-1)
    assert (
        noise_ceiling(rows.assign(**{name: rows[name].mask(last) for name in COUNT_COLUMNS}), draws=20, seed=0) is None
    )


def test_support_tells_noise_from_effects() -> None:
    noisy, clear = support(campaign(1, 1.0, 0.1)[0]), support(campaign(1, 0.9, 0.5)[0])
    assert noisy is not None
    assert clear is not None
    assert noisy.surviving_anchors < 0.02 < 0.5 < clear.surviving_anchors
    assert noisy.problems_without > 35


@pytest.mark.skipif(not REAL.is_dir(), reason="the published traces are not at ../shared/data")
def test_the_published_labels_have_recoverable_counts() -> None:
    known = total = 0
    for path in sorted(REAL.rglob("chunks_labeled.json")):
        counts = rollout_counts(json.loads(path.read_text(encoding="utf-8")), 100)
        known += int((~np.isnan(counts["n_different"][:-1])).sum())
        total += len(counts["n_different"]) - 1
    assert known / total > 0.99
