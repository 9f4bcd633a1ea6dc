"""What rollouts were begun with is the trace itself: its own tokens, its own bytes, up to where a sentence begins.

A prefix that is put together from cut sentences loses the line breaks between them, and a model that reads it is asked
another question.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ta_checks.evidence import Evidence
from ta_checks.invariant import Invariant
from ta_checks.rules.campaigns.own_rollouts import lists_of, model_folder, stored_rollouts
from ta_checks.verdict import Verdict

Decode = Callable[[Sequence[int]], str]


@dataclass(frozen=True)
class Trace:
    """A trace as it is stored, and what was drawn from."""

    name: str
    asked: str
    """The prompt that the study asks for."""
    text: str
    """Prompt and trace, as texts."""
    tokens: Sequence[int]
    prompt_tokens: int
    boundaries: Sequence[int]
    sentences: Sequence[str]
    inside: Sequence[bool]
    drawn: Sequence[int]
    """Tokens of the draw that became the trace, as its file has them."""
    keys: Mapping[int, tuple[str, str]]
    """Sentence -> key under which its rollouts are stored, and the one that its prefix has."""


def read(evidence: Evidence) -> dict[str, Any]:
    """Texts, tokens and files of every trace of the corpus, decoded by the library that wrote the tokenizer's file."""
    from ta_checks.rules.vectors.plain_model import library_reader

    store, corpus = evidence.world.store, evidence.partition
    base, rows, template = store.load("base_traces", corpus), evidence.value.rows, evidence.study.campaign.prompt
    keys = {(int(row["problem_id"]), int(row["sentence"])): row["key"] for row in rows.to_dict("records")}

    def traces() -> Iterator[Trace]:
        for row in base.rows.to_dict("records"):
            tokens, boundaries, sentences, inside = lists_of(row, "token_ids", "boundaries", "sentences", "inside")
            problem, files = int(row["problem_id"]), base.record["draws"][str(row["problem_id"])]
            drawn = [one for one in stored_rollouts(store.local_folder, files) if one.index == row["draw"]]
            yield Trace(
                name=f"problem {problem}",
                asked=template.replace("{question}", row["question"]),
                text=row["prompt"] + row["solution"],
                tokens=tokens,
                prompt_tokens=int(row["prompt_tokens"]),
                boundaries=boundaries,
                sentences=sentences,
                inside=inside,
                drawn=drawn[0].tokens if drawn else (),
                keys={
                    place: (keys.get((problem, place), ""), _key(base.record, evidence, tokens[:boundary]))
                    for place, boundary in enumerate(boundaries)
                },
            )

    return {"traces": traces(), "decode": library_reader(model_folder(evidence, base.record)).decode}


def prefixes_exact(traces: Iterable[Trace], decode: Decode) -> Verdict:
    """Fail on a trace whose tokens, text, sentences or prefixes are not those of one and the same text.

    Args:
        traces: of the corpus.
        decode: the tokenizer's.
    """
    faults, n = [], 0
    for trace in traces:
        n += len(trace.boundaries)
        faults += [f"{trace.name}: {fault}" for fault in (*_of_text(trace, decode), *_of_prefixes(trace, decode))]
    return Verdict.no_faults(faults, n=n, message=f"{n} prefixes decoded again, {len(faults)} differ")


def _of_text(trace: Trace, decode: Decode) -> Iterator[str]:
    if decode(trace.tokens) != trace.text:
        yield "its tokens are not those of its text"
    if decode(trace.tokens[: trace.prompt_tokens]) != trace.asked or not trace.text.startswith(trace.asked):
        yield "it does not begin with the prompt that the study asks for"
    if list(trace.drawn) != list(trace.tokens[trace.prompt_tokens :]):
        yield "it is not the draw that it says it is"
    thought = trace.text[len(trace.asked) :].split("<think>", 1)[-1].split("</think>", 1)[0]
    if _bare("".join(trace.sentences)) != _bare(thought):
        yield "its sentences are not all of its thought"


def _of_prefixes(trace: Trace, decode: Decode) -> Iterator[str]:
    bounds = list(trace.boundaries)
    if bounds[:1] != [trace.prompt_tokens] or bounds != sorted({*bounds}) or bounds[-1] >= len(trace.tokens):
        yield f"sentences begin at the tokens {bounds[:5]}, the prompt has {trace.prompt_tokens}"
        return
    for place, (bound, sentence, inside) in enumerate(zip(bounds, trace.sentences, trace.inside, strict=True)):
        before = decode(trace.tokens[:bound])
        rest = _bare(trace.text[len(before) :].replace("<think>", "", 1) if place == 0 else trace.text[len(before) :])
        begins = rest.startswith(_bare(sentence))
        if not trace.text.startswith(before) or not (begins or (inside and _bare(sentence) in rest)):
            yield f"sentence {place} does not begin where its prefix ends"
        found, expected = trace.keys[place]
        if found != expected:
            yield f"rollouts of sentence {place} were drawn from another prefix, model or sampling"


def _key(record: Mapping[str, Any], evidence: Evidence, tokens: Sequence[int]) -> str:
    """The key of rollouts of a prefix: a hash of engine, tokens and sampling."""
    sampling = evidence.study.campaign.sampling.model_dump(mode="json")
    content = json.dumps([record["engine"], list(tokens), sampling], sort_keys=True, allow_nan=False)
    return hashlib.sha256(content.encode()).hexdigest()


def _bare(text: str) -> str:
    return "".join(text.split())


ROW = Invariant(
    "prefixes_exact",
    "rollouts",
    read,
    prefixes_exact,
    "Rollouts were not begun with the trace's own tokens, so they are draws from another text: every importance of "
    "such a trace is of something else. Materialize base_traces and rollouts again; if it stays red, the tokenizer "
    "does not decode the beginning of a text to the beginning of its text, and the model cannot be used for this.",
)
