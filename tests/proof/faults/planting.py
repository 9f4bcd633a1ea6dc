"""Ways to plant: code that is wrong for good or for a moment, an asset body that returns something else, edited files.

Belongs here: what several faults use. Stays out: faults.

A world lives in a process of its own, so what is replaced for good ends with it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ta_assets.assets import activations, comparison, deferrals, probes, problems, readme, summaries
from ta_assets.ledger import fingerprint
from ta_assets.vectors import corpus_pass as extraction
from tests.proof.world import CORPUS, World

BODIES = (activations, comparison, deferrals, probes, problems, readme, summaries)
"""Modules with asset bodies, each of which returns through ``output``."""


def replace(owner: object, name: str, new: object) -> None:
    """Replace an attribute until the process ends."""
    setattr(owner, name, new)


@contextmanager
def replaced(owner: object, name: str, new: object) -> Iterator[None]:
    """Replace an attribute for a while."""
    old = getattr(owner, name)
    setattr(owner, name, new)
    try:
        yield
    finally:
        setattr(owner, name, old)


def make_wrong(world: World, asset: str, partition: str, edit: Callable[[Any], Any]) -> None:
    """Materialize a cell whose body returns ``edit`` of what it should; Dagster records it like any other value."""

    def output(value: Any, *rest: Any) -> Any:
        return fingerprint.output(edit(value), *rest)

    for module in BODIES:
        replace(module, "output", output)
    world.make(asset, partition)
    for module in BODIES:
        replace(module, "output", fingerprint.output)


def extract_wrong(world: World, owner: object, name: str, new: object) -> None:
    """Extract the corpus anew with something replaced while the language model runs; checks see the right code."""
    run = extraction.CorpusExtraction.run

    def wrong(self: Any, *given: Any) -> Any:
        with replaced(owner, name, new):
            return run(self, *given)

    with replaced(extraction.CorpusExtraction, "run", wrong):
        world.make("activations", CORPUS, {"reuse": False})


def edit_json(path: Path, edit: Callable[[Any], Any]) -> None:
    """Rewrite a JSON file."""
    path.write_text(json.dumps(edit(json.loads(path.read_text(encoding="utf-8")))), encoding="utf-8")
