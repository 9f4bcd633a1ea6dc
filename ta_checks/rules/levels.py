"""What claims must keep to, written down here a second time: checks take no bound from the code that they judge."""

from __future__ import annotations

ALPHA = 0.05
"""Level of every test, and of every family of tests."""
MIN_PROBLEMS = 5
"""Fewest problems of both classes for an interval."""
ON_ACTIVATIONS = ("increment", "probe")
"""Kinds of rows whose scores read activations."""
CLAIMS = ("better", "worse")
"""Verdicts of a comparison that say that two scores differ."""
FURTHER_TESTS = ("chance_p", "increment_p", "stratified_p", "strata_p", "supported_p")
"""Columns with the p-values, beside ``p``, that a lead must pass as well to be called better; None where not asked."""
