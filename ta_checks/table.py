"""What must be true before a release: the one table of invariants.

Names are stable and never carry a bound. A red ERROR check, or one that could not be evaluated, makes the verdict
NOT OK; a WARN check never does. A blocking check keeps what is built on its cell from being computed.
"""

from __future__ import annotations

from ta_assets.ledger.partitions import ASSETS
from ta_assets.studies.study import Study
from ta_checks import comparisons, deferral_evidence, evaluations, fit_evidence, label_evidence, recomputation
from ta_checks.invariant import Invariant

INVARIANTS: tuple[Invariant, ...] = (
    *(
        Invariant(
            "artifacts_intact",
            asset,
            evaluations.artifacts_intact,
            "A stored file is missing or is not the one that was recorded when the cell was made: it was changed "
            "outside Dagster. Nothing made from it can be believed. Find out why, then materialize the cell.",
            blocking=True,
            every_release=True,
        )
        for asset in ASSETS
    ),
    Invariant(
        "problems_as_asked",
        "problem_ids",
        recomputation.problems_as_asked,
        "The setting has other problems than its study asks for: some were dropped, invented or listed twice. "
        "Materialize problem_ids; if it stays red, the listing or the sampling is wrong.",
    ),
    Invariant(
        "split_is_disjoint",
        "splits",
        evaluations.split_is_disjoint,
        "A problem is in two parts of the split, in none, or a part is empty: test scores would be training scores. "
        "Materialize splits again; if it stays red, the split rule is wrong.",
        blocking=True,
    ),
    Invariant(
        "labels_follow_rule",
        "sentences",
        recomputation.labels_follow_rule,
        "The labelled sentences of a problem are not what the study's rule makes of the dataset: shifted, of another "
        "problem, with another sign or percentile. Materialize sentences; if it stays red, the label rule is wrong.",
        blocking=True,
    ),
    Invariant(
        "zero_skipped_problems",
        "sentences",
        recomputation.every_problem_labelled,
        "Problems of the corpus have no labels, since their files are absent, malformed or without the label's field: "
        "the study would report on fewer problems than it names. The offenders say what each one lacks; mend the data, "
        "or choose other problems, then materialize sentences.",
    ),
    Invariant(
        "labels_recomputable",
        "sentences",
        label_evidence.labels_recomputable,
        "The labels of a problem, computed again from its rollouts, are not the stored ones: they belong to other "
        "rollouts or sentences, or follow another formula, so probes would learn something else. Look at the "
        "offenders; if the details say that a cosine is next to the threshold, check the embedding model.",
        every_release=True,  # rollouts are no part of what sentences are made from, and may change without them
        parameters=lambda study: {"verification": study.verification.model_dump(), "field": study.labels.field},
        applies=lambda study: study.verifies_labels,
    ),
    Invariant(
        "zero_skipped_problems",
        "activations",
        evaluations.zero_skipped_problems,
        "Some problems have no activations, so results are about fewer problems than the study says. The offenders "
        "carry the reasons: a longer context, more memory or a repaired text helps; or leave them out of the study.",
    ),
    Invariant(
        "vectors_are_sound",
        "activations",
        recomputation.vectors_are_sound,
        "Stored vectors are not finite, of another width or type, zero, or the same for several sentences. Materialize "
        "activations with reuse turned off; if it stays red, store float32 or look at the language model.",
        blocking=True,
    ),
    Invariant(
        "activations_match_text",
        "activations",
        evaluations.activations_match_text,
        "Vectors computed afresh differ from the stored ones: rows shuffled, another problem, another block or another "
        "model. Materialize activations with reuse turned off. Compared are the first sentences of every problem (two "
        "to a fourth of them) and three problems to their end; the stored vectors decide which. Where texts are short, "
        "that takes nearly as long as the extraction itself.",
        blocking=True,
        uses_model=True,
    ),
    Invariant(
        "span_integrity",
        "activations",
        evaluations.span_integrity,
        "The tokens of a sentence do not decode to its text, so its vector is about something else. Look at the "
        "offenders' texts and at the tokenizer's offsets.",
    ),
    Invariant(
        "scores_out_of_fold",
        "cv_scores",
        recomputation.scores_out_of_fold,
        "Out-of-fold scores are of other sentences, or permuted labels can be predicted: a fold trains on what it is "
        "scored on. Nothing in the comparison can be believed. Materialize cv_scores; if it stays red, the folds are "
        "wrong.",
    ),
    Invariant(
        "fits_at_optimum",
        "cv_scores",
        fit_evidence.fits_at_optimum,
        "A fit stopped short of the minimum of its loss, so its score is another one than its name says and depends on "
        "where it stopped. Look at the offenders and at the features' scale; raise the solver's limit of iterations.",
    ),
    Invariant(
        "comparison_recomputes",
        "probe_comparison",
        recomputation.comparison_recomputes,
        "The comparison is not that of the stored out-of-fold scores, or a verdict contradicts its own interval. "
        "Materialize probe_comparison; if it stays red, its arithmetic is wrong.",
    ),
    Invariant(
        "enough_problems",
        "probe_comparison",
        comparisons.enough_problems,
        "A probe is called better or worse on fewer problems than an interval needs. Use more problems; nothing can be "
        "claimed from these.",
    ),
    Invariant(
        "interval_not_degenerate",
        "probe_comparison",
        comparisons.interval_not_degenerate,
        "An interval has no width, leaves out its estimate, or is given for too few problems: its coverage is not what "
        "it says. Materialize cv_scores and probe_comparison again; if it stays red, the statistics are wrong.",
    ),
    Invariant(
        "label_support",
        "probe_comparison",
        comparisons.label_support,
        "Most anchors rest on a handful of rollouts, so the labels are mostly sampling noise. Not an error of the "
        "pipeline: sample more rollouts, or read every score against the noise ceiling.",
        severity="WARN",
    ),
    Invariant(
        "beats_order_baseline",
        "probe_comparison",
        comparisons.beats_order_baseline,
        "No probe is better than ranking earlier sentences higher, which needs no model and no training. Not an error "
        "of the pipeline: there is nothing to claim.",
        severity="WARN",
    ),
    Invariant(
        "claims_survive_correction",
        "probe_comparison",
        comparisons.claims_survive_correction,
        "A single test would call a probe better, the correction for all probes, blocks and baselines does not. Do not "
        "report it alone; the comparison says how many problems would decide.",
        severity="WARN",
    ),
    Invariant(
        "scores_refit",
        "seed_free_scores",
        recomputation.scores_refit,
        "A linear model, fitted again to the training sentences, gives other scores than the stored ones: it saw test "
        "sentences, other labels, or other features. Materialize seed_free_scores; if it stays red, the fit is wrong.",
    ),
    Invariant(
        "finite_metrics",
        "probe_metrics",
        evaluations.finite_probe_metrics,
        "A metric is NaN or infinite, mostly because a part of the split has one class only. Use more problems or "
        "another split seed.",
        blocking=True,
    ),
    Invariant(
        "predictions_recompute",
        "probe_metrics",
        recomputation.predictions_recompute,
        "The predictions are of other sentences, labels or another seed, or the metrics are not theirs: the cell was "
        "copied, or measured on something else. Materialize the cell; if it stays red, the evaluation is wrong.",
    ),
    Invariant(
        "scores_vary",
        "probe_metrics",
        recomputation.scores_vary,
        "A model scores all sentences of every problem alike: its fit collapsed, and its metrics are those of chance. "
        "Look at the fit's warnings and at the vectors.",
    ),
    Invariant(
        "fits_converged",
        "probe_metrics",
        fit_evidence.fits_converged,
        "A solver or network stopped at its limit of iterations, so its scores depend on that limit. No error of the "
        "pipeline: raise the limit (mlp_max_iter, epochs of token probes), or say so beside the score.",
        severity="WARN",
    ),
    Invariant(
        "random_label",
        "probe_metrics",
        evaluations.random_label,
        "Probes fitted on shuffled labels score better or worse than chance on the test problems: labels leak into "
        "the test, or were not shuffled. No score of this cell can be believed.",
        parameters=lambda study: {"permutations": study.statistics.permutations},
    ),
    Invariant(
        "overfit_memorization",
        "probe_metrics",
        evaluations.overfit_memorization,
        "Even a next to unpenalized probe cannot memorize one training problem: vectors are constant, collapsed or "
        "duplicated with conflicting labels. Look at the extraction.",
    ),
    Invariant(
        "beats_shuffled_labels",
        "probe_metrics",
        evaluations.beats_shuffled_labels,
        "No probe is distinguishable from probes fitted on shuffled labels. Not an error of the pipeline: there is "
        "too little signal, or there are too few problems, to claim anything.",
        severity="WARN",
        parameters=lambda study: {"permutations": study.statistics.permutations},
    ),
    Invariant(
        "all_seeds_aggregated",
        "aggregate_metrics",
        evaluations.all_seeds_aggregated,
        "The mean is over fewer seeds than the study has; the offenders say which cells were left out and why. "
        "Repair those cells and release again.",
    ),
    Invariant(
        "seeds_differ",
        "aggregate_metrics",
        recomputation.seeds_differ,
        "Two seeds gave the same seeded probe, or other scores of a model that knows no seed: a standard deviation "
        "over seeds says nothing. Materialize the cells; if it stays red, the seed does not reach the probe.",
    ),
    Invariant(
        "aggregate_recomputes",
        "aggregate_metrics",
        recomputation.aggregate_recomputes,
        "A mean or standard deviation is not that of the stored cells. Materialize aggregate_metrics; if it stays red, "
        "its arithmetic is wrong.",
    ),
    Invariant(
        "finite_metrics",
        "aggregate_metrics",
        evaluations.finite_aggregate_metrics,
        "A mean or standard deviation is NaN or infinite. Look at finite_metrics of the cells.",
    ),
    Invariant(
        "deferral_recomputes",
        "deferral_plan",
        deferral_evidence.deferral_recomputes,
        "Thresholds are out of order, or applied to the stored predictions they give other counts than the plan says: "
        "the plan is of other predictions, or its arithmetic is wrong. Materialize deferral_plan.",
    ),
    Invariant(
        "deferral_objective_met",
        "deferral_plan",
        deferral_evidence.deferral_objective_met,
        "The plan does not keep its objective: no thresholds do on the validation problems, or those that do there "
        "fail on the test problems. Not an error of the pipeline: ask for less, or use more problems.",
        severity="WARN",
    ),
    Invariant(
        "readme_is_current",
        "readme_block",
        evaluations.readme_is_current,
        "The block in the file is not what the present results would print: it was edited by hand or is of an older "
        "run. Materialize readme_block.",
        every_release=True,
    ),
)


def invariants_of(asset: str, study: Study | None = None) -> tuple[Invariant, ...]:
    """The rows of the table that are about one asset and that the study, if one is given, asks for."""
    own = (invariant for invariant in INVARIANTS if invariant.asset == asset)
    return tuple(invariant for invariant in own if study is None or invariant.applies(study))
