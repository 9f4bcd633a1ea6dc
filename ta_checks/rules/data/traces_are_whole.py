"""The data of a problem do not contradict each other: its folder, its prompt, its sentences, its answer, its rollouts.

What a file does not tell is not asked. Stays out: labels (``labels_follow_fractions``), token spans
(``span_integrity``).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ta_assets.core.values import Problem
from ta_checks.evidence import Evidence
from ta_checks.invariant import Invariant
from ta_checks.verdict import Verdict

END = 200
"""Characters, whitespace not counted, at the end of a trace among which its answer stands: in all 172 traces of the
public data and of the embedded study."""
ROLLOUTS = "chunk_*/solutions.json"
ROLLOUTS_READ = 1
"""Problems of a corpus whose rollouts are read."""


@dataclass(frozen=True)
class Continuation:
    """A rollout as its file has it."""

    name: str
    text: Any
    """The whole of it, prompt and all; None where the file does not tell."""
    before: Any
    """The trace up to the sentence that was sampled anew; None where the file does not tell."""


def read(evidence: Evidence) -> dict[str, Any]:
    """Every problem of the corpus as it was read, and the rollouts of the first one that has some in a folder."""
    source, wanted = evidence.world.source(evidence.partition), evidence.problems_of_corpus()
    solutions = source.prefix.rpartition("/")[2]
    rollouts: dict[int, list[Continuation]] = {}
    if source.folder is not None:
        root = Path(str(source.folder)) / source.prefix
        having = [one for one in wanted if any((root / f"problem_{one}").glob(ROLLOUTS))]
        rollouts = {one: list(_rollouts(root / f"problem_{one}")) for one in having[:ROLLOUTS_READ]}
    found = evidence.world.rollouts.read_problems(source, wanted)
    return {
        # one that cannot be read is skipped, which another check says
        "problems": (problem for _, problem in found if isinstance(problem, Problem)),
        "is_correct": {"correct": True, "incorrect": False}.get(solutions.partition("_")[0]),
        "rollouts": rollouts,
    }


def traces_are_whole(
    problems: Iterable[Problem], is_correct: bool | None, rollouts: Mapping[int, Sequence[Continuation]]
) -> Verdict:
    """Fail on a problem that says of itself what its folder, its text or its rollouts deny.

    Args:
        problems: of a corpus.
        is_correct: what the folder's name says of all of them; None when it says nothing.
        rollouts: problem id -> its rollouts.
    """
    faults, n, n_rollouts = [], 0, 0
    for problem in problems:
        n += 1
        found = [*_faults(problem, is_correct), *_others(problem, rollouts.get(problem.problem_id, ()))]
        n_rollouts += len(rollouts.get(problem.problem_id, ()))
        faults += [f"problem {problem.problem_id}: {fault}" for fault in found]
    message = f"{n} problems and {n_rollouts} rollouts of {len(rollouts)} of them read, {len(faults)} contradictions"
    return Verdict.no_faults(faults, n=n, unit="contradictions", message=message)


ROW = Invariant(
    "traces_are_whole",
    "sentences",
    read,
    traces_are_whole,
    "The files of a problem contradict each other: it lies in the folder of right traces and is wrong, its trace is "
    "cut short or has another prompt, or its rollouts belong to another problem. Get its files again, or leave it out.",
)


def _rollouts(folder: Path) -> Iterator[Continuation]:
    for path in sorted(folder.glob(ROLLOUTS)):
        try:
            entries = json.loads(path.read_bytes())
        except (OSError, ValueError, RecursionError):
            continue  # as an interrupted run leaves it: it tells nothing
        for number, entry in enumerate(entries if isinstance(entries, list) else ()):
            if isinstance(entry, dict):
                name = f"{path.parent.name}[{number}]"
                yield Continuation(name, entry.get("full_cot"), entry.get("prefix_without_chunk"))


def _faults(problem: Problem, is_correct: bool | None) -> Iterator[str]:
    base, statement = problem.base_solution, problem.statement.get("problem")
    said, answer = base.get("is_correct"), base.get("answer")
    prompt, solution, whole = (_bare(base.get(name)) for name in ("prompt", "solution", "full_cot"))
    if isinstance(said, bool) and is_correct is not None and said != is_correct:
        yield f"is_correct is {said}, and its folder is of {'right' if is_correct else 'wrong'} traces"
    if prompt and _bare(statement) and _bare(statement) not in prompt:
        yield "its statement is not in its prompt"
    if prompt and whole not in ("", solution) and not whole.startswith(prompt):
        yield "its trace does not begin with its prompt"
    if solution and whole and not whole.endswith(solution):
        yield "its trace does not end with its solution"
    text = solution or whole
    if not text:
        return
    if _bare(answer) and _bare(answer) not in text[-END - len(_bare(answer)) :]:
        yield f"its answer {str(answer)[:40]!r} does not stand at the end of its trace"
    last = _bare(problem.sentences[-1])
    after = text[text.rfind(last) + len(last) :] if last in text else ""
    # what a model says once it has stopped thinking has no sentences in the data
    if after and not after.startswith("</"):
        yield f"its trace goes on after its last sentence, with {after[:40]!r}"


def _others(problem: Problem, rollouts: Sequence[Continuation]) -> list[str]:
    """At most one fault for all rollouts of a problem."""
    prompt = _bare(problem.base_solution.get("prompt"))
    strange = [one.name for one in rollouts if prompt and one.text and not _begins(one, prompt)]
    return [f"{len(strange)} rollouts, such as {strange[0]}, do not begin with its prompt and trace"] if strange else []


def _begins(rollout: Continuation, prompt: str) -> bool:
    return _bare(rollout.text).startswith(prompt + _bare(rollout.before))


def _bare(value: Any) -> str:
    """A text without its whitespace; empty for what is no text."""
    return "".join(value.split()) if isinstance(value, str) else ""
