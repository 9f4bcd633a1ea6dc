"""``make docs``: writes the documents that are made of the code."""

from __future__ import annotations

from pathlib import Path

from ta_resources.storage.atomic import write_file
from tests.docs import checks, models, study_keys

DOCUMENTS = {Path("docs/study.md"): study_keys.render, Path("docs/checks.md"): checks.render}

MEASURED = {Path("docs/models.md"): models.render}
"""Takes minutes, so a test makes only a sample of it again."""

if __name__ == "__main__":
    for path, render in {**DOCUMENTS, **MEASURED}.items():
        write_file(path, render().encode())
        print(path)
