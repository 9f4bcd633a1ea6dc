"""Which configurations a study's section ``sweep`` asks for: names of factors, combinations, ids, varied studies.

Belongs here: everything that is known before anything is computed. Stays out: scores (``core.results``), assets and the
job (``sweeps``). A key that a section or a section within it gains can be swept at once.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ValidationError

if TYPE_CHECKING:
    from ta_assets.studies.study import Study

SECTIONS = ("labels", "splits", "extraction", "probes")
"""Sections whose keys may be factors."""
PROBE = "probe"
"""The factor that is no key of a section: which probe is compared with the position baseline."""
DEFAULT_PROBE = "linear_probe"
STAGE = "sweep"
ID_CHARACTERS = 12
MAX_READABLE = 100
"""Largest length of the readable part of a partition key, which becomes a folder name."""
MAX_COMBINATIONS = 10_000
ONLY_FOR_ANCHORS = "labels.anchor_percentile"
VERTICAL_ATTENTION = "extraction.vertical_attention."
ONLY_TOGETHER = "splits."
"""Fractions must sum to one, which only a whole combination can."""


@dataclass(frozen=True)
class SweepCell:
    """One combination of factors in one setting."""

    study: Study
    """With the factors put in."""
    setting: str
    factors: Mapping[str, Any]
    """Dotted name, or ``probe``, -> value."""

    @property
    def key(self) -> str:
        """Partition key: readable, then the hash of the factors, then the setting."""
        short = ",".join(sorted(f"{name.partition('.')[2] or name}={value}" for name, value in self.factors.items()))
        readable = re.sub(r"[^A-Za-z0-9_=,-]", "_", short)[:MAX_READABLE]
        return f"{readable}~{combination_id(self.factors)}|{self.setting}"

    @property
    def probe(self) -> str:
        """The probe that is compared with the position baseline."""
        return str(self.factors.get(PROBE, DEFAULT_PROBE))


def combination_id(factors: Mapping[str, Any]) -> str:
    """``sweep_`` and the first 12 hex digits of the SHA-256 of "sweep:" and the canonical JSON of the factors."""
    text = json.dumps(factors, sort_keys=True, separators=(",", ":"))
    return f"{STAGE}_{hashlib.sha256(f'{STAGE}:{text}'.encode()).hexdigest()[:ID_CHARACTERS]}"


def sweep_cells(study: Study) -> list[SweepCell]:
    """Every combination in every setting of a study, each once; none without a section ``sweep``."""
    return [
        SweepCell(changed, setting, factors)
        for factors in combinations(study)
        for changed in [varied(study, factors)]
        for setting in study.settings
    ]


def combinations(study: Study) -> list[dict[str, Any]]:
    """Every distinct combination of the factors, in the order of the file.

    A continuous target has no anchors, so combinations that differ in the percentile only are one and the same there;
    so are those that differ in how vertical attention is scored where it is off.

    Raises:
        ValueError: a factor that is no key, or is one of several sections; too many combinations.
    """
    if not study.sweep:
        return []
    names = {name: resolve(study, name) for name in study.sweep}
    total = 1
    for values in study.sweep.values():
        total *= len(values)
    if total > MAX_COMBINATIONS:
        raise ValueError(f"sweep: {total} combinations, expected at most {MAX_COMBINATIONS}")
    found: dict[str, dict[str, Any]] = {}
    canonical = [[_canonical(study, name, value) for value in study.sweep[said]] for said, name in names.items()]
    for values in itertools.product(*canonical):
        factors = _of_effect(study, dict(zip(names.values(), values, strict=True)))
        found.setdefault(combination_id(factors), factors)
    return list(found.values())


def _of_effect(study: Study, factors: dict[str, Any]) -> dict[str, Any]:
    """The factors without those that change nothing beside the others."""
    if factors.get("labels.target", study.labels.target) != "anchor_binary":
        factors.pop(ONLY_FOR_ANCHORS, None)
    mode = f"{VERTICAL_ATTENTION}mode"
    if factors.get(mode, study.extraction.vertical_attention.mode) != "off":
        return factors
    return {name: value for name, value in factors.items() if name == mode or not name.startswith(VERTICAL_ATTENTION)}


def resolve(study: Study, name: str) -> str:
    """The dotted name of a factor: ``probe``, or the path of a key in full or from any of its parts on.

    Raises:
        ValueError: there is no such key, several have that name, or it is a section rather than a key.
    """
    if name == PROBE:
        return name
    known = [key for section in SECTIONS for key in _keys(getattr(study, section), section)]
    matches = [one for one in known if f".{one}".endswith(f".{name}")]
    if len(matches) == 1:
        return matches[0]
    inside = [one for one in known if f".{name}." in f".{one}"]
    choice = matches or inside
    said = f"one of {', '.join(choice)}" if choice else f"probe, or a key of {', '.join(SECTIONS)}"
    raise ValueError(f"sweep.{name}: must be {said}")


def _keys(section: BaseModel, path: str) -> Iterator[str]:
    """Dotted paths of a section's keys, with those of sections within it in place of these."""
    for key in type(section).model_fields:
        value = getattr(section, key)
        if isinstance(value, BaseModel):
            yield from _keys(value, f"{path}.{key}")
        else:
            yield f"{path}.{key}"


