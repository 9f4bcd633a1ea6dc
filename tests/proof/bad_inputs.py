"""Malformed inputs through the real entry points: each must end in an error that names file, field, value, expectation.

Belongs here: running the catalogue, the counts. Stays out: the inputs (``bad_studies``, ``bad_data``, ``bad_models``,
``bad_artifacts``, ``bad_commands``), what makes an answer clear (``bad_case``).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.assets.conftest import write_model
from tests.proof import bad_artifacts, bad_commands, bad_data, bad_models, bad_studies
from tests.proof.bad_case import BadInput, Bench, judged, write_corpus

MODULES = (bad_studies, bad_data, bad_models, bad_artifacts, bad_commands)
CATALOGUE: tuple[BadInput, ...] = tuple(case for module in MODULES for case in module.CASES)


class Benches:
    """A bench for each input, below one folder; the healthy model and dataset are made once."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        if not (folder / "model").exists():
            write_model(folder / "model")
            write_corpus(folder / "corpus")

    def new(self, name: str) -> Bench:
        """An empty one."""
        place = self.folder / name
        place.mkdir()
        return Bench(place, self.folder / "model", self.folder / "corpus")


def run(folder: Path, cases: Sequence[BadInput] = CATALOGUE) -> dict[str, Any]:
    """Plant every input and judge the answers.

    Args:
        folder: an empty one for what is planted.
        cases: which of the catalogue.

    Returns:
        ``bad_inputs`` and ``bad_inputs_unclear`` (counts), ``rows`` as ``bad_case.judged`` gives them.
    """
    benches = Benches(folder)
    rows = [judged(case, benches.new(f"{index:03d}")) for index, case in enumerate(cases)]
    unclear = sum(row["outcome"] != "clear" for row in rows)
    return {"bad_inputs": len(rows), "bad_inputs_unclear": unclear, "rows": rows}
