"""Keys with which a model's configuration names code, or files beyond those that are identified.

Belongs here: what such a key looks like, wherever in the configuration it stands. Stays out: files
(``model_folder``).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ta_assets.core.errors import InputError

REFUSED = {
    "auto_map": "a model that needs no code of its author",
    "transformers_weights": "model.safetensors, or its index and shards; no key that names another file of weights",
    "configuration_files": "config.json alone; no key that names another configuration",
}
"""Key -> what should be there in its place. Empty ones do nothing and are let pass."""
IMPLEMENTATIONS = ("attn_implementation", "_attn_implementation", "experts_implementation", "_experts_implementation")
PLAIN = ("eager", "sdpa", "batched_mm", "grouped_mm")
"""Made of torch alone; for any other, transformers may fetch a kernel, which is code, from the Hub."""


def refuse_keys(source: str, name: str, content: Mapping[str, Any]) -> None:
    """Look at a configuration, and at those of the models within the model.

    Args:
        source: the model, for the error.
        name: the file.
        content: what it holds.

    Raises:
        InputError: a key that names code or another file.
    """
    for key, value in _entries(content):
        if value and key in REFUSED:
            raise InputError(source, f"{name}: {key}", value, REFUSED[key])
        if key in IMPLEMENTATIONS and not _is_plain(value):
            expected = f"one of {', '.join(PLAIN)}, or no such key (another may be code that is fetched)"
            raise InputError(source, f"{name}: {key}", value, expected)


def _entries(content: Any) -> Iterator[tuple[str, Any]]:
    """Every key with its value, however deep; by a list of what waits, as a file may be nested deeper than Python."""
    waiting = [content]
    while waiting:
        one = waiting.pop()
        if isinstance(one, dict):
            yield from one.items()
            waiting.extend(one.values())
        elif isinstance(one, list):
            waiting.extend(one)


def _is_plain(value: Any) -> bool:
    """Whether it is plain; an object names one for each model within the model."""
    named = value.values() if isinstance(value, dict) else [value]
    return all(name is None or name in PLAIN for name in named)
