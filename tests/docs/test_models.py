"""The document of models: every family is in it, none is wrong, and a sample of it is measured again."""

from __future__ import annotations

import random
import re
from pathlib import Path

import pytest
import transformers

from ta_assets.core.markdown import escape
from ta_assets.ledger.fingerprint import fingerprint
from ta_resources.language_model.checkpoint.families import CUT, PIECES, TEXT_PARTS
from tests.docs.models import BOUND, Row, cells, decoders, rows
from tests.docs.tiny_models import tiny_config

TEXT = (Path(__file__).parents[2] / "docs" / "models.md").read_text(encoding="utf-8")
LINES = [line for line in TEXT.splitlines() if line.startswith("| ")]
ROWS = {cells[0]: cells for cells in ([cell.strip() for cell in line.strip("|").split(" | ")] for line in LINES[1:])}
ROWS = {name: row for name, row in ROWS.items() if not name.startswith("-")}
SAMPLE = 5


def is_of_this_version() -> bool:
    return f"transformers {transformers.__version__}:" in TEXT


def test_every_family_is_in_the_document() -> None:
    if not is_of_this_version():
        pytest.skip("the document is of another version of transformers; `make docs` writes it anew")
    assert set(ROWS) == set(decoders())


def test_no_family_is_wrong_or_ends_in_a_bare_exception() -> None:
    answers = [one for row in ROWS.values() for one in row[-1].split("; ")]
    assert not [one for one in answers if "WRONG" in one or "CRASH" in one]
    assert all(row[-1].startswith(("right", "refused", "not measured")) for row in ROWS.values())


def test_what_the_code_takes_as_proven_is_right_in_the_document() -> None:
    right = set()
    for family in (name for name, row in ROWS.items() if row[-1] == "right"):
        right |= {family, tiny_config(family).get_text_config(decoder=True).model_type}
    assert right >= CUT
    assert right >= PIECES
    assert right >= TEXT_PARTS


def test_a_sample_of_the_document_is_what_the_code_makes_now() -> None:
    chooser = random.Random(fingerprint(TEXT))  # another document, another sample
    measured = [name for name, row in ROWS.items() if not row[-1].startswith("not measured")]
    sample = sorted(chooser.sample(measured, SAMPLE))
    for row in rows(sample):
        assert row.is_clear
        made = [escape(cell) for cell in cells(row)]
        assert without_figures(made) == without_figures(ROWS[row.family])


def without_figures(row: list[str]) -> list[str]:
    """How far a refused model is off differs from one processor to another."""
    return [re.sub(r"\d+\.\d+|\d+e[+-]\d+", "#", cell) for cell in row]


def test_a_wrong_answer_is_not_clear() -> None:
    assert BOUND < 0.01
    assert Row("a", "right", "right", "refused: why").is_clear
    assert not Row("a", "right", "WRONG by 0.44", "right").is_clear
    assert not Row("a", "right", "right", "CRASH: KeyError").is_clear
