"""Scores of many configurations without a look at the test problems, and how many of them chance would give.

Belongs here: leave-one-problem-out scores of one configuration, the leaderboard of all with corrected p-values. Stays
out: which configurations there are (``ta_assets.studies.sweep``), files, Dagster.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from ta_assets.core.crossfit.known_alone import KnownAlone
from ta_assets.core.option_values import TOKEN_PROBES
from ta_assets.core.options import ProbeOptions
from ta_assets.core.probes.models import ProbeData
from ta_assets.core.probes.residuals import residual_data
from ta_assets.core.probes.targets import TARGETS
from ta_assets.core.results.cells import fit_model
from ta_assets.core.statistics.intervals import nadeau_bengio, sign_flip_max_t
from ta_assets.core.statistics.metrics import spearman_by_problem
from ta_assets.core.statistics.ranking import problem_average_precision
from ta_assets.core.values import jsonable

PERMUTATIONS = 10_000


def cross_validated(data: ProbeData, options: ProbeOptions, probe: str) -> dict[str, Any]:
    """Leave-one-problem-out scores of a probe and of all that is known without it, on the train and val problems.

    The test problems of the split are neither fitted on nor scored: whatever is chosen by these numbers is not chosen
    by the test. Residuals, where asked for, are taken anew in each fold from its train rows. A token probe chooses its
    epoch on the val problems of the split but the held-out one; every other probe is fitted on them, too.

    Returns:
        JSON-able: metric (average_precision with ties broken at random, as in the comparison, or spearman for a
        continuous target), problems (ids, sorted), probe and
        baseline (``all_known``): the metric within each problem when it is held out; None where it is undefined.

    Raises:
        ValueError: as ``cells.fit_model``; fewer than two problems outside the test, or none to choose an epoch on.
    """
    groups, part = data.rows["problem_id"].to_numpy(), data.rows["split"].to_numpy()
    outside = part != "test"
    problems = np.unique(groups[outside])
    if len(problems) < 2:
        raise ValueError(f"leaving one problem out needs two problems outside the test, found {len(problems)}")
    continuous = TARGETS[options.target].continuous
    known = KnownAlone.of(data.rows.take(np.flatnonzero(outside)))
    found: dict[str, list[float]] = {"probe": [], "baseline": []}
    for problem in problems:
        held_out = groups == problem
        train = outside & ~held_out
        fold = replace(data, train=train)
        if options.residualize_against != "none":
            fold = residual_data(fold, options)
        target = TARGETS[options.target].values(fold.rows)
        one = _with_val(fold, held_out) if probe in TOKEN_PROBES else fold
        both = {
            "probe": fit_model(probe, replace(one, by_block={}), options).scores[held_out],
            "baseline": known.scores(target[outside].astype(np.float64), held_out[outside]),
        }
        for name, own in both.items():
            found[name].append(_graded(target[held_out], own, continuous=continuous))
    return jsonable(
        {
            "metric": "spearman" if continuous else "average_precision",
            "problems": problems.tolist(),
            **found,
        }
    )


def _graded(truth: np.ndarray, scores: np.ndarray, *, continuous: bool) -> float:
    """Rank correlation, or average precision, within one problem; NaN where it is undefined."""
    if continuous:
        return float(spearman_by_problem(truth, scores, np.zeros(len(truth)))[0])
    mixed = 0 < truth.sum() < len(truth)
    return float(problem_average_precision(truth, scores[None])[0]) if mixed else float("nan")


def _with_val(fold: ProbeData, held_out: np.ndarray) -> ProbeData:
    """The fold with the val problems taken out of what is fitted on; where the only one is held out, the last train."""
    groups, part = fold.rows["problem_id"].to_numpy(), fold.rows["split"].to_numpy()
    val = (part == "val") & ~held_out
    if not val.any():
        val = groups == max(groups[fold.train])
    train = fold.train & ~val
    if not train.any():
        raise ValueError("a token probe needs a third problem outside the test to choose its epoch on")
    return replace(fold, train=train, rows=fold.rows.assign(split=np.where(val, "val", np.where(train, "train", ""))))


def leaderboard(cells: Sequence[Mapping[str, Any]], *, permutations: int = PERMUTATIONS, seed: int = 0) -> pd.DataFrame:
    """Every configuration with its score, best first within its target, and p-values that know how many were tried.

    Args:
        cells: each with key, setting, target, factors (by name), and what ``cross_validated`` returns.
        permutations: sign flips; all of them where there are fewer.
        seed: of the sign flips.

    Returns:
        One row a configuration: target, rank by difference (within the target: average precision and rank correlation
        are not comparable, nor are scores of labels of other prevalence), setting, one column a factor, metric,
        n_problems, score and baseline (means over problems), difference, t (by the standard error with the factor of
        shared training problems), one-sided p (its own) and adjusted_p (of the largest t over all configurations),
        key. One sign is drawn a problem and applied to every configuration, so that their dependence stays as it is.

    Raises:
        ValueError: no cells.
    """
    if not cells:
        raise ValueError("no configuration was finished")
    differences = _differences(cells)
    # fits share their training problems: noise that was learned must not look like an effect
    n_problems = (~np.isnan(differences)).sum(axis=1)
    shared = np.array([nadeau_bengio(max(n, 2), max(n - 1, 1)) for n in n_problems.tolist()])
    tested = sign_flip_max_t(differences.T, flips=permutations, seed=seed, two_sided=False, inflation=shared)
    names = sorted({name for cell in cells for name in cell["factors"]})
    rows = [
        {
            "target": cell["target"],
            "setting": cell["setting"],
            **{name: str(cell["factors"].get(name, "")) for name in names},
            "metric": cell["metric"],
            "n_problems": int(n_problems[index]),
            "score": _mean(cell["probe"]),
            "baseline": _mean(cell["baseline"]),
            "difference": _mean(differences[index].tolist()),
            "t": float(tested.statistics[index] / shared[index]),
            "p": float(tested.alone[index]),
            "adjusted_p": float(tested.adjusted[index]),
            "key": cell["key"],
        }
        for index, cell in enumerate(cells)
    ]
    table = pd.DataFrame(rows).sort_values(
        ["target", "difference", "key"], ascending=[True, False, True], na_position="last", ignore_index=True
    )
    table.insert(1, "rank", table.groupby("target").cumcount() + 1)
    return table


def _differences(cells: Sequence[Mapping[str, Any]]) -> np.ndarray:
    """[n_cells, n_problems] probe less baseline over the problems of all cells; one problem of two settings is one."""
    problems = sorted({problem for cell in cells for problem in cell["problems"]})
    at = {problem: index for index, problem in enumerate(problems)}
    matrix = np.full((len(cells), len(problems)), np.nan)
    for row, cell in enumerate(cells):
        columns = [at[problem] for problem in cell["problems"]]
        matrix[row, columns] = np.array(cell["probe"], dtype=float) - np.array(cell["baseline"], dtype=float)
    return matrix


def _mean(values: Sequence[float | None]) -> float:
    defined = [value for value in values if value is not None and not np.isnan(value)]
    return float(np.mean(defined)) if defined else float("nan")
