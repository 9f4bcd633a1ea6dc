"""How many rollouts a corpus has sampled of each sentence, told from the fractions that it stores.

Belongs here: the size of a campaign, and whether what a study says of it agrees. Stays out: counts of single sentences
(``rollout_counts``), files.

A fraction of 20 is a fraction of 100 as well. Taking the largest number that fits would multiply the evidence behind
every label; so the size is the least number that accounts for nearly every sentence of the corpus.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ta_assets.core.traces.rollout_counts import fractions_of, whole_numbers

MOST = 1000
"""Rollouts a sentence that are looked for."""
ALL_BUT = 0.005
"""Share of sentences that may stay unexplained: fractions that were edited or rounded."""
LEAST_ANSWERED = 0.9
"""Share of the rollouts of a campaign that its most fortunate sentence has answered, at least."""
TELLING = 10
"""Sentences with a fraction strictly between 0 and 1 below which a corpus tells nothing of its campaign."""


@dataclass(frozen=True)
class Campaign:
    """What the fractions of a corpus say of its campaign."""

    size: int | None
    """The least number of rollouts a sentence that accounts for nearly every sentence; None where too few tell."""
    telling: int
    """Sentences with a fraction strictly between 0 and 1."""
    unexplained: int
    """Sentences of which no number up to ``MOST`` makes every fraction whole."""


def campaign(traces: Iterable[Sequence[Mapping[str, Any]]]) -> Campaign:
    """Infer the size of a campaign.

    Args:
        traces: entries of ``chunks_labeled.json`` of every problem of the corpus.
    """
    least: list[int] = []
    unexplained = telling = 0
    for chunks in traces:
        for own in fractions_of(chunks):
            known = own[:2][~np.isnan(own[:2])]
            if not len(known):
                continue
            telling += bool(((known > 0) & (known < 1)).any())
            fits = whole_numbers(own, MOST)
            unexplained += not len(fits)
            least += [int(fits[0])] if len(fits) else []
    if telling < TELLING or not least:
        return Campaign(None, telling, unexplained)
    allowed = int(ALL_BUT * len(least))
    return Campaign(sorted(least)[len(least) - 1 - allowed], telling, unexplained)


def contradiction(found: Campaign, said: int) -> str | None:
    """What is wrong with a stated number of rollouts a sentence, or None.

    Fewer than the fractions need is wrong, and so is a number of which the fractions use only a part: if rollouts were
    as many as that, some sentence would have shown it.
    """
    if found.size is None:
        return None
    if said < found.size:
        return f"fractions are of up to {found.size} rollouts, but the study says {said}"
    if said > found.size / LEAST_ANSWERED:
        return f"every fraction is one of at most {found.size} rollouts, but the study says {said}"
    return None
