"""What is wrong with one problem costs that problem: every check of the labels judges the others."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from ta_assets.core.traces.labels import label_usable
from ta_checks.checks import judge
from ta_checks.evidence import Evidence
from ta_checks.invariant import Invariant
from ta_checks.table import INVARIANTS
from tests.checks.test_label_evidence import CORPUS, VERIFIABLE, edit_chunks, evidence, problem_folder, shipped

__all__ = ["shipped"]
ROWS = [row for row in INVARIANTS if row.asset == "sentences" and row.name != "artifacts_intact"]
BROKEN: dict[str, Callable[[Path], object]] = {
    "cut short": lambda path: path.write_bytes(path.read_bytes()[:-20]),
    "absent": lambda path: path.unlink(),
    "another form": lambda path: path.write_text("{}"),
    "a number that is none": lambda path: path.write_text(path.read_text().replace('"accuracy": 0.', '"accuracy": 7.')),
}


def with_broken(folder: Path, spoil: Callable[[Path], object] | None) -> Evidence:
    """Evidence on the labels of three problems, of which one was spoilt."""
    found = evidence(folder)
    world, source = found.world, found.study.source(CORPUS)
    ids = world.rollouts.list_problem_ids(source)
    if spoil is not None:
        broken = next(one for one in ids if one != VERIFIABLE)
        spoil(problem_folder(folder, broken) / "chunks_labeled.json")
    table, _ = label_usable(world.rollouts.read_problems(source, ids), found.study.labels)
    world.store.save("problem_ids", CORPUS, ids)
    world.store.save("sentences", CORPUS, table)
    return Evidence("sentences", CORPUS, world)


@pytest.mark.parametrize("spoil", [None, *BROKEN])
@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_a_problem_that_cannot_be_read_is_the_fault_of_one_check_alone(
    shipped: Path, row: Invariant, spoil: str | None
) -> None:
    verdict = judge(row, with_broken(shipped, None if spoil is None else BROKEN[spoil]))
    expected = "failed" if spoil and row.name == "zero_skipped_problems" else "passed"
    assert verdict.status == expected, verdict.message


def test_rollouts_that_were_cut_short_say_nothing_of_a_trace(shipped: Path) -> None:
    (row,) = (one for one in ROWS if one.name == "traces_are_whole")
    path = problem_folder(shipped, VERIFIABLE) / "chunk_0/solutions.json"
    path.write_bytes(path.read_bytes()[:-9])
    verdict = judge(row, with_broken(shipped, None))
    assert verdict.status == "passed", verdict.message
    # the folder of the first sentence may have another number
    path.parent.rename(path.parent.with_name("chunk_900"))
    path = problem_folder(shipped, VERIFIABLE) / "chunk_1/solutions.json"
    entries = json.loads(path.read_text())
    path.write_text(json.dumps([{**entries[0], "full_cot": "Another problem."}]))
    assert judge(row, with_broken(shipped, None)).status == "failed"


def test_the_number_of_a_folder_that_is_left_out_is_no_contradiction_of_the_labels(shipped: Path) -> None:
    (row,) = (one for one in ROWS if one.name == "labels_follow_fractions")

    def leave_gaps(chunks: list[dict]) -> None:
        for index, chunk in enumerate(chunks):
            chunk["chunk_idx"] = 2 * index
            chunk["resampling_importance_accuracy"] = 0.0

    edit_chunks(shipped, VERIFIABLE, leave_gaps)
    assert judge(row, with_broken(shipped, None)).status == "passed"

    def leave_out(chunks: list[dict]) -> None:
        for chunk in chunks:
            del chunk["chunk_idx"]

    edit_chunks(shipped, VERIFIABLE, leave_out)
    assert judge(row, with_broken(shipped, None)).status == "failed"
