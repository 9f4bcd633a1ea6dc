"""``docs/tutorial.ipynb``: its cells are run in one process, and what they print is stored below them.

Stays out: what the tutorial says, which is written in the notebook itself.
"""

from __future__ import annotations

import contextlib
import io
import json
from pathlib import Path
from typing import Any

NOTEBOOK = Path(__file__).parents[2] / "docs/tutorial.ipynb"


def render() -> str:
    """The notebook with what its cells print now."""
    notebook = json.loads(NOTEBOOK.read_text(encoding="utf-8"))
    names: dict[str, Any] = {"__name__": "__main__"}
    for number, cell in enumerate((one for one in notebook["cells"] if one["cell_type"] == "code"), 1):
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(compile("".join(cell["source"]), f"{NOTEBOOK.name}[{number}]", "exec"), names)
        text = printed.getvalue().splitlines(keepends=True)
        output = {"name": "stdout", "output_type": "stream", "text": text}
        cell.update(execution_count=number, outputs=[output] if text else [])
    return json.dumps(notebook, indent=1, ensure_ascii=False) + "\n"
