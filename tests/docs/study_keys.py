"""``docs/study.md``: every key of a study file, from the models that read it.

Belongs here: their types in words, their defaults, and the docstrings below their fields. Stays out: what a key means,
which its docstring says.
"""

from __future__ import annotations

import ast
import inspect
import json
import re
import textwrap
from collections.abc import Iterator, Mapping
from types import UnionType
from typing import Any

from pydantic import BaseModel

from ta_assets.core.markdown import table
from ta_assets.core.option_values import KNOWN_MODELS, LAYER_WORDS
from ta_assets.studies.study import Study

TITLE = """# Keys of a study file

Written by `make docs` from the classes that read the file; do not edit. A study must have `name`, `models`,
`settings`, and one of `dataset` and `generation` ([generation.md](generation.md)). A faulty file is refused with every
fault and its path. How the data must lie: [data.md](data.md).

Most defaults are the predecessor's. Not so: `extraction.dtype` (float16 there), `extraction.storage_dtype` (float32),
`labels.missing` (an absent importance was read as zero), `statistics.bootstrap` (1000; 2000 in its scaling grid),
`settings.*.problems` (50) and `seeds` (3; 5 in its scaling grid).
"""
WORDS = {"string": "text", "boolean": "true or false", "null": "nothing"}
IN_OTHER_WORDS = {
    "extraction.layer": LAYER_WORDS,
    "probes.models": f"a list of {', '.join(KNOWN_MODELS)}",
    "sweep.FACTOR": "a list of numbers, texts, or true and false",
}
"""Of keys with a validator of their own, which pydantic's schema does not know."""
POINTER = re.compile(r"[;,]? see `+[\w. ]+`+")
"""To code, which a reader of the document does not follow."""


def render() -> str:
    """The document."""
    definitions = Study.model_json_schema()["$defs"]
    sections: dict[str, list[list[str]]] = {}
    for section, path, key, schema, required in _keys(Study, "", definitions):
        default = "required" if required else _default(schema.get("default"))
        row = [path, IN_OTHER_WORDS.get(path) or _type(schema, definitions), default, meaning(section, key)]
        sections.setdefault(path.partition(".")[0] if "." in path else "", []).append(row)
    parts = [TITLE]
    for name, rows in sections.items():
        words = f"## {name}\n\n{_explained(name)}\n" if name else "## The file itself\n"
        parts += [words, table(["key", "value", "default", "meaning"], rows)]
    return "\n".join(parts)


def keys() -> list[str]:
    """Every key as the document names it."""
    return [path for _, path, _, _, _ in _keys(Study, "", Study.model_json_schema()["$defs"])]


def meaning(section: type[BaseModel], key: str) -> str:
    """What the docstring below a field says; empty where there is none."""
    return _docstrings(section).get(key, "")


def _keys(
    section: type[BaseModel], path: str, definitions: Any
) -> Iterator[tuple[type[BaseModel], str, str, Any, bool]]:
    """Section, path, key, schema, and whether it must be given, of every key in a section and those within it."""
    schema = section.model_json_schema() if section is Study else definitions[section.__name__]
    for key, one in schema["properties"].items():
        place = f"{path}{key}"
        inner, several = _section(section.model_fields[key].annotation)
        if inner is not None:
            yield from _keys(inner, f"{place}.NAME." if several else f"{place}.", definitions)
        else:
            place += ".FACTOR" if key == "sweep" else ""
            yield section, place, key, one, key in schema.get("required", ())


def _section(annotation: Any) -> tuple[type[BaseModel] | None, bool]:
    """The section that a field holds, and whether it holds several by name."""
    inner = [one for one in getattr(annotation, "__args__", ()) if one is not type(None)]
    optional = isinstance(annotation, UnionType)
    for one, several in ((inner[0] if optional else annotation, False), (inner[-1] if inner else None, True)):
        if isinstance(one, type) and issubclass(one, BaseModel):
            return one, several
    return None, False


def _explained(name: str) -> str:
    """The docstring of a section, as Markdown."""
    section, _ = _section(Study.model_fields[name].annotation)
    if section is None:
        return "Factors and their values: [sweeps.md](sweeps.md)."
    return textwrap.fill(_in_one_line(inspect.getdoc(section) or "").replace("``", "`"), 120)


def _docstrings(place: type) -> dict[str, str]:
    """Name of a field -> the text below it, on one line."""
    body = ast.parse(textwrap.dedent(inspect.getsource(place))).body[0]
    assert isinstance(body, ast.ClassDef)
    found = {}
    for field, text in zip(body.body, body.body[1:], strict=False):
        if (
            isinstance(field, ast.AnnAssign)
            and isinstance(field.target, ast.Name)
            and isinstance(text, ast.Expr)
            and isinstance(text.value, ast.Constant)
        ):
            found[field.target.id] = _in_one_line(str(text.value.value)).replace("`", "")
    return found


def _in_one_line(words: str) -> str:
    return POINTER.sub("", " ".join(words.split()))


def _type(schema: Mapping[str, Any], definitions: Any) -> str:
    if "anyOf" in schema:
        return " or ".join(_type(one, definitions) for one in schema["anyOf"] if one.get("type") != "null")
    if "const" in schema:
        return f"{schema['const']}"
    if "enum" in schema:
        return f"one of {', '.join(map(str, schema['enum']))}"
    if schema.get("type") == "array":
        return f"a list: {_type(schema['items'], definitions)}"
    kind = str(schema.get("type", "value"))
    return f"{WORDS.get(kind, kind)}{_bounds(schema)}"


def _bounds(schema: Mapping[str, Any]) -> str:
    signs = (("minimum", "ge", "at least"), ("exclusiveMinimum", "gt", "above"), ("maximum", "le", "at most"),
             ("exclusiveMaximum", "lt", "below"))  # fmt: skip
    said = [
        f"{words} {schema.get(name, schema.get(short))}"
        for name, short, words in signs
        if name in schema or short in schema
    ]
    return f" {', '.join(said)}" if said else ""


def _default(value: Any) -> str:
    if value is None:
        return "nothing"
    return value if isinstance(value, str) else json.dumps(value)
