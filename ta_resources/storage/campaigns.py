"""What of a campaign is an artifact: tables with the files behind them, and a corpus in the dataset's layout.

Belongs here: these records, and the layout as files. Stays out: the files of rollouts (``campaigns.parts``),
which an artifact only names; how artifacts are stored (``artifacts``).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import pandas as pd

from ta_resources.storage.atomic import write_file
from ta_resources.storage.shards import Shard

UNPACKED = "corpora"
"""Folder of corpora as files."""
PARTS = "parts"
"""Folder of all rollouts; studies and settings share what is drawn alike."""


@dataclass(frozen=True)
class CampaignTable:
    """Rows of a campaign, and the files of rollouts that they were made of."""

    rows: pd.DataFrame
    record: dict[str, Any]
    """``parts`` [{file, sha256}], and further facts."""

    def files(self) -> list[Shard]:
        """Every file of rollouts."""
        return [Shard(**part) for part in self.record["parts"]]


@dataclass(frozen=True)
class LabelledCorpus:
    """Problems in the layout of the published dataset, and what stands behind the label of each sentence."""

    rows: pd.DataFrame
    """One row a sentence: rollouts by outcome, own and re-used, the interval of its importance, and ``replaced``: what
    stood in its place, [text, times, right ones] as JSON."""
    record: dict[str, Any]
    """Facts of the whole campaign."""
    layout: dict[str, str]
    """``{model}/{temperature}/{solutions}/problem_N/{problem,base_solution,chunks_labeled}.json`` -> its text."""


def parts_folder(folder: Path) -> Path:
    """Where rollouts lie below the folder of artifacts."""
    return folder / PARTS


def unpacked(layout: Mapping[str, str], folder: Path) -> Path:
    """The folder in which a layout lies as files, below ``folder`` under the hash of its content; a copy that may go.

    A file that is not what the layout says is written again, once in a process.

    Raises:
        InputError: the folder may not be written.
    """
    digest = hashlib.sha256(json.dumps(layout, sort_keys=True).encode()).hexdigest()
    return _written(tuple(layout.items()), folder / UNPACKED / digest[:32])


@lru_cache(maxsize=8)
def _written(files: tuple[tuple[str, str], ...], folder: Path) -> Path:
    for name, text in files:
        path, content = folder / name, text.encode()
        if not path.is_file() or path.read_bytes() != content:
            write_file(path, content)
    return folder
