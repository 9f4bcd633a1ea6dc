"""How a verdict is decided, and that whatever it is built from becomes strict JSON."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from ta_checks.verdict import MAX_OFFENDERS, Verdict, plain

numbers = st.one_of(
    st.floats(),
    st.integers(),
    st.booleans(),
    st.none(),
    st.floats(width=16).map(np.float16),
    st.floats().map(np.float64),
    st.integers(-(2**63), 2**63 - 1).map(np.int64),
    st.booleans().map(np.bool_),
)
leaves = numbers | st.text() | st.binary() | st.characters(categories=["Cs"])
values = st.recursive(
    leaves | npst.arrays(np.float32, npst.array_shapes(max_dims=2, max_side=3)),
    lambda inner: st.lists(inner) | st.tuples(inner) | st.dictionaries(leaves, inner),
    max_leaves=10,
)


def strict(value: Any) -> Any:
    """Through strict JSON and UTF-8 and back."""
    return json.loads(json.dumps(value, allow_nan=False, ensure_ascii=False).encode("utf-8"))


@pytest.mark.parametrize(
    ("observed", "comparison", "threshold", "status"),
    [
        (0, "<=", 0, "passed"),
        (np.int64(1), "<=", 0, "failed"),
        (np.float32(0.99), ">=", 0.98, "passed"),
        (0.97, ">=", 0.98, "failed"),
        ("made", "==", "made", "passed"),
        ("failed", "==", "made", "failed"),
        (1, "!=", 1, "failed"),
        (np.bool_(True), "==", True, "passed"),
    ],
)
def test_a_verdict_is_its_comparison(observed: Any, comparison: str, threshold: Any, status: str) -> None:
    assert Verdict.judge(observed, comparison, threshold).status == status


@pytest.mark.parametrize("comparison", ["<=", "<", ">=", ">", "==", "!="])
@pytest.mark.parametrize("observed", [float("nan"), np.float32("nan"), float("inf"), -np.inf, None])
def test_nothing_that_is_no_number_passes(observed: Any, comparison: str) -> None:
    assert Verdict.judge(observed, comparison, 0.5).status == "failed"
    assert Verdict.judge(0.5, comparison, observed).status == "failed"


def test_an_unknown_comparison_or_status_is_an_error() -> None:
    with pytest.raises(ValueError, match="comparison '=<'"):
        Verdict.judge(1, "=<", 2)
    with pytest.raises(ValueError, match="status 'green'"):
        Verdict(status="green")


def test_skipped_and_errored_are_not_passed() -> None:
    assert not Verdict.skipped("no test problem").passed
    errored = Verdict.errored(KeyError("rows"))
    assert (errored.status, errored.passed, errored.message) == ("errored", False, "KeyError: 'rows'")


def test_only_a_failure_becomes_a_warning() -> None:
    assert Verdict.judge(1, "<=", 0).as_warning().status == "warned"
    assert not Verdict.judge(1, "<=", 0).as_warning().passed
    for other in (Verdict.judge(0, "<=", 0), Verdict.skipped("why"), Verdict.errored(ValueError())):
        assert other.as_warning() == other


def test_a_rule_without_faults_passes_and_with_one_fails() -> None:
    clean = Verdict.no_faults([], n=3, message="3 looked at")
    assert (clean.status, clean.observed, clean.threshold, clean.unit, clean.n) == ("passed", 0, 0, "faults", 3)
    red = Verdict.no_faults(["problem 7"], n=3, unit="problems", message="1 of 3", details={"x": 1})
    assert (red.status, red.observed, red.unit, red.offenders) == ("failed", 1, "problems", ("problem 7",))
    assert (red.comparison, red.details, red.message) == ("<=", {"x": 1}, "1 of 3")


def test_ten_offenders_are_kept_and_all_are_counted() -> None:
    verdict = Verdict.judge(25, "<=", 0, offenders=(f"problem {one}" for one in range(25)))
    assert (len(verdict.offenders), verdict.n_offenders) == (MAX_OFFENDERS, 25)


def test_numpy_becomes_python_and_numbers_stay_numbers() -> None:
    made = Verdict.judge(np.float64(0.25), "<=", np.int64(1), n=np.int64(3), details={"x": np.arange(2)})  # type: ignore[arg-type]
    kinds = {name: type(value) for name, value in made.to_json().items()}
    assert (kinds["observed"], kinds["threshold"], kinds["n"], kinds["details"]) == (float, int, int, dict)
    assert made.details == {"x": [0, 1]}


@given(observed=numbers | st.text(), offenders=st.lists(leaves, max_size=15), details=st.dictionaries(leaves, values))
def test_any_verdict_is_strict_json_and_comes_back(observed: Any, offenders: list[Any], details: dict) -> None:
    verdict = Verdict.judge(observed, "==", observed, offenders=offenders, details=details, message=str(observed))
    made = strict(verdict.to_json())
    assert made == verdict.to_json()
    assert Verdict.from_json(made) == verdict
    assert strict(verdict.to_metadata())["verdict"] == made
    assert made["n_offenders"] == len(offenders)


def test_of_a_verdict_one_number_is_plotted_and_one_line_says_what_was_compared() -> None:
    shown = Verdict.judge(0, "<=", 0, unit="files", n=12, message="12 looked at").to_metadata()
    assert shown["found"] == "observed 0 <= 0 files, of 12 looked at"
    assert [name for name, value in shown.items() if isinstance(value, (int, float))] == ["observed"]
    assert "found" not in Verdict.skipped("nothing to judge").to_metadata()


@given(values)
def test_plain_values_are_strict_json(value: Any) -> None:
    assert strict(plain(value)) == plain(value)


def test_what_json_cannot_say_is_said_in_words() -> None:
    assert plain([np.nan, np.inf, -np.inf, {3, 1}]) == ["NaN", "Infinity", "-Infinity", [1, 3]]
