"""The files that hold a study's results: a block between two marker lines of a README, a page with all of it, and one
for a browser.

Belongs here: where the files and the block are. Stays out: what they say (``ta_assets.pages.block``).
"""

from __future__ import annotations

from pathlib import Path

from ta_assets.core.errors import InputError
from ta_assets.studies.study import Study
from ta_resources.storage.atomic import read_text

ALL_OF_IT = "## Every score, seed and check"
"""The heading of a page of results below which its README says nothing any more."""


RELEASES = "releases"
"""Folder of a study with one folder a release; names sort by time."""


def study_folder(study_name: str, base: Path) -> Path:
    """Everything that people read of a study, but for a README elsewhere; ``base`` is the store's local folder."""
    return base / study_name


def report_path(study_name: str, base: Path) -> Path:
    """The HTML page of a study."""
    return study_folder(study_name, base) / "report" / "index.html"


def newest_release(study_name: str, base: Path) -> str:
    """Name of the newest kept release of a study; empty where none is kept."""
    folder = study_folder(study_name, base) / RELEASES
    return max((path.name for path in folder.iterdir() if path.is_dir()), default="") if folder.is_dir() else ""


def results_path(study: Study, base: Path) -> Path:
    """The page that holds all results of a study; what stands above ``ALL_OF_IT`` is the block of its README."""
    return study_folder(study.name, base) / "results.md"


def block_of(page: str) -> str:
    """The block that a README holds of a page of results."""
    return page.partition(ALL_OF_IT)[0].strip("\n")


def stored_page(study: Study, base: Path) -> str | None:
    """The page of results as it is stored; None where there is none.

    Raises:
        InputError: it cannot be read, or is not UTF-8.
    """
    path = results_path(study, base)
    return read_readme(path).removesuffix("\n") if path.is_file() else None


def readme_path(study: Study, base: Path) -> Path:
    """The file that holds a study's block.

    Raises:
        InputError: a link leads from the current directory to a file outside it.
    """
    if study.readme is None:
        return study_folder(study.name, base) / "README.md"
    path = Path(study.readme).resolve()
    if not path.is_relative_to(Path.cwd().resolve()):
        raise InputError(study.path, "readme", study.readme, f"a file below the current directory, not {path}")
    return path


def stored_block(study: Study, base: Path) -> str | None:
    """The block as it stands in the file; None when there is no file or no block."""
    path = readme_path(study, base)
    if not path.is_file():
        return None
    try:
        start, end = _positions(read_readme(path), study, path)
    except InputError:
        return None
    return read_readme(path)[start:end].strip("\n")


def read_readme(path: Path) -> str:
    """The text of the file that holds a block.

    Raises:
        InputError: it cannot be read, or is not UTF-8.
    """
    return read_text(path, "a readable UTF-8 file with the study's markers")


def with_block(text: str, study: Study, block: str, source: Path) -> str:
    """A text with the block of a study replaced; everything outside its markers stays as it is.

    Raises:
        InputError: a marker is missing or doubled, or they are in the wrong order.
    """
    start, end = _positions(text, study, source)
    return f"{text[:start]}\n{block.strip()}\n{text[end:]}"


def start_marker(study: Study) -> str:
    """The line above the block."""
    return f"<!-- TA_RESULTS_START {study.name} -->"


def end_marker(study: Study) -> str:
    """The line below the block."""
    return f"<!-- TA_RESULTS_END {study.name} -->"


def _positions(text: str, study: Study, source: Path) -> tuple[int, int]:
    for marker in (start_marker(study), end_marker(study)):
        if text.count(marker) != 1:
            raise InputError(source, marker, f"{text.count(marker)} times", "the marker exactly once")
    start, end = text.index(start_marker(study)) + len(start_marker(study)), text.index(end_marker(study))
    if end < start:
        raise InputError(source, end_marker(study), "before the start marker", "the end marker after it")
    return start, end
