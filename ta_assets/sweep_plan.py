"""Which configurations a study's section ``sweep`` asks for: names of factors, combinations, ids, varied studies.

Belongs here: everything that is known before anything is computed. Stays out: scores (``core.sweep``), assets and the
job (``sweeps``). Knows no section by name: a key that another section gains can be swept at once.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

if TYPE_CHECKING:
    from ta_assets.study import Study

SECTIONS = ("labels", "splits", "extraction", "probes")
"""Sections whose keys may be factors."""
PROBE = "probe"
"""The factor that is no key of a section: which probe is compared with the position baseline."""
DEFAULT_PROBE = "linear_probe"
STAGE = "sweep"
ID_CHARACTERS = 12
MAX_READABLE = 100
"""Of the readable part of a key: it becomes the name of a folder."""
MAX_COMBINATIONS = 10_000
ONLY_FOR_ANCHORS = "labels.anchor_percentile"


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
        short = ",".join(sorted(f"{name.rpartition('.')[2]}={value}" for name, value in self.factors.items()))
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

    A continuous target has no anchors, so combinations that differ in the percentile only are one and the same there.

    Raises:
        ValueError: a factor that is no key, or is one of several sections; too many combinations.
    """
    if not study.sweep:
        return []
    names = [resolve(study, name) for name in study.sweep]
    total = 1
    for values in study.sweep.values():
        total *= len(values)
    if total > MAX_COMBINATIONS:
        raise ValueError(f"sweep: {total} combinations, expected at most {MAX_COMBINATIONS}")
    found: dict[str, dict[str, Any]] = {}
    for values in itertools.product(*study.sweep.values()):
        factors = {name: _canonical(value) for name, value in zip(names, values, strict=True)}
        target = factors.get("labels.target", study.labels.target)
        if target != "anchor_binary":
            factors.pop(ONLY_FOR_ANCHORS, None)
        found.setdefault(combination_id(factors), factors)
    return list(found.values())


def resolve(study: Study, name: str) -> str:
    """The dotted name of a factor: ``probe``, ``section.key``, or a key that one section alone has.

    Raises:
        ValueError: there is no such key, or several sections have it.
    """
    if name == PROBE:
        return name
    known = [f"{section}.{key}" for section in SECTIONS for key in type(getattr(study, section)).model_fields]
    matches = [one for one in known if one == name or one.rpartition(".")[2] == name]
    if len(matches) != 1:
        said = f"one of {', '.join(matches)}" if matches else f"probe, or a key of {', '.join(SECTIONS)}"
        raise ValueError(f"sweep.{name}: must be {said}")
    return matches[0]


def varied(study: Study, factors: Mapping[str, Any]) -> Study:
    """The study with factors in place of what its sections say.

    Raises:
        ValueError: a value that its section does not allow.
    """
    changes: dict[str, dict[str, Any]] = {}
    for name, value in factors.items():
        if name != PROBE:
            section, _, key = name.rpartition(".")
            changes.setdefault(section, {})[key] = value
    sections = {
        section: type(getattr(study, section)).model_validate({**getattr(study, section).model_dump(), **values})
        for section, values in changes.items()
    }
    return study.model_copy(update=sections)


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
        if len({json.dumps(_canonical(value)) for value in values}) != len(values):
            found.append(f"sweep.{name}: a value is listed twice")
        found += [f"sweep.{name}: {fault}" for value in values if (fault := _fault(study, dotted, value))]
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


def _canonical(value: Any) -> Any:
    """90.0 and 90 are one value, and have one id."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _fault(study: Study, dotted: str, value: Any) -> str | None:
    if dotted == PROBE:
        models: Sequence[str] = study.probe_options.models
        return None if value in models else f"{value!r} must be one of {', '.join(models)}"
    if dotted.startswith("splits."):
        return None  # fractions must sum to one together, which only a whole combination can
    try:
        varied(study, {dotted: value})
    except ValidationError as error:
        return f"{value!r} is not allowed there ({'; '.join(fault['msg'] for fault in error.errors())})"
    return None
