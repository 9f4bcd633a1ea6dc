"""Rule: at least one probe ranks the test sentences better than probes that were fitted on shuffled labels.

Belongs here: this rule, permutation p-values and their correction. Stays out: shuffling and fitting
(``shuffled_labels``), effect sizes and intervals, Dagster.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from ta_checks.labelled_vectors import LabelledVectors
from ta_checks.shuffled_labels import agreement_by_problem, measure_of, obstacle, shuffled_probes
from ta_checks.verdict import Verdict

LEVEL = 0.05
BASELINE_SUFFIX = "_baseline"
"""A baseline sees no activations; that it beats shuffled probes says nothing about them, so it cannot pass the rule."""


def beats_shuffled_labels(
    data: LabelledVectors, scores: Mapping[str, np.ndarray], *, seed: int, permutations: int = 200
) -> Verdict:
    """Fail when no probe's mean AUROC within the test problems stands out from the shuffled ones.

    Where the target is continuous, half of one plus the rank correlation takes the place of AUROC.

    The p-value of a probe is (1 + number of shuffled probes at least as good) / (1 + permutations) (Phipson and Smyth
    2010), adjusted over the probes by Holm's method. All probes meet the same shuffled ridge probes on the activation
    vectors, whatever their own form: refitting an MLP 200 times would cost hours, and what is asked is whether labels
    matter, not which probe is better. Baselines are reported in the details only.

    Args:
        data: the sentences of the cell.
        scores: name -> [n_sentences] float aligned to ``data``; only test rows are read, others may be NaN.
        seed: of the shuffles.
        permutations: number of shuffles; the smallest p-value is 1 / (1 + permutations).

    Returns:
        observed is the smallest adjusted p-value; offenders are the probes above the level.

    Raises:
        ValueError: scores have another length, or a vector is not finite.
    """
    wrong = [name for name, values in scores.items() if values.shape != data.anchors.shape]
    if wrong:
        raise ValueError(f"scores of {', '.join(wrong)} are not one a sentence")
    probes = [name for name in scores if not name.endswith(BASELINE_SUFFIX)]
    reason = obstacle(data) or (None if probes else "there is no probe on activations")
    if reason:
        return Verdict.skipped(reason)
    null = shuffled_probes(data, np.random.default_rng(seed), permutations).aurocs
    aurocs, p_values = {}, {}
    for name, values in scores.items():
        known = bool(np.isfinite(values[data.test]).all())
        by_problem = agreement_by_problem(data, data.target[data.test], values[data.test]) if known else []
        aurocs[name] = float(np.nanmean(by_problem)) if known else float("nan")
        # A score that is not finite beats nothing.
        p_values[name] = (1 + np.count_nonzero(null >= aurocs[name])) / (1 + len(null)) if known else 1.0
    adjusted = holm({name: p_values[name] for name in probes})
    best = min(probes, key=lambda name: (adjusted[name], -np.nan_to_num(aurocs[name])))
    measure = measure_of(data)
    lines = [f"{name}: adjusted p {p:.3g}, {measure} {aurocs[name]:.3f}" for name, p in adjusted.items() if p > LEVEL]
    return Verdict.judge(
        adjusted[best],
        "<=",
        LEVEL,
        unit="adjusted p",
        n=permutations,
        offenders=lines,
        message=f"{len(probes) - len(lines)} of {len(probes)} probes beat shuffled labels; "
        f"best is {best} with {measure} {aurocs[best]:.3f}, shuffled {null.mean():.3f} ± {null.std():.3f}",
        details={
            "auroc" if data.importance is None else "agreement": aurocs,
            "p": p_values,
            "adjusted_p": adjusted,
            "null_mean": null.mean(),
            "null_sd": null.std(),
        },
    )


def holm(p_values: Mapping[str, float]) -> dict[str, float]:
    """Adjust p-values for their number (Holm 1979), so that the chance of any false claim stays below the level."""
    adjusted, running = {}, 0.0
    for rank, name in enumerate(sorted(p_values, key=lambda one: p_values[one])):
        running = max(running, min(1.0, (len(p_values) - rank) * p_values[name]))
        adjusted[name] = running
    return {name: adjusted[name] for name in p_values}
