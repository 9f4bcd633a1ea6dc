"""Fingerprints tell values apart and nothing else; mismatches are all listed."""

from __future__ import annotations

import pandas as pd
from hypothesis import given
from hypothesis import strategies as st

from ta_assets.core.values import CellResult
from ta_assets.ledger.fingerprint import fingerprint, mismatches

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)


@given(first=JSON, second=JSON)
def test_fingerprints_are_equal_exactly_for_equal_values(first: object, second: object) -> None:
    same = repr(_sorted(first)) == repr(_sorted(second))
    assert (fingerprint(first) == fingerprint(second)) == same


def _sorted(value: object) -> object:
    if isinstance(value, dict):
        return ("mapping", [(key, _sorted(value[key])) for key in sorted(value)])
    return [_sorted(item) for item in value] if isinstance(value, list) else value


def test_one_changed_cell_type_or_column_changes_a_tables_fingerprint() -> None:
    table = pd.DataFrame({"a": [1, 2], "b": [0.5, 1.5]})
    variants = [
        table.assign(b=[0.5, 1.25]),
        table.astype({"a": "int32"}),
        table.rename(columns={"b": "c"}),
        table.iloc[::-1].reset_index(drop=True),
    ]
    prints = {fingerprint(variant) for variant in [table, *variants]}
    assert len(prints) == 5
    assert fingerprint(table.copy()) == fingerprint(table)


def test_a_record_is_told_apart_by_each_field() -> None:
    table = pd.DataFrame({"a": [1]})
    base = fingerprint(CellResult({"seed": 0}, table))
    assert fingerprint(CellResult({"seed": 1}, table)) != base
    assert fingerprint(CellResult({"seed": 0}, table.assign(a=2))) != base


def test_every_difference_is_listed_with_its_path() -> None:
    stored = {"labels": {"anchor_percentile": 90.0, "field": "x"}, "gone": 1}
    expected = {"labels": {"anchor_percentile": 85.0, "field": "x"}, "new": [1]}
    assert mismatches(stored, expected) == [
        "gone: 1 -> None",
        "labels.anchor_percentile: 90.0 -> 85.0",
        "new: None -> [1]",
    ]


def test_a_tuple_that_json_made_a_list_is_no_difference() -> None:
    assert mismatches({"k_values": [5, 10]}, {"k_values": (5, 10)}) == []
