"""From a stored deferral plan and the predictions behind it to the arguments of its rules.

Belongs here: choosing and reading evidence. Stays out: any judgement, which is the rule's.
"""

from __future__ import annotations

import numpy as np

from ta_assets.ledger.partitions import Cell
from ta_checks.evidence import Evidence
from ta_checks.verdict import Verdict


def deferral_recomputes(evidence: Evidence) -> Verdict:
    """Every plan of every seed and group against the predictions of its cell."""
    from ta_assets.core.results.deferral_cells import grouped_predictions, groups_of
    from ta_checks.rules.claims.deferral_recomputes import PlannedRows, deferral_recomputes

    value, store = evidence.value, evidence.world.store
    seeds = sorted({plan["seed"] for plan in value["plans"]})
    sentences = store.load("sentences", evidence.study.settings[evidence.partition].corpus)
    cells = {seed: store.load("probe_metrics", Cell(evidence.partition, seed).key) for seed in seeds}
    tables = {seed: grouped_predictions(cell.predictions, sentences) for seed, cell in cells.items()}
    planned = []
    for plan in value["plans"]:
        table = tables[plan["seed"]]
        for part in ("val", "test"):
            inside = (table["split"] == part).to_numpy() & (groups_of(table, value["group"]) == plan["group"])
            rows = table.take(np.flatnonzero(inside))
            planned.append(
                PlannedRows(
                    name=f"seed {plan['seed']}, {plan['group']}, {part}",
                    thresholds=(plan["t_neg"], plan["t_pos"]),
                    claimed=plan[part],
                    scores=rows[f"score_{value['probe']}"].to_numpy(dtype="float64"),
                    anchors=rows["anchor"].to_numpy(),
                )
            )
    return deferral_recomputes(planned)


def deferral_objective_met(evidence: Evidence) -> Verdict:
    """The plan's objective on val, and its mean rate on test."""
    from ta_checks.rules.claims.deferral_objective_met import deferral_objective_met

    value = evidence.value
    rate = {"budget": "deferral_rate", "error": "accepted_error"}[value["objective"]]
    infeasible = [
        f"seed {plan['seed']}, {plan['group']}: {rate} {plan['val'][rate]}"
        for plan in value["plans"]
        if not plan["meets_objective"]
    ]
    test_rate = value["summary"]["test"][rate]
    return deferral_objective_met(value["objective"], value["limit"], test_rate, infeasible, len(value["plans"]))
