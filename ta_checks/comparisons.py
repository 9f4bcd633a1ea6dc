"""From evidence to the arguments of the rules on a comparison; counts and leads are taken from scores and labels.

Belongs here: choosing and reading evidence. Stays out: any judgement, which is the rule's.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from ta_checks.evidence import Evidence
from ta_checks.verdict import Verdict


def enough_problems(evidence: Evidence) -> Verdict:
    """The verdicts of the rows against the problems that hold both classes."""
    from ta_checks.rules.claims.enough_problems import enough_problems

    return enough_problems(evidence.value["rows"], _mixed(evidence))


def interval_not_degenerate(evidence: Evidence) -> Verdict:
    """Every interval of the rows."""
    from ta_checks.rules.claims.interval_not_degenerate import interval_not_degenerate

    return interval_not_degenerate(evidence.value["rows"], _mixed(evidence))


def label_support(evidence: Evidence) -> Verdict:
    """The rollouts behind the anchors of the setting."""
    from ta_checks.rules.data.label_support import label_support

    rows = _sentences(evidence)
    return label_support(*(rows[name].to_numpy() for name in ("n_different", "anchor", "problem_id")))


def beats_order_baseline(evidence: Evidence) -> Verdict:
    """Every probe's lead over the untrained order, from the out-of-fold scores."""
    from ta_checks.rules.claims.beats_order_baseline import beats_order_baseline

    rivals = dict.fromkeys(_probes(evidence), "order")
    return beats_order_baseline(_leads(evidence, rivals), _factors(evidence, rivals))


def claims_survive_correction(evidence: Evidence) -> Verdict:
    """Every probe's lead over its hardest rival, from the out-of-fold scores, and what the comparison says."""
    from ta_checks.rules.claims.claims_survive_correction import claims_survive_correction

    rows = evidence.value["rows"]
    rivals = {row["name"]: row["against"] for row in rows if row["kind"] in ("increment", "probe")}
    return claims_survive_correction(rows, _leads(evidence, rivals), _factors(evidence, rivals))


def _probes(evidence: Evidence) -> list[str]:
    return [row["name"] for row in evidence.value["rows"] if row["kind"] == "probe"]


def _sentences(evidence: Evidence) -> pd.DataFrame:
    """Labelled sentences of the setting's problems."""
    store, setting = evidence.world.store, evidence.partition
    sentences = store.load("sentences", evidence.study.settings[setting].corpus)
    inside = sentences["problem_id"].isin(store.load("problem_ids", setting)).to_numpy()
    return sentences.take(np.flatnonzero(inside)).reset_index(drop=True)


def _mixed(evidence: Evidence) -> int:
    from ta_assets.core.statistics.ranking import mixed_problems

    scores = evidence.world.store.load("cv_scores", evidence.partition).scores
    rows = _sentences(evidence).merge(scores[["problem_id", "chunk_idx"]], on=["problem_id", "chunk_idx"])
    return len(mixed_problems(rows["anchor"].to_numpy(), rows["problem_id"].to_numpy()))


def precision_of(scores: pd.DataFrame, name: str) -> np.ndarray:
    """[n_problems] average precision of a score within each problem of both classes, averaged over repeats.

    By code of its own, which is slow and plain: the comparison is held against it.

    Args:
        scores: out-of-fold scores, see ``CrossFitted``.
        name: of the score, or ``chance`` for a random order.
    """
    columns = [column for column in scores.columns if column.rpartition("/")[0] == name]
    found = []
    for _, rows in scores.groupby("problem_id", sort=True):
        labels = rows["anchor"].tolist()
        if 0 < sum(labels) < len(labels):
            ranked = [[0.0] * len(labels)] if name == "chance" else [rows[column].tolist() for column in columns]
            found.append(np.mean([_precision(labels, one) for one in ranked]))
    return np.array(found)


def _precision(labels: list[int], scores: list[float]) -> float:
    """Mean over the anchors of the expected precision at their place, tied scores in random order."""
    blocks: dict[float, list[int]] = {}
    for label, score in zip(labels, scores, strict=True):
        blocks.setdefault(score, []).append(label)
    total, above, hits = 0.0, 0, 0
    for score in sorted(blocks, reverse=True):
        length, inside = len(blocks[score]), sum(blocks[score])
        for place in range(1, length + 1):
            others = (place - 1) * (inside - 1) / (length - 1) if length > 1 else 0.0
            total += inside / length * (hits + 1 + others) / (above + place)
        above, hits = above + length, hits + inside
    return total / hits


def _factors(evidence: Evidence, rivals: dict[str, str]) -> dict[str, float]:
    """Name -> factor on the standard error of its lead over its rival, for the training problems that folds share."""
    from ta_assets.core.results.precision_table import PrecisionTable

    table = PrecisionTable.of(evidence.world.store.load("cv_scores", evidence.partition))
    return {pair[0]: table.factor(pair) for pair in rivals.items()}


def _leads(evidence: Evidence, rivals: dict[str, str]) -> dict[str, np.ndarray]:
    """Name -> [n_problems] lead in average precision over its rival, averaged over repeats."""
    scores: pd.DataFrame = evidence.world.store.load("cv_scores", evidence.partition).scores
    return {name: precision_of(scores, name) - precision_of(scores, rival) for name, rival in rivals.items()}
