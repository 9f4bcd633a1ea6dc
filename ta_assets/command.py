"""Command ``thought-anchors``: ``plan``, ``trace``, ``export``, ``measure``, ``reproduce``, ``split`` under one name.

Stays out: what they do and what their options are, which their modules say.
"""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Sequence

COMMANDS = {
    "plan": ("ta_assets.plan", "what a release would make and read; it makes nothing"),
    "trace": ("ta_assets.trace.command", "from a printed number back to data, code and options"),
    "export": ("ta_assets.export", "a corpus that was made here in the layout of the published dataset"),
    "measure": ("ta_assets.measure", "metrics and deferral plans of a table of scores from elsewhere"),
    "reproduce": ("ta_assets.reproduce", "the predecessor's published tables, from its label tables"),
    "split": ("ta_assets.split", "the sentences of a trace, as the dataset cuts them"),
}
"""Name -> module with a ``main``, and what it gives. A module is imported when asked for: three need no Dagster."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one of them with the rest of the arguments; its exit code, or 2 where there is no such command."""
    first, *rest = (sys.argv[1:] if arguments is None else arguments) or ["--help"]
    described = "\n".join(f"  {name:10} {what}" for name, (_, what) in COMMANDS.items())
    parser = argparse.ArgumentParser(
        prog="thought-anchors",
        description=f"commands:\n{described}\n\nthought-anchors COMMAND --help tells the options of one",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        usage="thought-anchors COMMAND ...",
    )
    parser.add_argument("command", choices=list(COMMANDS), metavar="COMMAND", help=argparse.SUPPRESS)
    module, _ = COMMANDS[parser.parse_args([first]).command]
    return importlib.import_module(module).main(rest)


if __name__ == "__main__":
    sys.exit(main())
