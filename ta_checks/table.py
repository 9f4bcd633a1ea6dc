"""All checks in the order in which they are evaluated and shown; each is described in its own file under ``rules``.

Names are stable and never carry a bound. A red ERROR check, or one that could not be evaluated, makes the verdict
NOT OK; a WARN check never does. A blocking check keeps what is built on its cell from being computed.
"""

from __future__ import annotations

from ta_assets.studies.study import Study
from ta_checks.invariant import Invariant
from ta_checks.rules.campaigns import (
    campaign_complete,
    graders_agree,
    labels_follow_parts,
    labels_reliable,
    prefixes_exact,
    rollouts_accounted,
)
from ta_checks.rules.cells import (
    aggregate_recomputes,
    all_seeds_aggregated,
    chosen_on_val,
    finite_metrics,
    fits_converged,
    metrics_measured_again,
    network_refits,
    predictions_recompute,
    scores_refit,
    scores_vary,
    seeds_differ,
)
from ta_checks.rules.claims import (
    beats_order_baseline,
    claims_recompute,
    claims_survive_correction,
    comparison_recomputes,
    deferral_objective_met,
    deferral_recomputes,
    enough_problems,
    fits_at_optimum,
    interval_not_degenerate,
    looks_counted,
    scores_out_of_fold,
)
from ta_checks.rules.data import (
    corpus_not_shrunk,
    label_support,
    labels_follow_fractions,
    labels_follow_rule,
    labels_recomputable,
    problems_are_distinct,
    problems_as_asked,
    rollouts_counted,
    split_is_disjoint,
    traces_are_whole,
)
from ta_checks.rules.files import (
    artifacts_intact,
    page_tells_artifacts,
    readme_is_current,
    report_is_current,
    report_is_inert,
    report_tells_artifacts,
)
from ta_checks.rules.refits import fits_refit
from ta_checks.rules.shuffles import beats_shuffled_labels, overfit_memorization, random_label
from ta_checks.rules.vectors import (
    activations_match_text,
    model_is_as_stated,
    model_reads_traces,
    plain_forward_agrees,
    span_integrity,
    vectors_are_sound,
    zero_skipped_problems,
)

INVARIANTS: tuple[Invariant, ...] = (
    *artifacts_intact.ROWS,
    campaign_complete.ROW,
    rollouts_accounted.ROW,
    prefixes_exact.ROW,
    labels_follow_parts.ROW,
    graders_agree.ROW,
    labels_reliable.ROW,
    problems_as_asked.ROW,
    corpus_not_shrunk.ROW,
    split_is_disjoint.ROW,
    labels_follow_rule.ROW,
    zero_skipped_problems.ROW_OF_LABELS,
    labels_follow_fractions.ROW,
    labels_recomputable.ROW,
    traces_are_whole.ROW,
    rollouts_counted.ROW,
    problems_are_distinct.ROW,
    zero_skipped_problems.ROW_OF_VECTORS,
    vectors_are_sound.ROW,
    activations_match_text.ROW,
    span_integrity.ROW,
    plain_forward_agrees.ROW,
    model_is_as_stated.ROW,
    model_reads_traces.ROW,
    scores_out_of_fold.ROW,
    fits_at_optimum.ROW,
    fits_refit.ROW,
    comparison_recomputes.ROW,
    claims_recompute.ROW,
    enough_problems.ROW,
    looks_counted.ROW,
    interval_not_degenerate.ROW,
    label_support.ROW,
    beats_order_baseline.ROW,
    claims_survive_correction.ROW,
    scores_refit.ROW,
    finite_metrics.ROW_OF_CELL,
    predictions_recompute.ROW,
    metrics_measured_again.ROW,
    network_refits.ROW,
    scores_vary.ROW,
    fits_converged.ROW,
    random_label.ROW,
    overfit_memorization.ROW,
    beats_shuffled_labels.ROW,
    all_seeds_aggregated.ROW,
    seeds_differ.ROW,
    aggregate_recomputes.ROW,
    chosen_on_val.ROW,
    finite_metrics.ROW_OF_MEAN,
    deferral_recomputes.ROW,
    deferral_objective_met.ROW,
    readme_is_current.ROW,
    page_tells_artifacts.ROW,
    report_tells_artifacts.ROW,
    report_is_inert.ROW,
    report_is_current.ROW,
)


def invariants_of(asset: str, study: Study | None = None) -> tuple[Invariant, ...]:
    """The checks of one asset, of those that the study asks for if one is given."""
    own = (invariant for invariant in INVARIANTS if invariant.asset == asset)
    return tuple(invariant for invariant in own if study is None or invariant.applies(study))
