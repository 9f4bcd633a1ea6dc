"""How the assets look in Dagster's catalog and graph: groups, kinds, owners, tags, columns, freshness.

Belongs here: one row for each asset. Stays out: what anything but a page depends on (``table``), what an asset is (its
docstring).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta

import dagster as dg

from ta_assets.core.traces.labels import COLUMNS

OWNER = "team:probing"
GENERATED = "0_rollouts"
DATA, VECTORS, PROBES, RESULTS, SWEEPS = "1_data", "2_activations", "3_probes", "4_results", "5_sweeps"
"""Groups; their names sort as they are made."""
WEEK = dg.FreshnessPolicy.time_window(fail_window=timedelta(days=14), warn_window=timedelta(days=7))


@dataclass(frozen=True)
class Entry:
    """One row."""

    group: str
    kinds: frozenset[str]
    """What is stored, and the library that makes it: they become icons; at most three, names that Dagster knows."""
    needs: str = "cpu"
    """What it runs on."""
    columns: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    """Name of a column that every artifact has -> its type and its meaning."""
    freshness: dg.FreshnessPolicy | None = None

    @property
    def metadata(self) -> dict[str, object]:
        """Of the definition."""
        if not self.columns:
            return {}
        columns = [dg.TableColumn(name, kind, meaning) for name, (kind, meaning) in self.columns.items()]
        return {"dagster/column_schema": dg.TableSchema(columns)}


_SENTENCE = {name: (COLUMNS[name].dtype, COLUMNS[name].meaning) for name in ("problem_id", "chunk_idx")}
_LEADERBOARD = {
    "key": ("object", "partition of sweep_metrics"),
    "setting": ("object", "the setting it was scored in"),
    "target": ("object", "what was predicted; ranks are within it"),
    "adjusted_p": ("float64", "p-value, corrected for the number of combinations"),
}
_SCALING = {
    "setting": ("object", "the setting"),
    "model": ("object", "the probe or baseline"),
    "best": ("bool", "whether it is the best of its setting by the primary metric"),
    "seeds": ("int64", "seeds that the mean is over"),
    "depends_on_seed": ("bool", "whether another seed gives other scores"),
    "left_out": ("object", "seeds that were left out, each with its reason"),
}
ENTRIES: Mapping[str, Entry] = {
    "problem_set": Entry(GENERATED, frozenset({"json"})),
    "base_traces": Entry(GENERATED, frozenset({"parquet", "huggingface"}), needs="gpu"),
    "rollouts": Entry(GENERATED, frozenset({"parquet", "huggingface"}), needs="gpu"),
    "labels": Entry(GENERATED, frozenset({"json", "parquet"})),
    "problem_ids": Entry(DATA, frozenset({"json"})),
    "splits": Entry(DATA, frozenset({"json"})),
    "sentences": Entry(
        DATA,
        frozenset({"parquet", "pandas"}),
        columns={name: (column.dtype, column.meaning) for name, column in COLUMNS.items()},
    ),
    "activations": Entry(VECTORS, frozenset({"pytorch", "huggingface", "safetensors"}), needs="gpu"),
    "cv_scores": Entry(
        PROBES,
        frozenset({"parquet", "numpy"}),
        columns={
            **_SENTENCE,
            "anchor": ("int64", COLUMNS["anchor"].meaning),
            "name/repeat": ("float64", "out-of-fold score of that name; one column for each score and repeat"),
        },
    ),
    "probe_comparison": Entry(RESULTS, frozenset({"json", "scipy"})),
    "seed_free_scores": Entry(
        PROBES,
        frozenset({"parquet", "scikitlearn"}),
        columns={
            **_SENTENCE,
            "score_model": ("float32", "score of that model; one column for each that does not depend on the seed"),
        },
    ),
    "probe_metrics": Entry(PROBES, frozenset({"parquet", "scikitlearn"})),
    "aggregate_metrics": Entry(RESULTS, frozenset({"json"})),
    "deferral_plan": Entry(RESULTS, frozenset({"json"})),
    "scaling_summary": Entry(RESULTS, frozenset({"parquet", "pandas"}), columns=_SCALING),
    "readme_block": Entry(RESULTS, frozenset({"markdown"})),
    "report": Entry(RESULTS, frozenset({"html", "jinja"})),
    "release_verdict": Entry(RESULTS, frozenset({"json", "markdown"}), freshness=WEEK),
    "sweep_metrics": Entry(SWEEPS, frozenset({"json", "scikitlearn"}), needs="gpu"),
    "sweep_leaderboard": Entry(SWEEPS, frozenset({"parquet", "pandas"}), columns=_LEADERBOARD),
}


def described(asset: dg.AssetsDefinition) -> dg.AssetsDefinition:
    """An asset with what the catalog says of it."""

    def described_spec(spec: dg.AssetSpec) -> dg.AssetSpec:
        entry = ENTRIES[spec.key.to_user_string()]
        return spec.replace_attributes(group_name=entry.group, freshness_policy=entry.freshness).merge_attributes(
            kinds=set(entry.kinds),
            owners=[OWNER],
            tags={"needs": entry.needs, "stage": entry.group},
            metadata=entry.metadata,
        )

    return asset.map_asset_specs(described_spec)
