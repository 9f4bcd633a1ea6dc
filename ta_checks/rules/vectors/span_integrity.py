"""Rule: the tokens that were pooled for a sentence decode to that sentence.

Belongs here: this rule. Stays out: alignment (``ta_assets.core.traces.spans``), the tokenizer, Dagster.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from typing import Literal

from ta_checks.verdict import Verdict

MINIMUM_SHARE = 1.0
"""All of them. The predecessor wanted 90 % of 20; with SmolLM2's tokenizer 4,542 of the 4,542 sentences of the public
data (32 problem-corpora) decode to their exact text, so a single failure is a fault and not noise."""
FORMS: tuple[Literal["NFC", "NFKC"], ...] = ("NFC", "NFKC")
"""Unicode forms in which two texts may be equal: composed, and with compatibility forms replaced (an ellipsis is three
stops), as SentencePiece's tokenizers read a text."""
MAX_EXTRA_CHARACTERS = 8
"""What tokens that straddle the ends of a sentence may add, whitespace not counted: a stop and a bracket, or half a
word. The public data needs 0. Without a bound a span over the whole trace would pass."""


def span_integrity(
    decoded: Sequence[str],
    sentences: Sequence[str],
    keys: Sequence[tuple[int, int]],
    *,
    as_read: Sequence[str] | None = None,
    minimum: float = MINIMUM_SHARE,
) -> Verdict:
    """Fail when fewer than ``minimum`` of the sentences lie whole, and nearly alone, in what their tokens decode to.

    Case and runs of whitespace do not count, as in the predecessor. Its "either contains the other" is not kept: an
    empty or one-letter decode would pass. A tokenizer may normalize what it reads (compatibility forms, accents, its
    own sign for what it does not know), so a sentence may also stand there in NFKC, or as the tokenizer reads it.

    Args:
        decoded: text of each sentence's tokens.
        sentences: text of each sentence.
        keys: problem id and sentence index of each, for the offenders.
        as_read: what the tokens of each sentence alone decode to; None for the sentences themselves.
        minimum: share in [0, 1].
    """
    read = sentences if as_read is None else as_read
    if not len(decoded) == len(sentences) == len(keys) == len(read):
        counts = f"{len(decoded)} decoded texts, {len(sentences)} sentences ({len(read)} as read), {len(keys)} keys"
        return Verdict.failed(f"rows do not fit together: {counts}", n=len(sentences))
    if not sentences:
        return Verdict.failed("there are no sentences")
    offenders = [
        f"problem {problem}, sentence {index}: tokens say {text[:80]!r}, expected {sentence[:80]!r}"
        for text, sentence, alone, (problem, index) in zip(decoded, sentences, read, keys, strict=True)
        if not any(_says(text, wanted, form) for wanted in (sentence, alone) for form in FORMS)
    ]
    good = len(sentences) - len(offenders)
    return Verdict.judge(
        good / len(sentences),
        ">=",
        minimum,
        unit="share of sentences",
        n=len(sentences),
        offenders=offenders,
        message=f"the tokens of {good} of {len(sentences)} sentences decode to their text",
    )


def _says(decoded: str, sentence: str, form: Literal["NFC", "NFKC"]) -> bool:
    text, wanted = (" ".join(unicodedata.normalize(form, one).split()).lower() for one in (decoded, sentence))
    return bool(wanted) and wanted in text and len(text) - len(wanted) <= MAX_EXTRA_CHARACTERS
