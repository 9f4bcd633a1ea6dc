"""A language model that did not write the traces, or of which nobody says so, can at least read them.

Stays out: a model that is said to have written them (``model_is_as_stated``), how likely traces are (``likelihood``).
"""

from __future__ import annotations

from typing import Any

from ta_checks.evidence import Evidence
from ta_checks.invariant import Invariant
from ta_checks.rules.vectors.likelihood import Likelihood, likelihood
from ta_checks.rules.vectors.plain_model import NotPlain
from ta_checks.verdict import Verdict


def read(evidence: Evidence) -> dict[str, Any]:
    """Three traces, unless the study says that the model wrote them."""
    study = evidence.study
    if study.models[study.settings[study.settings_of(evidence.partition)[0]].model].wrote_traces:
        return {"likelihood": None, "reason": "the model is said to have written them: see model_is_as_stated"}
    if not evidence.value.record["shards"]:
        return {"likelihood": None, "reason": "no problem was extracted"}
    try:
        return {"likelihood": likelihood(evidence), "reason": ""}
    except NotPlain as reason:
        return {"likelihood": None, "reason": str(reason)}


def model_reads_traces(likelihood: Likelihood | None, reason: str) -> Verdict:
    """Fail on a model to which the traces are no likelier than to one that knows how often each token occurs.

    Args:
        likelihood: of some traces; None where it is not asked or cannot be had.
        reason: why not, in words that follow ``because``.
    """
    if likelihood is None:
        return Verdict.no_faults([], n=0, message=f"not evaluated because {reason}")
    return Verdict.judge(
        likelihood.nats,
        "<",
        likelihood.unigram,
        unit="nats per token",
        n=likelihood.n_tokens,
        message=likelihood.words,
    )


ROW = Invariant(
    "model_reads_traces",
    "activations",
    read,
    model_reads_traces,
    "The model predicts the traces no better than the mere frequencies of their tokens do: it is untrained, damaged, "
    "of another language, or its tokenizer is another one's. Vectors of such a model are about tokens alone. Get the "
    "model again, or choose one that can read the traces.",
    severity="WARN",
    parameters=lambda study: {name: model.wrote_traces for name, model in study.models.items()},
    uses_model=True,
)
