"""``make docs``: writes the documents, or the parts of them, that are made of the code."""

from __future__ import annotations

from pathlib import Path

from ta_resources.storage.atomic import write_file
from tests.docs import checks, columns, study_keys

DOCUMENTS = {
    Path("docs/study.md"): study_keys.render,
    Path("docs/checks.md"): checks.render,
    Path("docs/data.md"): columns.render,
}

if __name__ == "__main__":
    for path, render in DOCUMENTS.items():
        write_file(path, render().encode())
        print(path)
