"""Every rollout of a campaign is stored once, and has exactly one outcome, the one that its own text says."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ta_checks.evidence import Evidence
from ta_checks.invariant import Invariant
from ta_checks.rules.campaigns.own_rollouts import COUNTED, Stored, Task, own_outcome, stored_rollouts, task_of
from ta_checks.verdict import Verdict

ENDS = ("stop", "length", "error")


@dataclass(frozen=True)
class Prefix:
    """The rollouts of one sentence of one problem, and what the campaign's table says of them."""

    name: str
    rollouts: Sequence[Stored]
    said: Mapping[str, int]
    """``drawn`` and every outcome of ``COUNTED``."""


def read(evidence: Evidence) -> dict[str, Any]:
    """Every file of rollouts that the campaign names against the counts of its table."""
    base = evidence.world.store.local_folder

    def prefixes() -> Iterator[Prefix]:
        for row in evidence.value.rows.to_dict("records"):
            said = {name: int(row[name]) for name in ("drawn", *COUNTED)}
            name = f"problem {row['problem_id']}, sentence {row['sentence']}"
            stored = stored_rollouts(base, json.loads(row["parts"]))
            # files may hold more: another study asked for them
            yield Prefix(name, [one for one in stored if one.index < said["drawn"]], said)

    return {"prefixes": prefixes(), "task": task_of(evidence)}


def rollouts_accounted(prefixes: Iterable[Prefix], task: Task) -> Verdict:
    """Fail on a rollout that is missing, twice, of no outcome or of another one than the table counts.

    Whether an answer is right takes a grader; here right and wrong ones are answered ones together, and what a grader
    cannot judge counts as no answer.

    Args:
        prefixes: of the whole campaign.
        task: where answers stand.
    """
    faults, n = [], 0
    for prefix in prefixes:
        n += len(prefix.rollouts)
        faults += [f"{prefix.name}: {fault}" for fault in (*_numbers(prefix), *_outcomes(prefix, task))]
    return Verdict.no_faults(faults, n=n, message=f"{n} rollouts counted again, {len(faults)} contradictions")


def _numbers(prefix: Prefix) -> Iterator[str]:
    numbers = [one.index for one in prefix.rollouts]
    if numbers != [*range(len(numbers))]:
        odd = sorted({*numbers} ^ {*range(len(numbers))}) or [
            one for one, times in Counter(numbers).items() if times > 1
        ]
        yield f"rollouts are not numbered from 0 on, each once: {odd[:5]}"
    seeds = Counter(one.seed for one in prefix.rollouts)
    if seeds and max(seeds.values()) > 1:
        yield f"seed {seeds.most_common(1)[0][0]} is that of {max(seeds.values())} rollouts"
    for one in prefix.rollouts:
        if one.ended not in ENDS:
            yield f"rollout {one.index} ended by {one.ended!r}"
        if one.generated < len(one.tokens):
            yield f"rollout {one.index} has {len(one.tokens)} tokens and says {one.generated}"


def _outcomes(prefix: Prefix, task: Task) -> Iterator[str]:
    said, own = prefix.said, Counter(own_outcome(one, task) for one in prefix.rollouts)
    total = sum(said[name] for name in COUNTED)
    if not total == said["drawn"] == len(prefix.rollouts):
        yield f"{total} outcomes and {said['drawn']} rollouts are said, {len(prefix.rollouts)} are stored"
    for name in ("engine_error", "truncated"):
        if said[name] != own[name]:
            yield f"{said[name]} are said to be {name}, {own[name]} are"
    judged = said["right"] + said["wrong"]
    if judged > own["answered"]:
        yield f"{judged} are said to have answered, {own['answered']} have"
    if judged + said["no_answer"] != own["answered"] + own["no_answer"]:
        yield f"{said['no_answer']} are said to have no answer that can be judged, {own['no_answer']} have none"


ROW = Invariant(
    "rollouts_accounted",
    "rollouts",
    read,
    rollouts_accounted,
    "Rollouts of the campaign are missing, counted twice, or have another outcome than the table says, so that "
    "accuracies are shares of something else. Materialize rollouts; what is stored is read, not drawn again.",
)
