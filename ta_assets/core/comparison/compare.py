"""Is a probe better than the obvious baseline, by how much, and if one cannot tell, how many problems would it take?

Belongs here: the comparison table of a setting. Stays out: fitting (``crossfit``), the rule of verdicts (``claims``),
the statistics themselves (``intervals``, ``increment``, ``nulls``, ``power``, ``label_noise``), rendering.

The unit is the problem: average precision within each problem that holds both classes, averaged over repeats. A probe
must beat every baseline (intersection-union test, Berger 1982), so the one with the least lead decides; all probes and
blocks are corrected together, and the level that p-values must reach is what the settings of a study and earlier looks
leave. The row of a setting is what activations add to all that is known without them. A lead that is gone among
sentences that could be anchors is none.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from ta_assets.core.comparison.claims import Tested, verdict_of
from ta_assets.core.comparison.comparison_row import ComparisonRow
from ta_assets.core.comparison.precision_table import (
    CHANCE,
    Family,
    PrecisionTable,
    graded_problems,
    kind_of,
    reads_activations,
)
from ta_assets.core.comparison.supported_lead import SupportedLeads
from ta_assets.core.comparison.twins import twins
from ta_assets.core.crossfit.fit import TRAINED_SUPPORT
from ta_assets.core.crossfit.increment import partial_products
from ta_assets.core.crossfit.nulls import RefitNull, adjusted_by_probe
from ta_assets.core.options import InferenceOptions
from ta_assets.core.probes.known import known_features
from ta_assets.core.score_columns import KEYS
from ta_assets.core.statistics import intervals, label_noise, power
from ta_assets.core.statistics.looks import Looked
from ta_assets.core.statistics.metrics import spearman_mean
from ta_assets.core.statistics.ranking import expected_top_k_recall
from ta_assets.core.statistics.spending import Spending
from ta_assets.core.values import CrossFitted, jsonable

TOP_K = 5
ORDER = ("increment", "probe", "baseline", "diagnosis")


def compared_rows(settings: Iterable[str], comparisons: Mapping[str, Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The rows of all comparisons that there are, each with its ``setting``."""
    found = [name for name in settings if name in comparisons]
    return [{"setting": name, **row} for name in found for row in comparisons[name]["rows"]]


def compare(
    rows: pd.DataFrame, fitted: CrossFitted, options: InferenceOptions, looked: Looked | None = None
) -> dict[str, Any]:
    """The comparison of a setting; JSON-able.

    Args:
        rows: the sentences of ``fitted.scores``: label columns, count columns where known.
        fitted: out-of-fold scores and nulls.
        options: margin, deltas, draws, seed, share of the first look.
        looked: what else the error is spent over; by default nothing, at a first look.

    Returns:
        n_problems, scheme, family (scores on activations, corrected together), settings, looks (of each up to this
        one: problems and level), level (what p-values must reach), chance, rows (one ``ComparisonRow`` per
        score; increments first, then probes, best first), supported (problems, sentences and chance of the second
        grading), support and ceiling (None without rollout counts).

    Raises:
        ValueError: rows and scores are of other sentences.
    """
    rows = rows.sort_values(KEYS, ignore_index=True)
    if not np.array_equal(rows[KEYS], fitted.scores[KEYS]):
        raise ValueError("the out-of-fold scores are of other sentences than the rows")
    table = PrecisionTable.of(fitted)
    probes = [name for name in table.names if reads_activations(name)]
    looked = looked or Looked(first=options.first_look)
    spending = Spending.of(looked, graded_problems(fitted))
    family = Family.of(table, probes, options, spending.level)
    baselines = Family.of(table, [name for name in table.names if name not in probes], options, spending.level)
    beyond = _beyond_known(rows, fitted, table)
    again = SupportedLeads.of(rows, fitted, options, spending.level)
    chance = _beyond_chance(fitted, table)
    support = label_noise.support(rows)
    ceiling = label_noise.noise_ceiling(rows, draws=options.ceiling_draws, seed=options.seed)
    oracle = ceiling.oracle if ceiling else None
    facts = _Facts(table, (family, baselines), beyond, chance, again, oracle, options, spending)
    compared = [_row(facts, rows, fitted, name) for name in table.names]
    compared.sort(key=lambda row: (ORDER.index(row.kind), -row.average_precision, row.name))
    repeats = twins(fitted, [row.name for row in compared])
    return jsonable(
        {
            "n_problems": len(table.chance),
            "scheme": fitted.record["scheme"],
            "family": len(probes),
            "settings": looked.settings,
            "looks": spending.looks,
            "level": spending.level,
            "chance": float(table.chance.mean()),
            "rows": [dataclasses.asdict(row) | {"twin_of": repeats.get(row.name)} for row in compared],
            "supported": again
            and {"problems": len(again.table.chance), "sentences": again.sentences, "chance": again.chance},
            "support": None if support is None else dataclasses.asdict(support),
            "ceiling": None if ceiling is None else dataclasses.asdict(ceiling),
        }
    )


