"""The block between the markers: replaced as a whole, or nothing is touched."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ta_assets.core.errors import InputError
from ta_assets.core.options import SplitRule
from ta_assets.pages.block import CEILINGS, TESTED_ON
from ta_assets.pages.spans import NUMBER
from ta_assets.studies.loading import load_studies
from ta_assets.studies.readme_file import stored_block, with_block

STUDY = load_studies("embedded").by_name["embedded"]
START, END = "<!-- TA_RESULTS_START embedded -->", "<!-- TA_RESULTS_END embedded -->"
TEXT = f"# Title\n\nbefore\n\n{START}\nold\n{END}\n\nafter\n"
NO_MARKERS = st.text().filter(lambda text: "TA_RESULTS" not in text)


def test_only_the_text_between_the_markers_changes() -> None:
    assert with_block(TEXT, STUDY, "new", Path("README.md")) == TEXT.replace("old", "new")


@given(before=NO_MARKERS, after=NO_MARKERS, block=NO_MARKERS)
def test_writing_twice_is_writing_once(before: str, after: str, block: str) -> None:
    once = with_block(f"{before}{START}\n{END}{after}", STUDY, block, Path("README.md"))
    assert with_block(once, STUDY, block, Path("README.md")) == once
    assert once.startswith(before + START)
    assert once.endswith(END + after)


@pytest.mark.parametrize(
    "text", ["", START, END, f"{END}\n{START}", f"{START}\n{START}\n{END}", f"{START}\n{END}\n{END}", TEXT + TEXT]
)
def test_missing_doubled_or_crossed_markers_are_an_error(text: str) -> None:
    with pytest.raises(InputError, match=r"README\.md"):
        with_block(text, STUDY, "new", Path("README.md"))


def test_the_block_in_the_file_is_read_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert stored_block(STUDY, tmp_path) is None
    (tmp_path / "README.md").write_text("no markers", encoding="utf-8")
    assert stored_block(STUDY, tmp_path) is None
    (tmp_path / "README.md").write_text(TEXT, encoding="utf-8")
    assert stored_block(STUDY, tmp_path) == "old"


def test_blocks_of_other_studies_are_left_alone() -> None:
    other = TEXT.replace(" embedded ", " paper ")
    assert with_block(other + TEXT, STUDY, "new", Path("README.md")) == other + TEXT.replace("old", "new")


def test_every_scheme_of_splits_has_its_words() -> None:
    assert list(TESTED_ON) == list(get_args(SplitRule.model_fields["scheme"].annotation))


def test_the_words_between_the_tables_hold_no_number_that_would_need_an_owner() -> None:
    assert NUMBER.findall(f"{CEILINGS}\n{TESTED_ON}") == []
