"""A finite tree of reasoning whose importances are known exactly, and a campaign over one of its traces."""

from __future__ import annotations

from pathlib import Path

from ta_assets.core.campaign.grading import AnswerRule
from ta_assets.core.campaign.prefixes import cut_trace
from ta_assets.core.campaign.records import Sampling
from ta_resources.campaigns.grading_process import Graders
from ta_resources.campaigns.parts import Parts
from ta_resources.campaigns.run import Judgement, TraceTask, different_text
from ta_resources.campaigns.source import Source
from ta_resources.engines.scripted import Node, ScriptedEngine

PROMPT = "What is two and two? <think>\n"
GOLD = "4"
SAMPLING = Sampling(max_total_tokens=2000)
STEPS = ((0.3, 0.1), (0.15, 0.35), (0.2, 0.05), (0.3, 0.3), (0.25, 0.0))
"""Of each step: the chance to say it in other words, and the chance to slip."""
ENDS = {"good": ((0.85, "4"), (0.1, "5"), (0.05, "")), "bad": ((0.1, "4"), (0.8, "5"), (0.1, ""))}


def tree(steps: tuple[tuple[float, float], ...] = STEPS) -> Node:
    """The prompt, then the steps; whoever slips comes seldom to the right end."""
    return Node(PROMPT, _after(0, "good", steps, {}))


def _after(step: int, state: str, steps, known) -> tuple[tuple[float, Node], ...]:
    if (step, state) not in known:
        if step == len(steps):
            known[step, state] = tuple((chance, _end(answer)) for chance, answer in ENDS[state])
        else:
            other, slip = steps[step]
            choices = (
                (1 - other - slip, f"Step {step} is done as it should be. ", state),
                (other, f"Here is step {step} in other words. ", state),
                (slip, f"Now comes a slip at step {step}. ", "bad"),
            )
            known[step, state] = tuple(
                (chance, Node(text, _after(step + 1, to, steps, known))) for chance, text, to in choices if chance > 0
            )
    return known[step, state]


def _end(answer: str) -> Node:
    said = f"\\boxed{{{answer}}}." if answer else "not known."
    return Node(f"</think>\nSo it is {said}", (), answer == GOLD if answer else None)


def sentences(n_steps: int = len(STEPS)) -> list[str]:
    """The sentences of the trace, each with the space behind it."""
    return [f"Step {step} is done as it should be. " for step in range(n_steps)]


def task(engine: ScriptedEngine, n_steps: int = len(STEPS), labelled: tuple[int, ...] | None = None) -> TraceTask:
    """The trace in which nothing goes wrong."""
    text = PROMPT + "".join(sentences(n_steps)) + "</think>\nSo it is \\boxed{4}."
    trace = cut_trace(engine.encode(text), len(PROMPT), engine.decode)
    return TraceTask("made", trace, GOLD, True, tuple(range(n_steps)) if labelled is None else labelled)


def source(folder: Path, engine: ScriptedEngine, *, reading: bool = False, budget: int | None = None) -> Source:
    """Its rollouts below a folder."""
    return Source(Parts(folder), dict(engine.identity()), SAMPLING, None if reading else engine, budget)


def judgement(engine: ScriptedEngine, *, reuse: bool = True) -> Judgement:
    """By text alone, so that no process is started."""
    return Judgement(Graders(AnswerRule(grader="normal_form", second=None)), different_text, engine.decode, reuse)


def truths(engine: ScriptedEngine, n_steps: int = len(STEPS)) -> list[tuple[float, float]]:
    """Of each sentence but the last, the exact importance d(i) - a(i + 1), and the exact accuracy a(i)."""
    found, prefix = [], PROMPT
    for sentence, following in zip(sentences(n_steps), [*sentences(n_steps)[1:], ""], strict=True):
        here = engine.truth(prefix, sentence)
        prefix += sentence
        if following:
            there = engine.truth(prefix, following)
            found.append(((here.different or 0.0) - there.accuracy, here.accuracy))
    return found
