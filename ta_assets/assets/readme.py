"""The results of a study: a page with all of them, and the block of a README, byte-identical while the results are."""

from pathlib import Path

import dagster as dg

from ta_assets.assets.expected import told
from ta_assets.ledger.fingerprint import output
from ta_assets.ledger.partitions import Partitions
from ta_assets.ledger.world import WorldResource
from ta_assets.pages import plots
from ta_assets.pages.block import current_page
from ta_assets.pages.spans import render, to_json
from ta_assets.studies.readme_file import (
    block_of,
    end_marker,
    read_readme,
    readme_path,
    results_path,
    start_marker,
    with_block,
)
from ta_assets.studies.study import Study
from ta_resources.storage.atomic import write_file

SPANS = "spans"
"""Name of the metadata entry with the pieces of the page and the artifact of each, see ``pages.spans.to_json``."""


def build(partitions: Partitions) -> list[dg.AssetsDefinition]:
    """The asset ``readme_block``."""
    as_asset = dg.asset(partitions_def=partitions.study, deps=["scaling_summary"], code_version="4")
    return [as_asset(readme_block)]


def readme_block(context: dg.AssetExecutionContext, world: WorldResource) -> dg.Output[str]:
    """The results of a study as Markdown: all of them on a page, the headlines between the markers of a README."""
    study = world.studies.by_name[context.partition_key]
    page = current_page(world, study.name)
    text, path = render(page), readme_path(study, world.store.local_folder)
    write_file(results_path(study, world.store.local_folder), f"{text}\n".encode())
    facts = {
        "changed": _write(path, study, block_of(text)),
        "path": dg.MetadataValue.path(path),
        **plots.screens("headlines", block_of(text)),
        "everything": dg.MetadataValue.path(results_path(study, world.store.local_folder)),
        SPANS: dg.MetadataValue.json(to_json(page)),
    }
    return output(text, told(text), facts)


def _write(path: Path, study: Study, block: str) -> bool:
    """Put a block into its file, and say whether that changed it.

    Raises:
        InputError: the file cannot be read, or has not each marker once.
    """
    if study.readme is None and not path.exists():
        write_file(path, f"# Results of {study.name}\n\n{start_marker(study)}\n{end_marker(study)}\n".encode())
    old = read_readme(path)
    new = with_block(old, study, block, path)
    if new != old:
        write_file(path, new.encode())
    return new != old
