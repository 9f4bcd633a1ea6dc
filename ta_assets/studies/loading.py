"""The studies that one instance holds, and the only reader of study files.

Stays out: the shape of a study (``study.py``), YAML (``yaml_text.py``), partitions (``ta_assets.ledger``).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from ta_assets.core.errors import Fault, InputError, StudyError
from ta_assets.studies.fields import FieldError
from ta_assets.studies.study import Study
from ta_assets.studies.sweep import faults
from ta_assets.studies.yaml_text import read_yaml

SHIPPED = Path(__file__).parent
STUDY_VARIABLE = "TA_STUDY"
DEFAULT_STUDY = "embedded"


@dataclass(frozen=True)
class Studies:
    """All studies that one instance holds side by side; names of corpora and settings are unique over them."""

    studies: tuple[Study, ...]
    current: str
    """Name of the study that ``release`` is about."""
    asked_for: tuple[str, ...] = ()
    """Names of further studies that somebody asked for; their partitions are offered beside those of ``current``."""

    def __post_init__(self) -> None:
        for kind, names in (
            ("study", [(study.name, study) for study in self.studies]),
            ("corpus", [(name, study) for study in self.studies for name in study.corpora]),
            ("setting", [(name, study) for study in self.studies for name in study.settings]),
        ):
            owner: dict[str, Study] = {}
            for name, study in names:
                other = owner.setdefault(name, study)
                if other is not study:
                    field = {"study": "name", "corpus": "models", "setting": f"settings.{name}"}[kind]
                    raise InputError(study.path, field, name, f"a {kind} name that {other.path} does not use already")

    @cached_property
    def by_name(self) -> dict[str, Study]:
        """Study name -> study."""
        return {study.name: study for study in self.studies}

    @cached_property
    def by_corpus(self) -> dict[str, Study]:
        """Corpus name -> its study."""
        return {corpus: study for study in self.studies for corpus in study.corpora}

    @cached_property
    def by_setting(self) -> dict[str, Study]:
        """Setting name -> its study."""
        return {setting: study for study in self.studies for setting in study.settings}

    def offered(self, was_made: Callable[[Study], bool]) -> Studies:
        """Those whose partitions people may choose: asked for, or made here before.

        Dagster's dialogs offer to make everything that is missing, which must not be a study that nobody wants.
        """
        wanted = {self.current, *self.asked_for}
        return replace(self, studies=tuple(one for one in self.studies if one.name in wanted or was_made(one)))

    @property
    def selected(self) -> Study:
        """The study that ``release`` is about."""
        return self.by_name[self.current]


def load_studies(chosen: str | None = None) -> Studies:
    """Read the shipped studies and the chosen one.

    Args:
        chosen: name of a shipped study or path of a study file, or several of them as in ``PATH``, of which the first
            is released; by default what ``TA_STUDY`` says, else ``embedded``.

    Raises:
        InputError: a file is missing or not a valid study (every fault of it is listed), or two studies share a name.
    """
    chosen = chosen or os.environ.get(STUDY_VARIABLE) or DEFAULT_STUDY
    shipped = {path.stem: read_study(path) for path in sorted(SHIPPED.glob("*.yaml"))}
    several = [chosen] if _file(chosen) else [one for one in chosen.split(os.pathsep) if one]
    first, *others = [_named_study(one, shipped) for one in dict.fromkeys(several or [chosen])]
    own = [study for study in (first, *others) if study.name not in shipped or shipped[study.name] is not study]
    return Studies((*shipped.values(), *own), current=first.name, asked_for=tuple(study.name for study in others))


def _named_study(chosen: str, shipped: Mapping[str, Study]) -> Study:
    """The study that somebody means by a name or a path.

    Raises:
        InputError: there is no such study, or its file is not valid.
    """
    if chosen in shipped:
        return shipped[chosen]
    path = _file(chosen)
    if path is None:
        names = ", ".join(sorted(shipped))
        raise InputError(f"environment variable {STUDY_VARIABLE}", "value", chosen, f"one of {names}, or a study file")
    return read_study(path)


def _file(chosen: str) -> Path | None:
    """The file that somebody means; None where there is none, or none can have that name."""
    try:
        path = Path(chosen).expanduser()
        return path if path.is_file() else None
    except (OSError, RuntimeError):  # a name that is too long, a home of nobody
        return None


def read_study(path: Path) -> Study:
    """Read and validate one study file.

    Raises:
        InputError: it cannot be read, or is not YAML.
        StudyError: it breaks the shape; all faults are listed with their YAML paths.
    """
    content = read_yaml(path)
    if not isinstance(content, dict):
        raise InputError(path, "file", content, "a mapping with name, dataset, models and settings")
    try:
        study = Study.parse(content, path)
    except ValidationError as error:
        raise StudyError(path, [_named(fault) for fault in error.errors()]) from None
    found = faults(study)
    if found:
        raise StudyError(path, [Fault("sweep", study.sweep, "; ".join(found))])
    return study


def _named(fault: Mapping[str, Any]) -> Fault:
    """One fault of pydantic's in our words."""
    error = fault.get("ctx", {}).get("error")
    if isinstance(error, FieldError):
        return Fault(error.field, error.value, error.expected)
    # pydantic adds the branch of a union to the location; people know only the keys that they wrote
    where = ".".join(
        str(part) for part in fault["loc"] if not str(part).startswith(("literal[", "function-", "constrained-"))
    )
    return Fault(where or "file", None if fault["type"] == "missing" else fault["input"], _in_words(fault))


def _in_words(fault: Mapping[str, Any]) -> str:
    context = fault.get("ctx", {})
    words = {
        "missing": "this key, which has no default",
        "extra_forbidden": "no such key here",
        "greater_than_equal": f"at least {context.get('ge')}",
        "greater_than": f"more than {context.get('gt')}",
        "less_than": f"less than {context.get('lt')}",
        "less_than_equal": f"at most {context.get('le')}",
    }
    return words.get(fault["type"], str(fault["msg"]).removeprefix("Value error, "))
