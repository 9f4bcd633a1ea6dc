"""The documents that are made of the code are those that the code makes now, and leave nothing unsaid."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from ta_assets.assets.verdicts import rolled_up
from ta_assets.studies.loading import load_studies
from ta_assets.studies.study import Study
from tests.benchmarks import __main__ as benchmarks
from tests.docs import checks, study_keys
from tests.docs.__main__ import DOCUMENTS

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(("path", "render"), DOCUMENTS.items(), ids=[path.name for path in DOCUMENTS])
def test_a_document_is_what_the_code_makes_now(path: Path, render: Callable[[], str]) -> None:
    assert (ROOT / path).read_text(encoding="utf-8") == render(), "run `make docs`"


def test_every_check_of_a_verdict_is_explained() -> None:
    rows = [line for line in checks.render().splitlines() if line.startswith("## ")]
    assert {row.split()[1] for row in rows} == set(rolled_up())
    assert all(checks.looks_at(invariant) for invariant in checks.INVARIANTS)


def test_every_key_of_a_study_is_explained() -> None:
    text = study_keys.render()
    rows = [[cell.strip() for cell in line.split(" | ")] for line in text.splitlines() if line.startswith("| ")]
    unexplained = [cells[0] for cells in rows if not cells[-1].strip("| ")]
    assert unexplained == []
    for section in Study.model_fields:
        assert any(cells[0].removeprefix("| ").split(".")[0] == section for cells in rows), section


def test_a_check_that_a_study_may_leave_out_is_marked() -> None:
    marked = [line.split()[1] for line in checks.render().splitlines() if "where the study asks for it" in line]
    assert "labels_recomputable" in marked
    assert "random_label" not in marked


def test_links_between_documents_lead_somewhere() -> None:
    for document in (ROOT / "README.md", *(ROOT / "docs").glob("*.md")):
        for target in re.findall(r"\]\(([\w./-]+)\)", document.read_text(encoding="utf-8")):
            assert (document.parent / target).exists(), f"{document.name}: {target}"


def test_the_picture_of_effects_shows_the_rows_of_the_results() -> None:
    text, picture = ((ROOT / name).read_text(encoding="utf-8") for name in ("README.md", "docs/effects.svg"))
    settings = list(load_studies("embedded").selected.settings)
    cells = [[cell.strip() for cell in line.strip("| ").split(" | ")] for line in text.splitlines()]
    compared = [row for row in cells if row[0] in settings and len(row) == 8]
    assert {row[0] for row in compared} == set(settings)
    for setting, score, _, against, *_ in compared:
        assert f"{score} - {against}<" in picture, (setting, score, "run `python -m tests.docs.effects`")
        assert f">{setting}<" in picture


def test_the_benchmarks_have_a_place_to_be_written_to() -> None:
    text = (ROOT / benchmarks.DOCUMENT).read_text(encoding="utf-8")
    assert 0 < text.index(benchmarks.START) < text.index(benchmarks.END)


def test_the_study_of_the_readme_is_one(tmp_path: Path) -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    path = tmp_path / "mine.yaml"
    path.write_text(re.findall(r"```yaml\n(name: .*?)```", text, flags=re.DOTALL)[0], encoding="utf-8")
    assert load_studies(str(path)).selected.name == "mine"
