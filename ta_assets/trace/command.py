"""From a number or a file back to data, code and configuration: ``python -m ta_assets.trace --help``.

Run it where ``release`` ran. It changes no artifact, no report and no record of a run, and makes no instance. Not
everything on the disk stays as it is: Dagster locks its databases and keeps its cache of statuses in them, and for
data or a model on the Hub the commit that a revision means is asked for, and kept, as a release does.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from ta_assets.core.errors import InputError
from ta_assets.ledger.ledger import Ledger
from ta_assets.ledger.world import World
from ta_assets.pages.spans import NUMBER
from ta_assets.studies.loading import load_studies
from ta_assets.trace.printed import as_json, as_text
from ta_assets.trace.targets import resolve
from ta_assets.trace.walk import trace
from ta_resources.existing_instance import existing_instance
from ta_resources.language_model.resource import LanguageModelResource
from ta_resources.rollouts.resource import RolloutsResource
from ta_resources.storage.artifacts import ArtifactStore

EXIT_UNVERIFIED, EXIT_BAD_INPUT = 1, 2
DESCRIPTION = (
    "Walk from TARGET to the data, code and configuration that made it, and verify every step. TARGET is a number as "
    "it is printed in the README's block of results (or, with --report, in another report), an artifact as "
    "'asset[partition]', or a file (path or URL) below the artifacts. Exit code 0: all verified; 1: something is not "
    "what was recorded; 2: there is no such target, or no release that it could be of."
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    parser = argparse.ArgumentParser(prog="python -m ta_assets.trace", description=DESCRIPTION)
    parser.add_argument("target", help="a number, asset[partition], or a file")
    parser.add_argument("--report", type=Path, help="the report that holds the number; the study's README by default")
    parser.add_argument("--json", action="store_true", help="one JSON object instead of text")
    given = list(sys.argv[1:] if arguments is None else arguments)
    # a number may begin with a sign, which argparse takes for an option
    signed = [one for one in given if _signed(one)]
    options = parser.parse_args([*(one for one in given if one not in signed), *(["--", *signed] if signed else [])])
    try:
        world = _world()
        target = resolve(world, options.target, options.report)
    except InputError as fault:
        print(fault, file=sys.stderr)
        return EXIT_BAD_INPUT
    steps, faults = trace(world, target)
    if options.json:
        print(json.dumps(as_json(target, steps, faults), indent=1, allow_nan=False))
    else:
        print("\n".join(as_text(target, steps, faults)))
    return EXIT_UNVERIFIED if faults else 0


def _signed(argument: str) -> bool:
    return argument[:1] in "+-" and NUMBER.fullmatch(argument) is not None


def _world() -> World:
    instance = existing_instance(Path(os.environ.get("DAGSTER_HOME") or ".").resolve())
    studies = load_studies()
    from ta_assets.definitions import defs  # reads the studies when imported, whose faults have been named by now

    store = ArtifactStore.configured(recovers=False)
    return World(studies, store, RolloutsResource(), LanguageModelResource(), Ledger(instance, lambda: defs))
