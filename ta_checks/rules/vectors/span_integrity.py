"""The tokens that were pooled for a sentence decode to that sentence."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

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
MAX_EXTRA_CHARACTERS = 8
"""Most characters that tokens across the ends of a sentence may add, whitespace not counted: a stop and a bracket, or
half a word. The public data needs 0. Without a bound a span over the whole trace would pass."""


def read(evidence: Evidence) -> dict[str, Any]:
    """Every sentence against the text that its stored token span decodes to."""
    activations: Activations = evidence.value
    base, study = evidence.world.store.base, evidence.study
    source = study.source(evidence.partition)
    tokenizer = evidence.world.language_model.tokenizer(study.extraction_spec(evidence.partition))
    decoded: list[str] = []
    sentences: list[str] = []
    keys: list[tuple[int, int]] = []
    for problem in evidence.world.rollouts.load_problems(source, sorted(activations.shards)):
        pooled = read_shard(base, activations.shards[problem.problem_id])
        spans = activations.spans.loc[activations.spans["problem_id"] == problem.problem_id, SPAN_COLUMNS]
        decoded += tokenizer.decode_spans(pooled.text, np.asarray(spans))
        sentences += problem.sentences
        keys += [(problem.problem_id, index) for index in range(len(problem.sentences))]
    return {"decoded": decoded, "sentences": sentences, "keys": keys}


def span_integrity(
    decoded: Sequence[str],
    sentences: Sequence[str],
    keys: Sequence[tuple[int, int]],
    *,
    minimum: float = MINIMUM_SHARE,
) -> Verdict:
    """Fail when fewer than ``minimum`` of the sentences lie whole, and nearly alone, in what their tokens decode to.

    Case and runs of whitespace do not count. The sentence must lie in the decoded text and not the other way round, or
    an empty or one-letter decode would pass.

    Args:
        decoded: text of each sentence's tokens.
        sentences: text of each sentence.
        keys: problem id and sentence index of each, for the offenders.
        minimum: share in [0, 1].
    """
    if not len(decoded) == len(sentences) == len(keys):
        counts = f"{len(decoded)} decoded texts, {len(sentences)} sentences, {len(keys)} keys"
        return Verdict.failed(f"rows do not fit together: {counts}", n=len(sentences))
    if not sentences:
        return Verdict.failed("there are no sentences")
    offenders = [
        f"problem {problem}, sentence {index}: tokens say {text[:80]!r}, expected {sentence[:80]!r}"
        for text, sentence, (problem, index) in zip(decoded, sentences, keys, strict=True)
        if not _says(text, sentence)
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


def _says(decoded: str, sentence: str) -> bool:
    text, wanted = (" ".join(one.split()).lower() for one in (decoded, sentence))
    return wanted in text and len(text) - len(wanted) <= MAX_EXTRA_CHARACTERS
