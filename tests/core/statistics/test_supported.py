"""Strata of dissimilar rollouts, permutations within them, and shifts."""

from __future__ import annotations

import numpy as np

from ta_assets.core.statistics import supported
from tests.core.made_traces import made_rows


def test_sentences_with_few_dissimilar_rollouts_could_not_be_anchors() -> None:
    rows = made_rows(2, 6).assign(n_different=[0, 1, 3, 4, 40, 9] * 2)
    found = supported.could_be_anchors(rows)
    assert found is not None
    assert found.tolist() == [False, False, False, True, True, True] * 2
    assert supported.could_be_anchors(rows.drop(columns="n_different")) is None
    assert supported.support_strata(rows.assign(n_different=np.nan)) is None


def test_permutations_in_strata_keep_the_anchors_of_every_stratum() -> None:
    rows = made_rows(4, 30)
    labels, problems = rows["anchor"].to_numpy(), rows["problem_id"].to_numpy()
    strata = supported.support_strata(rows)
    assert strata is not None
    found = supported.permuted_in_strata(labels, problems, strata, 50, np.random.default_rng(0))
    assert np.array_equal(found[:, 0], labels)
    assert len(np.unique(found, axis=1).T) > 20
    for problem in np.unique(problems):
        for stratum in np.unique(strata):
            inside = (problems == problem) & (strata == stratum)
            assert np.all(found[inside].sum(axis=0) == labels[inside].sum())


def test_a_problem_with_one_class_in_every_stratum_cannot_be_permuted() -> None:
    labels, problems = np.array([1, 1, 0, 0, 1, 0]), np.array([1, 1, 1, 1, 2, 2])
    assert supported.permutable(labels, problems, np.array([1, 1, 2, 2, 1, 1])) == 1


def test_a_shift_keeps_the_runs_of_a_trace() -> None:
    labels, problems = np.array([0, 1, 1, 1, 0, 0, 0, 0, 1, 0]), np.repeat([1, 2], 5)
    found = supported.shifted(labels, problems, 40, np.random.default_rng(0))
    assert np.array_equal(found[:, 0], labels)
    first = {tuple(column) for column in found[:5].T}
    assert first == {tuple(np.roll(labels[:5], step)) for step in range(5)}
