"""Which number of a report belongs to which artifact; the walk itself is tried by ``test_trace_walk``."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ta_assets.assets.readme import stored_block
from ta_assets.core.errors import InputError
from ta_assets.pages.block_numbers import NUMBER, numbers_of
from ta_assets.studies.loading import load_studies
from ta_assets.trace import walk as trace

ROOT, README = Path(__file__).resolve().parents[2], Path("README.md")
STUDY = load_studies("embedded").selected
BLOCK = """Is a probe of study `embedded` better than the obvious baseline?

| setting          | score      | average precision | difference \\[95 %\\]     | verdict |
| --- | --- | ---: | --- | --- |
| embedded_correct | ridge \\| x | 0.7235 | +0.014 (-0.059 to +0.093) | inconclusive, needs about 1,372 problems |

- embedded_correct: 40 problems, chance 0.335; 96% of 75 anchors have Fisher p < .05

| setting          | model     | seeds | average_precision |
| ---------------- | --------- | ----: | ----------------- |
| embedded_correct | mlp_probe |     5 | 0.4547 ± 0.0540   |

Left out: embedded_incorrect: seed 3: artifacts_intact of probe_metrics[3|embedded_incorrect] did not pass

| check          | severity | passed |  of |
| -------------- | -------- | -----: | --: |
| finite_metrics | ERROR    |     12 |  13 |

Made from:
- embedded_correct: data prefix `x` sha256 `ab`; language model sha256 `cd`; problems 41, block 2
- embedded_incorrect: no activations
"""


def written_block() -> str:
    """The block that the README of this repository holds."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(ROOT)
        block = stored_block(STUDY, ROOT)
    assert block
    return block


WRITTEN = written_block()


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
    found = list(numbers_of(BLOCK, STUDY, README))
    owner = {number: one.node for number, one in found}
    assert owner["0.7235"] == owner["+0.093"] == owner["1,372"] == ("probe_comparison", "embedded_correct")
    assert owner["0.335"] == owner["96%"] == ("probe_comparison", "embedded_correct")
    assert owner["0.0540"] == ("aggregate_metrics", "embedded_correct")
    assert owner["3"] == ("aggregate_metrics", "embedded_incorrect"), "a seed that was left out"
    assert owner["13"] == owner["95"] == ("readme_block", "embedded")
    assert owner["41"] == ("activations", "embedded_correct")
    what = {number: one.what for number, one in found}
    assert what["0.7235"] == "embedded_correct, ridge | x: average precision"
    assert what["0.4547"] == "embedded_correct, mlp_probe: average_precision"


@pytest.mark.parametrize("block", [BLOCK, WRITTEN], ids=["small", "written"])
def test_no_number_of_a_block_is_left_out(block: str) -> None:
    found = list(numbers_of(block, STUDY, README))
    assert Counter(number for number, _ in found) == Counter(NUMBER.findall(block))
    assert {line for line in block.splitlines() if NUMBER.search(line)} == {one.line for _, one in found}


@given(block=edited(BLOCK) | edited(WRITTEN))
def test_an_edited_block_gives_all_its_numbers_or_names_the_line(block: str) -> None:
    try:
        found = [number for number, _ in numbers_of(block, STUDY, README)]
    except InputError as fault:
        assert fault.source == "README.md"
        assert fault.field in {"table row", "line"}
        assert fault.value in block.splitlines()
    else:
        assert sorted(found) == sorted(number for line in block.splitlines() for number in NUMBER.findall(line))


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("| 0.7235 |", "| 0.7235 | 0.9999 |", "5 cells, as the heading has"),
        ("| setting          | model ", "| probe ", "the heading of a table"),
        ("| setting          | score      |", "| score |", "the heading of a table"),
        ("problems |\n", "problems | 0.9999\n", "cells between bars"),
        ("| embedded_correct | ridge", "| other | ridge", "a setting among embedded_correct"),
        ("Left out: embedded_incorrect", "Left out: other", "one about embedded_correct"),
        ("- embedded_correct: data", "- other: data", "one about embedded_correct"),
        ("| setting          | model     | seeds | average_precision |", "|", "cells between bars"),
    ],
)
def test_a_line_that_no_block_has_is_named(old: str, new: str, said: str) -> None:
    assert old in BLOCK
    with pytest.raises(InputError, match=r"README\.md") as caught:
        list(numbers_of(BLOCK.replace(old, new), STUDY, README))
    assert said in str(caught.value)


def test_a_folder_without_dagster_yaml_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert trace.main(["0.5"]) == trace.EXIT_BAD_INPUT
    assert "dagster.yaml" in capsys.readouterr().err


def test_where_nothing_ever_ran_nothing_is_created(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "dagster.yaml").write_bytes((ROOT / "dagster.yaml").read_bytes())
    assert trace.main(["+123456.5", "--json"]) == trace.EXIT_BAD_INPUT, "a number with a sign is no option"
    assert "the instance of a release" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["dagster.yaml"]