@dataclass(frozen=True)
class _Facts:
    table: PrecisionTable
    families: tuple[Family, Family]
    """Family of the probes, family of the baselines."""
    beyond: Mapping[str, Mapping[str, float]]
    chance: Mapping[str, float]
    again: SupportedLeads | None
    ceiling: float | None
    options: InferenceOptions
    spending: Spending

    def family(self, name: str) -> Family:
        """Family that a row belongs to."""
        return self.families[0 if reads_activations(name) else 1]


def _beyond_known(rows: pd.DataFrame, fitted: CrossFitted, table: PrecisionTable) -> dict[str, dict[str, float]]:
    """Score on activations -> ``increment_p`` (partialling-out, Holm), and where it is linear and the labels could be
    permuted so, ``stratified_p`` and ``strata_p`` (refitted)."""
    probes = [name for name in table.names if reads_activations(name)]
    if not probes:
        return {}
    scores = np.concatenate([fitted.table.of(name) for name in probes]).T
    problems = rows["problem_id"].to_numpy()
    products = partial_products(rows["anchor"].to_numpy(), scores, problems, known_features(rows), scaled=False)
    # repeats of a score are averaged, as its precisions are
    products = products.reshape(len(products), len(probes), -1).mean(axis=2)
    p_values = [intervals.one_sided_p(column, inflation=table.trained) for column in products.T]
    adjusted = intervals.holm(np.array(p_values))
    refitted = {"stratified_p": _refitted(fitted, "stratified"), "strata_p": _refitted(fitted, "supported")}
    return {
        name: {"increment_p": float(p_value)} | {key: own[name] for key, own in refitted.items() if name in own}
        for name, p_value in zip(probes, adjusted, strict=True)
    }


def _beyond_chance(fitted: CrossFitted, table: PrecisionTable) -> dict[str, float]:
    """Score -> corrected p-value against shifted labels: refitted where the probe is linear, else over problems."""
    refitted = _refitted(fitted, "shifted")
    others = [name for name in table.names if name not in refitted]
    p_values = [
        intervals.one_sided_p(table.difference((name, CHANCE)), inflation=table.factor((name, CHANCE)))
        for name in others
    ]
    return refitted | dict(zip(others, map(float, intervals.holm(np.array(p_values))), strict=True))


def _refitted(fitted: CrossFitted, scheme: str) -> dict[str, float]:
    """Probe -> p-value corrected over penalties and probes; empty without activations."""
    null = RefitNull.of(fitted.nulls, scheme)
    return dict(adjusted_by_probe(null)) if null.hypotheses else {}


