"""Traces of the embedded language model with rollouts at every sentence, as the dataset's records.

Belongs here: model and tokenizer -> the two corpora in memory. Stays out: training, writing files.
"""

from __future__ import annotations

import logging
import random
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ta_resources.embedded.labels import label_chunks
from ta_resources.embedded.rollout_sampling import Continuations, sample
from ta_resources.embedded.task import ClockProblem, draw_problem, extract_answer, function_tags, split_sentences
from ta_resources.embedded.training import N_STEPS

if TYPE_CHECKING:
    from transformers import Qwen2ForCausalLM, Qwen2Tokenizer

SENTENCES = range(8, 21)
ACCURACIES = (0.25, 0.9)

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class CorpusOptions:
    """Sizes of the corpora."""

    seed: int = 0
    n_correct: int = 40
    n_incorrect: int = 100
    """Problems of each corpus; the first ones are in both unless one of their traces is unfit. What decides a wrong
    trace (a slip, and that the next sentence is no check) is harder to know: fewer problems leave it undecided."""
    base_traces: int = 30
    """Traces sampled per candidate; the first right and the first wrong one become base solutions."""
    rollouts: int = 60
    """Per sentence."""


@dataclass(frozen=True)
class Trace:
    """One problem of one corpus, in the dataset's records."""

    problem_id: int
    is_correct: bool
    problem: Mapping[str, Any]
    base_solution: Mapping[str, Any]
    chunks: list[dict[str, Any]]
    rollouts: list[list[dict[str, Any]]]
    """``rollouts[i]``: entries of ``chunk_{i}/solutions.json``."""


@dataclass(frozen=True)
class Sampler:
    """A model with its tokenizer, speaking text."""

    model: Qwen2ForCausalLM
    tokenizer: Qwen2Tokenizer

    def continuations(self, text: str, prefixes: list[str], seed: int) -> list[str]:
        """One continuation per prefix of ``text``; a prefix must end where a token ends."""
        lengths = {prefix: len(self.tokenizer(prefix)["input_ids"]) for prefix in set(prefixes)}
        end = self.tokenizer.eos_token_id
        assert isinstance(end, int)
        wanted = Continuations(
            tuple(self.tokenizer(text)["input_ids"]), tuple(lengths[prefix] for prefix in prefixes), end, seed
        )
        return [str(self.tokenizer.decode(tokens)) for tokens in sample(self.model, wanted)]


def build_corpora(sampler: Sampler, options: CorpusOptions) -> list[Trace]:
    """Candidates in order of their id until both corpora are full.

    A candidate needs an accuracy within ``ACCURACIES`` over its base traces. The choice of a trace looks at its form
    and its final answer; of its labels only at the 90th percentile of their absolute values, which must not be 0.
    """
    traces: list[Trace] = []
    problem_id = 0
    missing = {True: options.n_correct, False: options.n_incorrect}
    while any(missing.values()):
        problem_id += 1
        rng = random.Random(f"problem {options.seed} {problem_id}")
        problem = draw_problem(rng, rng.choice(N_STEPS))
        texts = sampler.continuations(problem.prompt, [problem.prompt] * options.base_traces, rng.getrandbits(32))
        right = [extract_answer(text) == problem.answer for text in texts]
        accuracy = sum(right) / len(right)
        if not ACCURACIES[0] <= accuracy <= ACCURACIES[1]:
            continue
        for is_correct in (True, False):
            fit = [text for text, ok in zip(texts, right, strict=True) if ok == is_correct and _well_formed(text)]
            if not fit or not missing[is_correct]:
                continue
            trace = _resample(sampler, (problem_id, problem), fit[0], (options.rollouts, rng.getrandbits(32)))
            importances = [abs(chunk["counterfactual_importance_accuracy"]) for chunk in trace.chunks[:-1]]
            if np.percentile(importances, 90) > 0:
                traces.append(trace)
                missing[is_correct] -= 1
        _log.info("problem %d: accuracy %.2f; still missing %s", problem_id, accuracy, missing)
    return traces


def _well_formed(text: str) -> bool:
    sentences = split_sentences(text)
    final = [index for index, sentence in enumerate(sentences) if function_tags(sentence) == ["final_answer_emission"]]
    return (
        len(sentences) in SENTENCES
        and all(map(function_tags, sentences))
        and final == [len(sentences) - 1]
        and text == "".join(f" {sentence}" for sentence in sentences)
    )


def _resample(sampler: Sampler, numbered: tuple[int, ClockProblem], text: str, draw: tuple[int, int]) -> Trace:
    """Rollouts at every sentence of one trace, and its labels; ``draw`` is the number per sentence and the seed."""
    (problem_id, problem), (count, seed) = numbered, draw
    sentences = split_sentences(text)
    prefixes = [problem.prompt + "".join(f" {sentence}" for sentence in sentences[:i]) for i in range(len(sentences))]
    wanted = [prefix for prefix in prefixes for _ in range(count)]
    sampled = sampler.continuations(problem.prompt + text, wanted, seed)
    rollouts = []
    for index, (prefix, sentence) in enumerate(zip(prefixes, sentences, strict=True)):
        group = []
        for rollout in sampled[index * count : (index + 1) * count]:
            answer = extract_answer(rollout)
            group.append(
                {
                    "chunk_removed": sentence,
                    "prefix_without_chunk": prefix[len(problem.prompt) :].strip(),
                    "chunk_resampled": (split_sentences(rollout) or [""])[0],
                    "rollout": rollout,
                    "full_cot": prefix + rollout,
                    "answer": answer,
                    "is_correct": answer == problem.answer,
                }
            )
        rollouts.append(group)
    answer = extract_answer(text)
    return Trace(
        problem_id=problem_id,
        is_correct=answer == problem.answer,
        problem={
            "problem": problem.statement,
            "level": f"Level {len(problem.steps) - min(N_STEPS) + 1}",
            "type": "Clock Arithmetic",
            "gt_solution": problem.solution,
            "gt_answer": problem.answer,
            "nickname": f"{len(problem.steps)} steps from {problem.start}",
        },
        base_solution={
            "prompt": problem.prompt,
            "solution": text,
            "full_cot": problem.prompt + text,
            "answer": answer,
            "is_correct": answer == problem.answer,
        },
        chunks=label_chunks(sentences, rollouts),
        rollouts=rollouts,
    )
