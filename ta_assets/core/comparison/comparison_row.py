"""One row of a comparison: what is known of one score of a setting.

Belongs here: the record. Stays out: its numbers (``compare``), the rule of its verdict (``claims``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class ComparisonRow:
    """The keys of a stored row are these fields, in this order; None where a number is undefined."""

    name: str
    kind: str
    """increment (activations beside all that is known), probe (activations alone), baseline, or diagnosis."""
    average_precision: float
    """Mean over problems of the average precision within a problem."""
    ap_low: float | None
    """Lower end of the 95 % interval of ``average_precision`` over problems."""
    ap_high: float | None
    """Upper end of it."""
    against: str
    """The rival with the least lead."""
    difference: float
    """Lead over ``against``, in average precision."""
    low: float | None
    """Lower end of the 95 % interval of ``difference``."""
    high: float | None
    """Upper end of it."""
    joint_low: float | None
    """Lower end of the interval of ``difference`` that holds with those of all rows of its family over the same rival:
    by the largest of their statistics in 95 % of the flips."""
    joint_high: float | None
    """Upper end of it."""
    deviation: float
    """Standard deviation (ddof 1) of the lead over problems."""
    p: float
    """Adjusted p-value: of a lead the largest over all rivals, of being behind that against ``against``."""
    increment_p: float | None
    """Adjusted p-value of what the score tells beyond all that is known, by partialling-out; None for baselines."""
    stratified_p: float | None
    """That beyond position, by refits to labels permuted among neighbours; None where the probe is not linear or traces
    are short."""
    strata_p: float | None
    """That beyond the number of dissimilar rollouts, by refits to labels permuted within its strata; None where the
    probe is not linear or rollouts are not known."""
    supported_p: float | None = None
    """``p`` of the lead among sentences that could be anchors; None for baselines and where rollouts are not known."""
    supported_against: str | None = None
    """The rival with the least lead there."""
    supported_difference: float | None = None
    """Lead over it there."""
    supported_low: float | None = None
    """Lower end of its 95 % interval."""
    supported_high: float | None = None
    """Upper end of it."""
    support_share: float | None = None
    """What the number of dissimilar rollouts alone scores above chance, as a share of what this score does."""
    chance_p: float
    """Adjusted p-value against labels shifted around their traces."""
    share_of_ceiling: float | None
    """(average precision - chance) / (ceiling - chance); None without rollout counts."""
    share_low: float | None
    """Lower end of the interval of the numerator, in the same units."""
    share_high: float | None
    """Upper end of it."""
    level: float
    """Level of one test in the family of this row, at this look."""
    needed: int | None
    """Problems for 80 % power at the smallest lead of interest (``power.needed_for_lead``), at the level that a next
    look at so many has; None: too many."""
    needed_low: int | None
    """The same by the lower end of the 95 % interval of the deviation."""
    needed_high: int | None
    """By its upper end."""
    needed_for: Mapping[str, int | None]
    """Lead -> problems for 80 % power."""
    verdict: str = ""
    """better, worse, no difference, or inconclusive with what it would take; empty until it is judged."""
    reason: str = ""
    """The reason of the verdict, in words."""
    twin_of: str | None = None
    """A better score on activations that this one repeats: both are one finding (``twins``)."""
    expected_precision: float | None = None
    """Precision at the number of anchors against the true ones, in expectation over the posterior of what the rollouts
    say; None where they are not known."""
    spearman: float
    """Mean over problems and repeats of the rank correlation of score and importance."""
    top_5_recall: float
    """Mean over problems and repeats of the expected recall among the five highest scores."""
