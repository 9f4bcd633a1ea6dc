"""``docs/architecture.md``: the picture of the graph, from the definitions that Dagster loads.

Belongs here: the picture as Mermaid text, which GitHub draws. Stays out: what the document says around it.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

import dagster as dg

from ta_assets.definitions import build_definitions, was_made
from ta_assets.ledger.partitions import Partitions
from ta_assets.studies.loading import load_studies
from ta_resources.storage.artifacts import ArtifactStore

DOCUMENT = Path(__file__).parents[2] / "docs/architecture.md"
START, END = "<!-- GRAPH_START -->", "<!-- GRAPH_END -->"


def render() -> str:
    """The document with the picture as it is now."""
    before, rest = DOCUMENT.read_text(encoding="utf-8").split(START)
    return f"{before}{START}\n```mermaid\n{picture()}\n```\n{END}{rest.split(END)[1]}"


def picture() -> str:
    """Every asset with what one partition of it is, by group, and an arrow from each of its parents."""
    studies = load_studies("embedded")
    definitions = build_definitions(studies)
    partitions = Partitions(studies.offered(partial(was_made, ArtifactStore())))
    scopes: list[tuple[str, dg.PartitionsDefinition]] = [
        ("corpus", partitions.corpus),
        ("setting", partitions.setting),
        ("setting and seed", partitions.cell),
        ("study", partitions.study),
    ]
    graph = definitions.resolve_asset_graph()
    nodes = {key.to_user_string(): graph.get(key) for key in graph.toposorted_asset_keys}
    lines = ["flowchart TD"]
    for group in dict.fromkeys(node.group_name for node in nodes.values()):
        lines.append(f"  subgraph group_{group}[{group}]")
        for name, node in nodes.items():
            if node.group_name == group:
                scope = next((word for word, known in scopes if known == node.partitions_def), "combination")
                lines.append(f'    {name}["{name}<br><i>{scope}</i>"]')
        lines.append("  end")
    for name, node in nodes.items():
        lines += [f"  {parent.to_user_string()} --> {name}" for parent in sorted(node.parent_keys)]
    return "\n".join(lines)
