"""Which number of a report belongs to which artifact; the walk itself is tried by ``test_trace_walk``."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ta_assets.pages.spans import NUMBER, Line, Span, from_json, numbers, render, row, to_json
from ta_assets.trace import command
from ta_assets.trace.targets import found_in

ROOT = Path(__file__).resolve().parents[2]
OWN, COMPARISON, MEANS = ("readme_block", "one"), ("probe_comparison", "left"), ("aggregate_metrics", "left")
BLOCK: list[Line] = [
    (Span("Is a probe of study `one` better?", OWN, "text of the block"),),
    (),
    row(["setting", "score", "difference \\[95 %\\]"], OWN, ["heading of a table"] * 3),
    row(["---", "---", "---"]),
    row(
        ["left   ", "ridge \\| x", "+0.014 (-0.059 to 1,372)"],
        COMPARISON,
        [f"left, ridge | x: {column}" for column in ("setting", "score", "difference [95 %]")],
    ),
    (),
    (Span("Left out: left: seed 3: artifacts_intact did not pass", MEANS, "left"),),
]


def edited(block: str) -> st.SearchStrategy[str]:
    """The block with some of its lines, or pieces of them, removed, doubled, replaced or exchanged."""
    lines = block.splitlines()
    junk = st.text(alphabet="|-: \\0.9a\n[]`", max_size=12) | st.sampled_from(lines)

    def apply(edits: list[tuple[int, int, int, str]]) -> str:
        changed = list(lines)
        for index, start, length, text in edits:
            line = changed[index % len(changed)]
            changed[index % len(changed)] = line[:start] + text + line[start + length :]
        return "\n".join(changed)

    edit = st.tuples(st.integers(0, len(lines)), st.integers(0, 90), st.integers(0, 300), junk)
    return st.lists(edit, min_size=1, max_size=4).map(apply)


def test_every_number_of_a_block_has_an_owner() -> None:
    assert {number: (one.node, one.what) for number, one in numbers(BLOCK)} == {
        "95": (OWN, "heading of a table"),
        "+0.014": (COMPARISON, "left, ridge | x: difference [95 %]"),
        "-0.059": (COMPARISON, "left, ridge | x: difference [95 %]"),
        "1,372": (COMPARISON, "left, ridge | x: difference [95 %]"),
        "3": (MEANS, "left"),
    }
    assert [number for number, _ in numbers(BLOCK)] == NUMBER.findall(render(BLOCK))


def test_a_block_is_read_back_as_it_was_recorded() -> None:
    assert from_json(to_json(BLOCK)) == BLOCK


@given(text=edited(render(BLOCK)))
def test_an_edited_block_gives_all_its_numbers_and_no_edited_line_to_an_artifact(text: str) -> None:
    recorded = render(BLOCK).splitlines()
    for line in text.splitlines():
        for number in NUMBER.findall(line):
            owners = {one.node for one in found_in(text, BLOCK, OWN, number) if one.line == line}
            assert owners == ({OWN} if line not in recorded else {one.node for n, one in numbers(BLOCK) if n == number})


def test_a_number_that_is_not_written_any_more_is_not_found() -> None:
    assert found_in(render(BLOCK).replace("+0.014", "+0.999"), BLOCK, OWN, "+0.014") == []


def test_a_folder_without_dagster_yaml_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert command.main(["0.5"]) == command.EXIT_BAD_INPUT
    assert "dagster.yaml" in capsys.readouterr().err


def test_where_nothing_ever_ran_nothing_is_created(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "dagster.yaml").write_bytes((ROOT / "dagster.yaml").read_bytes())
    assert command.main(["+123456.5", "--json"]) == command.EXIT_BAD_INPUT, "a number with a sign is no option"
    assert "the instance of a release" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["dagster.yaml"]
