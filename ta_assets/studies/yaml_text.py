"""A study file's YAML as plain values: safe, bounded, and with no key given twice.

Belongs here: reading the text. Stays out: what a study is (``study.py``), which files are read (``loading.py``).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from ta_assets.core.errors import InputError, shown
from ta_resources.storage.atomic import read_text

MAX_BYTES = 262_144
"""A study is written by hand; PyYAML reads about so much in a second."""
MAX_VALUES = 20_000
"""Counted with every alias written out: nine aliases of nine aliases of ... are a small file and no study."""


def read_yaml(path: Path) -> Any:
    """The content of a YAML file, of the types that JSON and YAML's safe subset have.

    Raises:
        InputError: no regular file, too large, not UTF-8, not YAML, nested too deep, one that holds itself or is too
            large when aliases are written out, a key given twice, or a tag that asks for anything but plain values.
    """
    text = read_text(path, "a study as a readable UTF-8 file", MAX_BYTES)
    try:
        return _parsed(text, path)
    except yaml.YAMLError as error:
        raise InputError(path, "file", _problem_and_place(error), "valid YAML") from None
    except RecursionError:
        raise InputError(path, "file", "values that are nested too deep", "valid YAML of a few levels") from None


def _problem_and_place(error: yaml.YAMLError) -> str:
    """What is wrong, and where: the first characters of PyYAML's own text say neither."""
    if not isinstance(error, yaml.MarkedYAMLError) or error.problem is None:
        return str(error)
    mark = error.problem_mark
    return error.problem if mark is None else f"{error.problem} (line {mark.line + 1}, column {mark.column + 1})"


def _parsed(text: str, path: Path) -> Any:
    loader = _StrictLoader(text)
    try:
        node = loader.get_single_node()
        if node is None:
            return None
        size = _written_out(node, {}, path)
        if size > MAX_VALUES:
            raise InputError(path, "file", f"{size} values when written out", f"at most {MAX_VALUES} values")
        return loader.construct_document(node)
    finally:
        loader.dispose()


def _written_out(node: yaml.Node, known: dict[int, int | None], path: Path) -> int:
    """How many values a node stands for; each node is looked at once, however many aliases there are of it."""
    key = id(node)
    if key in known:
        size = known[key]
        if size is None:
            raise InputError(path, "file", "a value that holds itself", "valid YAML without loops of aliases")
        return size
    known[key] = None
    inner = []
    if isinstance(node, yaml.SequenceNode):
        inner = node.value
    elif isinstance(node, yaml.MappingNode):
        inner = [one for pair in node.value for one in pair]
    size = known[key] = 1 + sum(_written_out(one, known, path) for one in inner)
    return size


class _StrictLoader(yaml.SafeLoader):
    """Safe loading that refuses a key given twice, of which YAML would silently keep the last."""

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        """As PyYAML does, but a value that is not what its form or tag says is an error of YAML with its place."""
        try:
            return super().construct_object(node, deep)
        except (ValueError, LookupError, AttributeError, TypeError, ArithmeticError):
            kind = node.tag.rpartition(":")[2]
            problem = f"{shown(node.value)} is no {kind}"
            raise yaml.constructor.ConstructorError(None, None, problem, node.start_mark) from None


def _mapping(loader: _StrictLoader, node: yaml.MappingNode) -> dict[Any, Any]:
    keys = [loader.construct_object(key, deep=True) for key, _ in node.value]
    twice = sorted({str(key) for key in keys if keys.count(key) > 1})
    if twice:
        raise yaml.constructor.ConstructorError(None, None, f"key given twice: {', '.join(twice)}", node.start_mark)
    return loader.construct_mapping(node, deep=True)


_StrictLoader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _mapping)
