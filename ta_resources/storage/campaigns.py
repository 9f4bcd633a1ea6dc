"""What of a campaign is an artifact: tables with the files behind them, and a corpus in the dataset's layout.

Belongs here: these records. Stays out: the files of rollouts (``ta_resources.campaigns.parts``), which an artifact only
names; how artifacts are stored (``artifacts``).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pandas as pd

from ta_resources.storage.shards import Shard


class Layout(dict[str, str]):
    """Path below a folder -> content of a text file; stored as these files."""


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
    layout: Layout
    """``{model}/{temperature}/{solutions}/problem_N/{problem,base_solution,chunks_labeled}.json``."""
