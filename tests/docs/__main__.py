"""``make docs``: writes the documents, or the parts of them, that are made of the code."""

from __future__ import annotations

from pathlib import Path

from ta_resources.storage.atomic import write_file
from tests.docs import checks, columns, graph, models, study_keys, tutorial

DOCUMENTS = {
    Path("docs/study.md"): study_keys.render,
    Path("docs/checks.md"): checks.render,
    Path("docs/architecture.md"): graph.render,
    Path("docs/tutorial.ipynb"): tutorial.render,
    Path("docs/data.md"): columns.render,
}

MEASURED = {Path("docs/models.md"): models.render}
"""Takes minutes, so a test makes only a sample of it again."""

if __name__ == "__main__":
    for path, render in {**DOCUMENTS, **MEASURED}.items():
        write_file(path, render().encode())
        print(path)
