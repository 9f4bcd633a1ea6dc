"""The tokens that were pooled for a sentence decode to that sentence."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np

from ta_checks.evidence import Evidence
from ta_checks.invariant import Invariant
from ta_checks.verdict import Verdict
from ta_resources.storage.artifacts import Activations
from ta_resources.storage.shards import read_shard

SPAN_COLUMNS = ["token_start", "token_end"]
MINIMUM_SHARE = 1.0
"""All of them: with SmolLM2's tokenizer 4,542 of the 4,542 sentences of the public data (32 problem-corpora) decode to
their exact text, so a single failure is a fault and not noise."""
FORMS: tuple[Literal["NFC", "NFKC"], ...] = ("NFC", "NFKC")
"""Unicode forms in which two texts may be equal: composed, and with compatibility forms replaced (an ellipsis is three
stops), as SentencePiece's tokenizers read a text."""
MAX_EXTRA_CHARACTERS = 8
"""Most characters that tokens across the ends of a sentence may add, whitespace not counted: a stop and a bracket, or
half a word. The public data needs 0. Without a bound a span over the whole trace would pass."""


def read(evidence: Evidence) -> dict[str, Any]:
    """Every sentence against the text that its stored token span decodes to."""
    activations: Activations = evidence.value
    files, study = evidence.world.store.files, evidence.study
    source = evidence.world.source(evidence.partition)
    tokenizer = evidence.world.language_model.tokenizer(study.extraction_spec(evidence.partition))
    decoded: list[str] = []
    narrower: list[tuple[str, str]] = []
    sentences: list[str] = []
    keys: list[tuple[int, int]] = []
    for problem in evidence.world.rollouts.load_problems(source, sorted(activations.shards)):
        pooled = read_shard(files, activations.shards[problem.problem_id])
        own = activations.spans.loc[activations.spans["problem_id"] == problem.problem_id, SPAN_COLUMNS]
        spans = np.asarray(own)
        decoded += tokenizer.decode_spans(pooled.text, spans)
        later, sooner = (tokenizer.decode_spans(pooled.text, spans + np.array(less)) for less in ([1, 0], [0, -1]))
        narrower += zip(later, sooner, strict=True)
        sentences += problem.sentences
        keys += [(problem.problem_id, index) for index in range(len(problem.sentences))]
    as_read = tokenizer.as_read(sentences)
    return {"decoded": decoded, "sentences": sentences, "keys": keys, "as_read": as_read, "narrower": narrower}


def span_integrity(
    decoded: Sequence[str],
    sentences: Sequence[str],
    keys: Sequence[tuple[int, int]],
    *,
    as_read: Sequence[str] | None = None,
    narrower: Sequence[tuple[str, str]] | None = None,
    minimum: float = MINIMUM_SHARE,
) -> Verdict:
    """Fail when fewer than ``minimum`` of the sentences lie whole, and nearly alone, in what their tokens decode to.

    Case and runs of whitespace do not count. The sentence must lie in the decoded text and not the other way round, or
    an empty or one-letter decode would pass. A tokenizer may normalize what it reads (compatibility forms, accents, its
    own sign for what it does not know), so a sentence may also stand there in NFKC, or as the tokenizer reads it. A
    token at either end without which the sentence is still there whole is another's: the span is off by one.

    Args:
        decoded: text of each sentence's tokens.
        sentences: text of each sentence.
        keys: problem id and sentence index of each, for the offenders.
        as_read: what the tokens of each sentence alone decode to; None for the sentences themselves.
        narrower: text of each sentence's tokens but the first, and but the last; None where nobody asks.
        minimum: share in [0, 1].
    """
    alone = sentences if as_read is None else as_read
    without = [("", "")] * len(sentences) if narrower is None else narrower
    if not len(decoded) == len(sentences) == len(keys) == len(alone) == len(without):
        counts = f"{len(decoded)} decoded texts, {len(sentences)} sentences ({len(alone)} as read), {len(keys)} keys"
        return Verdict.failed(f"rows do not fit together: {counts}", n=len(sentences))
    if not sentences:
        return Verdict.failed("there are no sentences")
    offenders = [
        f"problem {problem}, sentence {index}: tokens say {text[:80]!r}, expected {sentence[:80]!r}"
        for text, sentence, own, ends, (problem, index) in zip(decoded, sentences, alone, without, keys, strict=True)
        if not _is_said(text, sentence, own) or _is_wide(text, sentence, own, ends)
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


ROW = Invariant(
    "span_integrity",
    "activations",
    read,
    span_integrity,
    "The tokens of a sentence do not decode to its text, so its vector is about something else. Look at the "
    "offenders' texts and at the tokenizer's offsets.",
)


def _is_said(text: str, sentence: str, own: str) -> bool:
    return any(_says(text, wanted, form) for wanted in (sentence, own) for form in FORMS)


def _is_wide(text: str, sentence: str, own: str, ends: tuple[str, str]) -> bool:
    """Whether a token at either end could go; one of a sentence that begins or ends with whitespace may hold that."""
    return any(
        _visible(edge) and _visible(end) < _visible(text) and _is_said(end, sentence, own)
        for edge, end in zip((sentence[:1], sentence[-1:]), ends, strict=True)
    )


def _visible(text: str) -> int:
    """Characters that show."""
    return sum(one.isprintable() and not one.isspace() for one in text)


def _says(decoded: str, sentence: str, form: Literal["NFC", "NFKC"]) -> bool:
    text, wanted = (" ".join(unicodedata.normalize(form, one).split()).lower() for one in (decoded, sentence))
    return bool(wanted) and wanted in text and len(text) - len(wanted) <= MAX_EXTRA_CHARACTERS
