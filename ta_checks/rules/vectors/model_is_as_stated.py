"""What a study says of its language model holds: that it wrote the traces, and which weights it has.

Stays out: how likely traces are and to whom (``likelihood``), a model of which the study says nothing
(``model_reads_traces``).
"""

from __future__ import annotations

import hashlib
from typing import Any

from ta_checks.evidence import Evidence
from ta_checks.invariant import Invariant
from ta_checks.rules.vectors.likelihood import Likelihood, likelihood
from ta_checks.rules.vectors.plain_model import NotPlain, folder_of, weight_files
from ta_checks.verdict import Verdict

MOST_SURPRISE = 0.1
"""Nats per token over those that the model itself expects. Traces that were chosen (right ones, wrong ones, well-formed
ones) by what happens with chance p surprise by at most -ln p each: .1 over a hundred tokens is a choice of one in
20,000. Measured on the embedded study: -.011 to .007 over twelve samples; with a block lost .26 or more, with other
rotations 2.6, with words of other ids 5.1; an untrained model is surprised by .12 to .14, as it expects nothing."""
BYTES_AT_ONCE = 1 << 24


def read(evidence: Evidence) -> dict[str, Any]:
    """The hash of the weights where the study pins it, and three traces where it says that the model wrote them."""
    study = evidence.study
    model = study.models[study.settings[study.settings_of(evidence.partition)[0]].model]
    found, read, reason = None, None, ""
    try:
        if model.sha256 is not None:
            found = weights_sha256(evidence)
        if model.wrote_traces and evidence.value.record["shards"]:
            read = likelihood(evidence)
    except NotPlain as why:
        reason = str(why)
    stated = {"wrote_traces": model.wrote_traces, "pinned": model.sha256}
    return {**stated, "found": found, "likelihood": read, "reason": reason}


def weights_sha256(evidence: Evidence) -> str:
    """SHA-256 of the safetensors files one after the other, by name, as ``cat *.safetensors | sha256sum`` gives it.

    Raises:
        NotPlain: as ``folder_of``.
    """
    digest = hashlib.sha256()
    for path in weight_files(folder_of(evidence)):
        with path.open("rb") as file:
            while piece := file.read(BYTES_AT_ONCE):
                digest.update(piece)
    return digest.hexdigest()


def model_is_as_stated(
    *, wrote_traces: bool, pinned: str | None, found: str | None, likelihood: Likelihood | None, reason: str
) -> Verdict:
    """Fail on other weights than the pinned ones, and on a model that cannot have written the traces.

    Args:
        wrote_traces: the study says so.
        pinned: hash of the weights in the study; None for none.
        found: that of the files; None where it was not wanted, or they are not at hand.
        likelihood: of some traces; None where it was not wanted or cannot be had.
        reason: why not, in words that follow ``because``.
    """
    faults, said = [], []
    if pinned is not None and found is not None:
        said.append("the weights are those that the study pins")
        if found != pinned:
            faults.append(f"the weights have SHA-256 {found}, the study pins {pinned}")
    if likelihood is not None:
        said.append(likelihood.words)
        if not likelihood.nats <= likelihood.entropy + MOST_SURPRISE:
            faults.append(f"the model is surprised by the traces that it wrote: {likelihood.words}")
        if not likelihood.nats < likelihood.unigram:
            faults.append(f"the model knows no more of the traces that it wrote than their tokens: {likelihood.words}")
    if reason:
        said.append(f"not evaluated because {reason}")
    n = 0 if likelihood is None else likelihood.n_tokens
    if not pinned and not wrote_traces:
        said.append("the study says neither that the model wrote the traces nor which weights it has")
    message = "; ".join(faults or said)
    return Verdict.no_faults(faults, n=n or int(found is not None), message=message)


ROW = Invariant(
    "model_is_as_stated",
    "activations",
    read,
    model_is_as_stated,
    "The model is not the one that the study says it is: its weights have another hash, or the traces that it is said "
    "to have written surprise it far more than it expects. Weights may be damaged or untrained, a block lost, words "
    "numbered otherwise, or positions rotated otherwise than in training. Get the model again; if the traces are of "
    "another model, say so in the study (models.NAME.wrote_traces).",
    parameters=lambda study: {
        name: {"wrote_traces": model.wrote_traces, "sha256": model.sha256} for name, model in study.models.items()
    },
    uses_model=True,
)
