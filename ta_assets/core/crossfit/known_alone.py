"""Scores of what is known without the language model, one fold at a time and of any target.

Belongs here: ``all_known`` where only its scores are wanted. Stays out: what activations add to it (``one_fit``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from threadpoolctl import threadpool_limits

from ta_assets.core.crossfit import ridge
from ta_assets.core.crossfit.bands import Bands
from ta_assets.core.crossfit.spectrum import Spectrum, prepare, within_problems
from ta_assets.core.probes.known import UNSCALED_BLOCKS, known_blocks


@dataclass(frozen=True)
class KnownAlone:
    """Prepared features of the sentences of some problems."""

    blocks: Mapping[str, np.ndarray]
    """Block -> [n, d] float64, centred within problems."""
    problems: np.ndarray
    """[n] problem ids."""

    @classmethod
    def of(cls, rows: pd.DataFrame) -> KnownAlone:
        """Read the features of rows sorted by problem and index; no row beside them has a part in any."""
        problems = rows["problem_id"].to_numpy()
        blocks = {
            name: prepare(block, problems, scaled=name not in UNSCALED_BLOCKS)
            for name, block in known_blocks(rows).items()
        }
        return cls(blocks, problems)

    def scores(self, target: np.ndarray, held_out: np.ndarray) -> np.ndarray:
        """Ridge scores of the held-out rows, one penalty a block, chosen within the others by problem.

        Args:
            target: [n] float; those of held-out rows are not read.
            held_out: [n] bool, of whole problems.

        Returns:
            [n_held_out] float64.
        """
        train, features = ~held_out, list(self.blocks.values())
        groups = self.problems[train]
        with threadpool_limits(1):
            wanted = within_problems(target[train], groups)
            bands = Bands.of([block[train] for block in features], wanted, groups)
            at = bands.chosen()
            trained, tested = (bands.scaled([block[rows] for block in features], at) for rows in (train, held_out))
            spectrum = Spectrum.of(trained)
            return ridge.scores(spectrum, spectrum.project(tested), wanted[:, None], np.ones(1))[0, :, 0]