def _row(facts: _Facts, rows: pd.DataFrame, fitted: CrossFitted, name: str) -> ComparisonRow:
    """One score with its verdict."""
    table, options, spending = facts.table, facts.options, facts.spending
    rivals = table.rivals(name)
    against = min(rivals, key=lambda rival: (table.difference((name, rival)).mean(), rival))
    difference = table.difference((name, against))
    family, lead = facts.family(name), float(difference.mean())
    # to lead, a score must lead every rival; to be behind, it is enough to be behind one
    inflation = table.factor((name, against))
    p_value = max(family.adjusted[name, rival] for rival in rivals) if lead > 0 else family.behind[name, against]
    alone = intervals.interval(table.score(name), inflation=table.own_factor(name), seed=options.seed)
    interval = intervals.interval(difference, inflation=inflation, seed=options.seed)
    narrow = intervals.interval(difference, level=1 - 2 * spending.level, inflation=inflation, seed=options.seed)
    n_problems, beyond = len(difference), facts.beyond.get(name, {})
    deviation = float(difference.std(ddof=1)) if n_problems > 1 else 0.0
    level = min(power.level_of(family.critical[against], n_problems) or spending.level, spending.level)
    needed = partial(
        power.needed_for_lead,
        deviation=deviation,
        n=n_problems,
        alpha=lambda n: level * spending.share_of_later(n),
        inflation=inflation,
    )
    planned = needed(options.smallest_lead)
    half = family.critical[against] * interval.standard_error if interval else float("nan")
    row = ComparisonRow(
        name=name,
        kind=kind_of(name),
        average_precision=float(table.score(name).mean()),
        ap_low=alone.low if alone else None,
        ap_high=alone.high if alone else None,
        against=against,
        difference=lead,
        low=interval.low if interval else None,
        high=interval.high if interval else None,
        joint_low=lead - half if interval else None,
        joint_high=lead + half if interval else None,
        deviation=deviation,
        p=p_value,
        increment_p=beyond.get("increment_p"),
        stratified_p=beyond.get("stratified_p"),
        strata_p=beyond.get("strata_p"),
        support_share=_support_share(table, name),
        chance_p=facts.chance[name],
        **_share(facts, name),
        level=level,
        needed=planned.problems,
        needed_low=planned.low,
        needed_high=planned.high,
        needed_for={f"{delta:g}": needed(delta).problems for delta in options.deltas},
        **(facts.again.fields(name) if facts.again else {}),
        **_ranks(rows, fitted, name),
    )
    claim = verdict_of(Tested(row, n_problems, interval, narrow, options.margin, spending.level))
    return dataclasses.replace(row, verdict=claim.verdict, reason=claim.reason)


def _share(facts: _Facts, name: str) -> dict[str, Any]:
    """(AP - chance) / (ceiling - chance), and the interval of the numerator in the same units."""
    table, pair = facts.table, (name, CHANCE)
    room = 0.0 if facts.ceiling is None else facts.ceiling - float(table.chance.mean())
    if room <= 0:
        return {"share_of_ceiling": None, "share_low": None, "share_high": None}
    over = table.difference(pair)
    found = intervals.interval(over, inflation=table.factor(pair), seed=facts.options.seed)
    return {
        "share_of_ceiling": float(over.mean()) / room,
        "share_low": found.low / room if found else None,
        "share_high": found.high / room if found else None,
    }


def _support_share(table: PrecisionTable, name: str) -> float | None:
    """(AP of the trained support - chance) / (AP - chance) of a score on activations; None without counts or a lead."""
    if not reads_activations(name) or TRAINED_SUPPORT not in table.names:
        return None
    over = table.difference((name, CHANCE)).mean()
    return float(table.difference((TRAINED_SUPPORT, CHANCE)).mean() / over) if over > 0 else None


def _ranks(rows: pd.DataFrame, fitted: CrossFitted, name: str) -> dict[str, Any]:
    """``spearman`` and ``top_5_recall`` of one score."""
    importance, problems = rows["importance_score"].to_numpy(), rows["problem_id"].to_numpy()
    members = [problems == one for one in np.unique(problems)]
    repeats = fitted.table.of(name)
    recalls = [expected_top_k_recall(one[inside], importance[inside], TOP_K) for one in repeats for inside in members]
    spearman = np.mean([spearman_mean(one, importance, problems) for one in repeats])
    return {"spearman": float(spearman), f"top_{TOP_K}_recall": float(np.mean(recalls))}
