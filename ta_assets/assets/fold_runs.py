"""The folds of a setting one by one: what is stored is taken, the rest is computed and stored before the next begins.

Belongs here: which folds are done. Stays out: Dagster, the science of a fold (``core.cells``) and over folds
(``core.lopo``).

A finished fold lies at ``{base}/{asset}_folds/{hash}``, addressed by everything that decides it, and appears as a
whole: a killed run repeats the one fold that it was in.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ta_assets.core.errors import InputError
from ta_assets.core.options import ProbeOptions
from ta_assets.core.values import CellResult, SeedFreeScores
from ta_assets.ledger.fingerprint import fingerprint
from ta_resources.storage.artifacts import ArtifactStore

if TYPE_CHECKING:
    from ta_assets.core.probes.models import ProbeData

VERSION = "1"
"""Of what a fold computes; raise it together with the assets' code version."""


@dataclass(frozen=True)
class FoldRuns:
    """All folds of one setting."""

    folds: Mapping[int, ProbeData]
    """By the problem that is left out."""
    options: ProbeOptions
    store: ArtifactStore
    log: Callable[[str], None]

    def seed_free(self) -> SeedFreeScores:
        """Scores of the models that no seed changes, fitted in every fold; see ``lopo.join_scores``."""
        from ta_assets.core.results.cells import seed_free_scores
        from ta_assets.core.results.lopo import join_scores

        return join_scores(
            {
                fold: self._take("seed_free_scores", fold, {}, lambda data: seed_free_scores(data, self._options))
                for fold in self.folds
            }
        )

    def cell(self, seed: int, seed_free: SeedFreeScores) -> CellResult:
        """What a seed gives in every fold; see ``lopo.join_cells``.

        Raises:
            ValueError: as ``cells.evaluate_cell``; ``seed_free`` was fitted on other folds.
        """
        from ta_assets.core.results.cells import evaluate_cell
        from ta_assets.core.results.lopo import join_cells, scores_of

        cells = {}
        for fold in self.folds:
            own = scores_of(seed_free, fold)
            decides = {"seed": seed, "seed_free": fingerprint(own)}

            def compute(data: ProbeData, own: SeedFreeScores = own) -> CellResult:
                return evaluate_cell(data, self._options, seed, own)

            cells[fold] = self._take("probe_metrics", fold, decides, compute)
        return join_cells(cells)

    @property
    def _options(self) -> ProbeOptions:
        # one test problem is one group: an interval over it would say nothing
        return self.options.model_copy(update={"bootstrap": 0})

    def _take(self, asset: str, fold: int, decides: Mapping[str, Any], compute: Callable[[ProbeData], Any]) -> Any:
        data = self.folds[fold]
        identity = {
            "version": VERSION,
            "fold": fold,
            "data": data.sha256(),
            "options": self._options.model_dump(),
            **decides,
        }
        folder, key = f"{asset}_folds", fingerprint(identity)
        if self.store.exists(folder, key):
            try:
                value = self.store.load(folder, key)
            except InputError as error:
                self.log(f"fold {fold} is computed again: {error}")
            else:
                self.log(f"fold {fold} was taken from the store")
                return value
        value = compute(data)
        self.store.save(folder, key, value)
        # as it would be read back: a fold that was just computed and a stored one must give the same bytes
        return self.store.load(folder, key)