def varied(study: Study, factors: Mapping[str, Any]) -> Study:
    """The study with factors in place of what its sections say.

    Raises:
        ValueError: a value that its section does not allow.
    """
    sections: dict[str, dict[str, Any]] = {}
    for name, value in factors.items():
        if name != PROBE:
            section, *within, key = name.split(".")
            place = sections.setdefault(section, getattr(study, section).model_dump())
            for one in within:
                place = place[one]
            place[key] = value
    return study.model_copy(
        update={name: type(getattr(study, name)).model_validate(values) for name, values in sections.items()}
    )


def faults(study: Study) -> list[str]:
    """What is wrong with a study's section ``sweep``, in words; empty when nothing is."""
    found, names = [], set()
    for name, values in (study.sweep or {}).items():
        try:
            dotted = resolve(study, name)
        except ValueError as error:
            found.append(str(error))
            continue
        if dotted in names:
            found.append(f"sweep.{name}: {dotted} is a factor already")
        names.add(dotted)
        wrong = [f"sweep.{name}: {fault}" for value in values if (fault := _fault(study, dotted, value))]
        found += wrong
        if not wrong and len({json.dumps(_canonical(study, dotted, value)) for value in values}) != len(values):
            found.append(f"sweep.{name}: a value is listed twice")
    if not found:
        try:
            for factors in combinations(study):
                changed, probe = varied(study, factors), str(factors.get(PROBE, DEFAULT_PROBE))
                absent = changed.missing_input(probe)
                if absent:
                    found.append(f"sweep: {factors}: probe {probe} needs {absent}")
                    break
        except ValidationError as error:
            found.append(f"sweep: {'; '.join(fault['msg'] for fault in error.errors())}")
        except ValueError as error:
            found.append(str(error))
    return found


def _canonical(study: Study, dotted: str, value: Any) -> Any:
    """As its section reads it: 90.0 and 90 are one value, and so are YAML's two ways to write ``off``."""
    if dotted != PROBE and not dotted.startswith(ONLY_TOGETHER):
        value = varied(study, {dotted: value})
        for key in dotted.split("."):
            value = getattr(value, key)
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _fault(study: Study, dotted: str, value: Any) -> str | None:
    if dotted == PROBE:
        models: Sequence[str] = study.probe_options.models
        return None if value in models else f"{value!r} must be one of {', '.join(models)}"
    if dotted.startswith(ONLY_TOGETHER):
        return None
    try:
        varied(study, {dotted: value})
    except ValidationError as error:
        return f"{value!r} is not allowed there ({'; '.join(fault['msg'] for fault in error.errors())})"
    return None
