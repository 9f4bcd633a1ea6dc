"""How a walk looks: lines of text, or one JSON object."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from ta_assets.trace.targets import Target
from ta_assets.trace.walk import Step, name_of


def as_json(target: Target, steps: Sequence[Step], faults: Sequence[str]) -> dict[str, Any]:
    """The walk to a target as one JSON object."""
    return {
        "target": target.text,
        "found": [{"line": one.line, "what": one.what, "artifact": name_of(one.node)} for one in target.found],
        "steps": [
            {
                "artifact": step.name,
                **step.record,
                "faults": step.faults,
                "made_from_artifacts": [name_of(parent) for parent in step.parents],
            }
            for step in steps
        ],
        "faults": list(faults),
    }


def as_text(target: Target, steps: Sequence[Step], faults: Sequence[str]) -> list[str]:
    """The walk to a target as lines."""
    lines = [f"{target.text} is {one.what}, of {name_of(one.node)}" for one in target.found]
    lines += [] if target.found else [f"{target.text} is of {name_of(root)}" for root in target.roots]
    for step in steps:
        record = step.record
        lines += ["", f"{step.name}  {'verified' if not step.faults else 'NOT VERIFIED'}"]
        if record:
            lines += [
                f"  made {record['made']} in run {record['run']}",
                f"  from {', '.join(map(name_of, step.parents)) or 'no other artifact'}",
                f"  data version {record['data_version']}",
                f"  code version {record['code_version']}, code sha256 {record['code_sha256']}",
                *(f"  {name} = {value}" for name, value in _flat(record["made_from"])),
                *(f"  file {name} sha256 {value}" for name, value in sorted(record["files"].items())),
            ]
        lines += [f"  FAULT {fault}" for fault in step.faults]
    return [*lines, "", f"{len(steps)} artifacts, {len(faults)} faults", *(f"  {fault}" for fault in faults)]


def _flat(value: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict) and value:
        for key, inner in sorted(value.items()):
            yield from _flat(inner, f"{prefix}.{key}" if prefix else key)
    else:
        yield prefix, value
