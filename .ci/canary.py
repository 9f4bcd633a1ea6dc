"""Canaries: artifacts of a release are damaged in memory, and the check of each must turn red, as it was green before.

A gate whose checks have gone blind says OK for ever; this is how one notices. Nothing on the disk is touched.

    python .ci/canary.py STUDY.yaml ARTIFACTS
"""

from __future__ import annotations

import copy
import random
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ta_assets.ledger.table import partitions_of
from ta_assets.ledger.world import World
from ta_assets.studies.loading import load_studies
from ta_checks.checks import judge
from ta_checks.evidence import Evidence
from ta_checks.invariant import Invariant
from ta_checks.table import INVARIANTS
from ta_resources.language_model.resource import LanguageModelResource
from ta_resources.rollouts.resource import RolloutsResource
from ta_resources.storage.artifacts import ArtifactStore

SMALL = 1e-3
"""Added to a number: far above any rounding, far below what anybody would notice in a table."""


@dataclass(frozen=True)
class Canary:
    """One damage and the check that must see it."""

    check: str
    asset: str
    damage: Callable[[Any], Any]
    """The stored value -> a damaged one; it may change the copy that it is given."""


def _rolled(table: Any, column: str) -> Any:
    return table.assign(**{column: np.roll(table[column].to_numpy(), 1)})


def _score(value: Any, name: str) -> Any:
    columns = [column for column in value.scores.columns if column.startswith(name)]
    return replace(value, scores=_rolled(value.scores, columns[0]))


def _in_both(split: dict[str, Any]) -> dict[str, Any]:
    part = next(iter(split["folds"].values())) if "folds" in split else split
    part["train"].append(part["test"][0])
    return split


def _metric(value: Any) -> Any:
    model = next(iter(value.metrics["models"].values()))
    model["test"] = {name: number and number + SMALL for name, number in model["test"].items()}
    return value


def _mean(value: dict[str, Any]) -> dict[str, Any]:
    row = value["summary_by_model"][0]
    row.update({name: number + SMALL for name, number in row.items() if name.endswith("_mean") and number is not None})
    return value


def _lead(value: dict[str, Any]) -> dict[str, Any]:
    value["rows"][0]["difference"] += SMALL
    return value


def _deviation(value: dict[str, Any]) -> dict[str, Any]:
    value["rows"][0]["deviation"] += SMALL
    return value


def _others(value: Any) -> Any:
    """Every problem has the vectors of the next one."""
    shards = value.record["shards"]
    value.record["shards"] = dict(zip(shards, [*list(shards.values())[1:], next(iter(shards.values()))], strict=True))
    return value


def _errors(value: dict[str, Any]) -> dict[str, Any]:
    value["plans"][0]["test"]["n_errors"] += 1
    return value


def _skip(value: Any) -> Any:
    value.record["skipped"].append({"problem_id": 1, "kind": "overflow", "reason": "a canary"})
    return value


CANARIES = (
    Canary("problems_as_asked", "problem_ids", lambda value: value[:-1]),
    Canary("split_is_disjoint", "splits", _in_both),
    Canary("labels_follow_rule", "sentences", lambda value: _rolled(value, "counterfactual_raw")),
    Canary("zero_skipped_problems", "activations", _skip),
    Canary("plain_forward_agrees", "activations", _others),
    Canary("scores_out_of_fold", "cv_scores", lambda value: _score(value, "difference_of_means")),
    Canary("comparison_recomputes", "probe_comparison", _lead),
    Canary("claims_recompute", "probe_comparison", _deviation),
    Canary("scores_refit", "seed_free_scores", lambda value: _score(value, "score_linear_probe")),
    Canary("predictions_recompute", "probe_metrics", _metric),
    Canary("aggregate_recomputes", "aggregate_metrics", _mean),
    Canary("deferral_recomputes", "deferral_plan", _errors),
)


def blind(world: World, canaries: tuple[Canary, ...] = CANARIES) -> Iterator[str]:
    """What went wrong: checks that are red without a damage, or not red with one.

    Each canary dies in a cell that its healthy value decides.
    """
    rows: dict[tuple[str, str], Invariant] = {(row.name, row.asset): row for row in INVARIANTS}
    study = world.studies.selected
    for canary in canaries:
        row = rows.get((canary.check, canary.asset))
        if row is None:
            yield f"{canary.check} of {canary.asset} is gone from the table"
            continue
        keys = partitions_of(canary.asset, study)
        digest = str(sorted(world.store.hashes(canary.asset, keys[0]).items()))
        partition = random.Random(digest).choice(keys)
        healthy, damaged = (Evidence(canary.asset, partition, world) for _ in range(2))
        where = f"{canary.check} of {canary.asset}[{partition}]"
        if not (found := judge(row, healthy)).passed:
            yield f"{where} is {found.status} on the stored artifact: {found.message}"
        damaged.__dict__["value"] = canary.damage(copy.deepcopy(healthy.value))
        if (found := judge(row, damaged)).status not in ("failed", "warned"):
            yield f"{where} is {found.status} on a damaged artifact: {found.message}"


def main(arguments: list[str]) -> int:
    """Print what went wrong; 1 if anything did."""
    study, artifacts = arguments
    store = ArtifactStore(base_dir=artifacts, recovers=False)
    world = World(load_studies(study), store, RolloutsResource(), LanguageModelResource(), None)  # type: ignore[arg-type]
    found = list(blind(world))
    for line in found:
        print(f"canary: {line}")
    print(f"canary: {len(CANARIES)} artifacts damaged in memory, {len(found)} faults of their checks")
    return int(bool(found))


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
