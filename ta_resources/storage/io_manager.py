"""How Dagster stores what an asset returns, and gives it to the assets made of it."""

from __future__ import annotations

from typing import Any

import dagster as dg

from ta_resources.storage.artifacts import ArtifactStore


class ArtifactIOManager(dg.ConfigurableIOManager):
    """Stores what an asset returns and loads it; an input marked ``collect`` is always a dict by partition."""

    store: ArtifactStore

    def handle_output(self, context: dg.OutputContext, obj: object) -> None:
        """Store, and record the hash of every file with the materialization."""
        asset, partition = context.asset_key.to_user_string(), context.partition_key
        saved = self.store.save(asset, partition, obj)
        context.add_output_metadata(
            {
                "folder": dg.MetadataValue.path(self.store.place(asset, partition)),
                "bytes": saved.bytes,
                "files": dg.MetadataValue.json(saved.files),
            }
        )

    def load_input(self, context: dg.InputContext) -> Any:
        """Load one partition's value, or a dict of them where the input is marked ``collect``."""
        # sorted: Dagster hands them over as a set, in an order that differs from process to process
        asset, keys = context.asset_key.to_user_string(), sorted(context.asset_partition_keys)
        if (context.definition_metadata or {}).get("collect"):
            return {key: self.store.load(asset, key) for key in keys if self.store.exists(asset, key)}
        return self.store.load(asset, keys[0])
