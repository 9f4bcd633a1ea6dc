"""The labels of every sentence are what its rollouts say, counted again from the files."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from ta_checks.evidence import Evidence
from ta_checks.invariant import Invariant
from ta_checks.rules.campaigns.own_draws import OwnTrace, importances, own_traces, same_words
from ta_checks.verdict import Verdict

FIELDS = {
    "accuracy": "accuracy",
    "share": "different_trajectories_fraction",
    "counterfactual": "counterfactual_importance_accuracy",
    "resampling": "resampling_importance_accuracy",
}
"""Own name -> the dataset's."""
TOLERANCE = 1e-9
"""Shares of counts, in float64."""
EMBEDDED = 1
"""Traces whose sentences are embedded again, where a cosine tells what is another sentence; of the others accuracies
and resampling importances are compared."""
Alike = Callable[[str, str], bool]


def read(evidence: Evidence) -> dict[str, Any]:
    """Every file of rollouts of the corpus against every entry of its labels."""
    files = {
        int(name.split("/")[-2].removeprefix("problem_")): json.loads(text)
        for name, text in evidence.value.layout.items()
        if name.endswith("chunks_labeled.json")
    }

    def traces() -> Iterator[tuple[OwnTrace, Alike | None]]:
        for number, trace in enumerate(own_traces(evidence)):
            yield trace, _alike(evidence, trace) if number < EMBEDDED else _text_alike(evidence)

    return {"traces": traces(), "entries": files}


def labels_follow_parts(
    traces: Iterable[tuple[OwnTrace, Alike | None]], entries: Mapping[int, Sequence[Mapping[str, Any]]]
) -> Verdict:
    """Fail on a sentence whose label is not what its rollouts give, and on labels of other problems than there are.

    Args:
        traces: each with what tells whether two sentences are the same; None where nothing cheap does.
        entries: problem id -> entries of ``chunks_labeled.json``.
    """
    faults, n, seen = [], 0, set()
    for trace, alike in traces:
        seen.add(trace.problem_id)
        stored = entries.get(trace.problem_id, ())
        if [one.get("chunk") for one in stored] != list(trace.sentences):
            faults.append(f"problem {trace.problem_id}: other sentences than its trace has")
            continue
        own = importances(trace.sentences, trace.draws, alike or same_words)
        compared = FIELDS if alike is not None else {name: FIELDS[name] for name in ("accuracy", "resampling")}
        for name, field in compared.items():
            for place, one in enumerate(stored):
                if trace.draws.get(place) is None or one.get(field) is None:
                    continue
                n += 1
                if not abs(float(one[field]) - own[name][place]) <= TOLERANCE:
                    said = f"{field} is {one[field]:.6g}, rollouts give {own[name][place]:.6g}"
                    faults.append(f"problem {trace.problem_id}, sentence {place}: {said}")
    faults += [f"problem {one}: labels without a trace" for one in sorted({*entries} - seen)]
    return Verdict.no_faults(faults, n=n, message=f"{n} numbers computed again from rollouts, {len(faults)} differ")


def _text_alike(evidence: Evidence) -> Alike | None:
    return same_words if evidence.study.campaign.similarity.kind == "text" else None


def _alike(evidence: Evidence, trace: OwnTrace) -> Alike:
    """What tells the same sentence from another one, with an embedding model where the study asks for one."""
    options = evidence.study.campaign.similarity
    if options.kind == "text":
        return same_words
    from ta_resources.language_model.sentence_similarity import SentenceSimilarity

    pairs = sorted({(trace.sentences[i], one.sentence) for i, of in trace.draws.items() for one in of})
    cosines = SentenceSimilarity(evidence.study.similarity_model).cosines(pairs)
    known = dict(zip(pairs, (cosines >= options.threshold).tolist(), strict=True))
    return lambda found, removed: known[removed, found]


ROW = Invariant(
    "labels_follow_parts",
    "labels",
    read,
    labels_follow_parts,
    "A label is not what the rollouts of its sentence give by the dataset's formula: probes would learn something "
    "else. Materialize labels, which draws nothing; if it stays red, the formula or the re-use of rollouts is wrong.",
    parameters=lambda study: {"similarity": study.generation.similarity.model_dump() if study.generation else None},
)
