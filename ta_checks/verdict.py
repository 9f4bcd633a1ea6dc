"""The outcome of one check, and the only place where numpy becomes plain Python.

Belongs here: the value, how it is decided, its JSON. Stays out: rules, severities, tables for people, Dagster.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any

import numpy as np

STATUSES = ("passed", "warned", "failed", "errored", "skipped")
MAX_OFFENDERS = 10
"""Offenders kept, so that a loud rule does not crowd out a rare one."""
MAX_TEXT_CHARACTERS = 2_000
"""Largest length of a message or an offender; a traceback or a whole README is no message."""

VERDICT = "verdict"
"""Name of the metadata entry of an evaluation with all of its verdict."""
_COMPARISONS: Mapping[str, Callable[[Any, Any], bool]] = {
    "<=": operator.le,
    "<": operator.lt,
    ">=": operator.ge,
    ">": operator.gt,
    "==": operator.eq,
    "!=": operator.ne,
}

Scalar = float | int | str | None


@dataclass(frozen=True)
class Verdict:
    """What one rule found in one cell. Whatever it is built from, it holds plain Python that is strict JSON.

    NaN and the infinities have no JSON; they become the strings ``"NaN"``, ``"Infinity"`` and ``"-Infinity"``.
    """

    status: str
    """One of passed, warned, failed, errored, skipped. Only passed is passed."""
    observed: Scalar = None
    comparison: str = ""
    """Required relation of ``observed`` to ``threshold``: <=, <, >=, >, == or !=; empty when nothing was compared."""
    threshold: Scalar = None
    unit: str = ""
    """Unit of ``observed`` and ``threshold``."""
    n: int = 0
    """How many things were looked at: sentences, files, permutations, as the rule says."""
    offenders: tuple[str, ...] = ()
    """At most ten of what broke the rule."""
    message: str = ""
    """For a person: what was found and, when red, what it means."""
    details: Mapping[str, Any] = field(default_factory=dict)
    """Further figures, by name."""
    n_offenders: int | None = None
    """Number of things that broke the rule, also of those not kept; by default the number of ``offenders`` given."""

    def __post_init__(self) -> None:
        if self.status not in STATUSES:
            raise ValueError(f"status {self.status!r} is not one of {', '.join(STATUSES)}")
        offenders = [_text(offender) for offender in self.offenders]
        count = len(offenders) if self.n_offenders is None else int(self.n_offenders)
        converted = {
            "observed": _scalar(self.observed),
            "threshold": _scalar(self.threshold),
            "comparison": _text(self.comparison),
            "unit": _text(self.unit),
            "n": int(self.n),
            "offenders": tuple(offenders[:MAX_OFFENDERS]),
            "n_offenders": max(count, len(offenders)),
            "message": _text(self.message),
            "details": plain(dict(self.details)),
        }
        for name, value in converted.items():
            object.__setattr__(self, name, value)

    @classmethod
    def judge(
        cls,
        observed: Any,
        comparison: str,
        threshold: Any,
        *,
        unit: str = "",
        n: int = 0,
        offenders: Iterable[Any] = (),
        message: str = "",
        details: Mapping[str, Any] | None = None,
    ) -> Verdict:
        """Decide passed or failed. An ``observed`` that is None, NaN or infinite never passes, whatever the bound.

        Raises:
            ValueError: unknown comparison.
            TypeError: the two cannot be compared, such as a text with ``<=`` to a number.
        """
        if comparison not in _COMPARISONS:
            raise ValueError(f"comparison {comparison!r} is not one of {', '.join(_COMPARISONS)}")
        held = _defined(observed) and _defined(threshold) and bool(_COMPARISONS[comparison](observed, threshold))
        return cls(
            status="passed" if held else "failed",
            observed=observed,
            comparison=comparison,
            threshold=threshold,
            unit=unit,
            n=n,
            offenders=tuple(offenders),
            message=message,
            details=details or {},
        )

    @classmethod
    def no_faults(
        cls,
        faults: Collection[Any],
        *,
        n: int,
        unit: str = "faults",
        message: str,
        details: Mapping[str, Any] | None = None,
    ) -> Verdict:
        """Passed when there are no faults, else failed.

        Args:
            faults: what broke the rule, each in words.
            n: how many things were looked at.
            unit: what is counted.
            message: for a person.
            details: further figures, by name.
        """
        return cls.judge(len(faults), "<=", 0, unit=unit, n=n, offenders=faults, message=message, details=details)

    @classmethod
    def failed(cls, message: str, *, n: int = 0, offenders: Iterable[Any] = ()) -> Verdict:
        """A failure without a figure, where there is nothing to compare."""
        return cls(status="failed", message=message, n=n, offenders=tuple(offenders))

    @classmethod
    def skipped(cls, reason: str, details: Mapping[str, Any] | None = None) -> Verdict:
        """The rule had nothing to judge; this is not passed."""
        return cls(status="skipped", message=reason, details=details or {})

    @classmethod
    def errored(cls, exception: BaseException) -> Verdict:
        """The rule itself broke; this is not passed."""
        return cls(status="errored", message=f"{type(exception).__name__}: {exception}")

    @property
    def passed(self) -> bool:
        """Whether the invariant was evaluated and holds."""
        return self.status == "passed"

    def as_warning(self) -> Verdict:
        """The same finding where it only warns: failed becomes warned, everything else stays."""
        return replace(self, status="warned") if self.status == "failed" else self

    @property
    def found(self) -> str:
        """What was compared, on one line, as ``observed 3 <= 0 files, of 12 looked at``; empty when nothing was."""
        if not self.comparison:
            return ""
        bound = f"observed {figure(self.observed)} {self.comparison} {figure(self.threshold)} {self.unit}".rstrip()
        return f"{bound}, of {self.n} looked at" if self.n else bound

    def to_metadata(self) -> dict[str, Any]:
        """Plain Python for a page of the check: what people read by itself, and all of it as ``verdict``.

        Numbers are plotted over time there, so ``observed`` is the only one that stands by itself.
        """
        number = isinstance(self.observed, (int, float))
        return {
            "status": self.status,
            **({"found": self.found} if self.found else {}),
            **({"observed": self.observed} if number else {}),
            **({"offenders": list(self.offenders)} if self.offenders else {}),
            VERDICT: self.to_json(),
        }

    def to_json(self) -> dict[str, Any]:
        """All fields as strict JSON values; ``from_json`` reads them back."""
        return {**{part.name: getattr(self, part.name) for part in fields(self)}, "offenders": list(self.offenders)}

    @classmethod
    def from_json(cls, made: Mapping[str, Any]) -> Verdict:
        """Read what ``to_json`` wrote.

        Raises:
            TypeError: a field is missing or unknown.
            ValueError: a field holds what it cannot.
        """
        return cls(**{**made, "offenders": tuple(made["offenders"])})


def figure(value: Scalar) -> str:
    """A figure for people."""
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def plain(value: Any) -> Any:
    """Make a value strict JSON: numpy becomes Python, NaN and infinities text, sets sorted lists, the rest its text."""
    if isinstance(value, np.ndarray):
        return plain(value.tolist())
    if isinstance(value, np.generic):
        return plain(value.item())
    if value is None or isinstance(value, (bool, int)):
        return value
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else _non_finite(value)
    if isinstance(value, Mapping):
        return {_text(key): plain(item) for key, item in value.items()}
    if isinstance(value, (set, frozenset)):
        return sorted((plain(item) for item in value), key=str)
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    return _text(value)


def _scalar(value: Any) -> Scalar:
    """One figure; something longer would be no observation but a table."""
    figure = plain(value)
    if isinstance(figure, (list, dict)):
        raise ValueError(f"a figure of a verdict is one number or text, not {type(value).__name__}")
    return figure


def _text(value: Any) -> str:
    """Text that UTF-8 can hold (a lone surrogate cannot be written to a file), of bounded length."""
    text = str(value).encode("utf-8", "backslashreplace").decode("utf-8")
    return text if len(text) <= MAX_TEXT_CHARACTERS else text[: MAX_TEXT_CHARACTERS - 1] + "…"


def _defined(value: Any) -> bool:
    if value is None:
        return False
    return not isinstance(value, (float, np.floating)) or bool(np.isfinite(value))


def _non_finite(value: float) -> str:
    if math.isnan(value):
        return "NaN"
    return "Infinity" if value > 0 else "-Infinity"
