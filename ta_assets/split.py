"""``python -m ta_assets.split FILE``: the sentences of a trace, one JSON list of texts on standard output.

Belongs here: the command. Stays out: the rule (``core.splitter``).
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from ta_assets.core.errors import InputError
from ta_assets.core.traces.splitter import split_trace
from ta_resources.storage.atomic import read_text


def main(arguments: list[str] | None = None) -> int:
    """Split the file that the arguments name; 0, or 1 with the reason on standard error."""
    parser = argparse.ArgumentParser(prog="python -m ta_assets.split", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("file", type=Path, metavar="FILE", help="a trace as UTF-8 text, with or without <think> tags")
    path = parser.parse_args(arguments).file
    try:
        print(json.dumps(sentences_of(path), ensure_ascii=False, indent=1))
    except InputError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def sentences_of(path: Path) -> list[str]:
    """Sentences of a trace in a file.

    Raises:
        InputError: the file cannot be read, is not UTF-8, or holds no sentence.
    """
    text = read_text(path, "a readable UTF-8 text")
    sentences = split_trace(text)
    if not sentences:
        raise InputError(path, "file", text, "a trace with at least one word (between <think> and </think>, if any)")
    return sentences


if __name__ == "__main__":
    sys.exit(main())
