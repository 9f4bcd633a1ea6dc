"""Every check is one file with its row, the table has them all, and no check imports what it judges."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from ta_assets.core import score_columns
from ta_assets.core.comparison import claims
from ta_assets.core.crossfit import fit
from ta_assets.core.options import ProbeOptions
from ta_assets.core.probes import features, models
from ta_assets.core.probes.residuals import residual_metric_names
from ta_assets.core.probes.targets import TARGETS
from ta_assets.core.results import lopo
from ta_assets.core.statistics import intervals
from ta_checks import evidence, written_twice
from ta_checks.invariant import Invariant
from ta_checks.rules import levels
from ta_checks.table import INVARIANTS

ROOT = Path(__file__).parents[2]
FILES = {".".join(path.relative_to(ROOT).with_suffix("").parts): path for path in (ROOT / "ta_checks").rglob("*.py")}
"""Module -> its file, of all modules of the checks."""
RULES = sorted(name for name in FILES if name.startswith("ta_checks.rules.") and not name.endswith("__init__"))
ABOVE = ("ta_assets.assets", "ta_assets.jobs", "ta_assets.pages", "ta_assets.trace", "ta_assets.definitions")
"""Packages whose results are checked."""


def rows_of(module: ModuleType) -> Iterator[Invariant]:
    """The rows of the table that a file defines, whatever their names there."""
    for name in vars(module):
        value = getattr(module, name)
        yield from (row for row in (value if isinstance(value, tuple) else (value,)) if isinstance(row, Invariant))


def imports_of(source: str) -> set[str]:
    """Modules that a source imports, also inside functions; ``from a import b`` gives both ``a`` and ``a.b``."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return names


def upward(source: str) -> set[str]:
    """The imports of a source from the packages that it must not know."""
    return {name for name in imports_of(source) if name.startswith(ABOVE)}


def circle(imports: dict[str, set[str]]) -> list[str]:
    """Modules that import each other in a circle; none when there is no circle."""
    try:
        TopologicalSorter(imports).prepare()
    except CycleError as error:
        return error.args[1]
    return []


def test_the_table_has_every_row_of_every_file_once() -> None:
    defined = [(row.name, row.asset) for name in RULES for row in rows_of(import_module(name))]
    assert sorted(defined) == sorted((row.name, row.asset) for row in INVARIANTS)
    assert len(set(defined)) == len(defined)


@pytest.mark.parametrize("name", RULES)
def test_a_check_stands_in_the_file_of_its_name(name: str) -> None:
    assert {row.name for row in rows_of(import_module(name))} <= {name.rpartition(".")[2]}


@pytest.mark.parametrize("row", INVARIANTS, ids=lambda row: f"{row.name}-{row.asset}")
def test_a_row_reads_and_judges_in_its_own_file(row: Invariant) -> None:
    assert row.read.__module__ == row.rule.__module__
    assert row.read.__module__.rpartition(".")[2] == row.name


@pytest.mark.parametrize("name", sorted(FILES))
def test_no_check_imports_the_graph_above_it(name: str) -> None:
    assert upward(FILES[name].read_text(encoding="utf-8")) == set()


def test_an_import_from_above_is_seen_inside_a_function_too() -> None:
    assert upward("def read():\n    from ta_assets.assets import readme\n") == {
        "ta_assets.assets",
        "ta_assets.assets.readme",
    }
    assert upward("from ta_assets.core.values import Skip\n") == set()


def test_the_modules_of_the_checks_import_each_other_in_no_circle() -> None:
    sources = {name: path.read_text(encoding="utf-8") for name, path in FILES.items()}
    assert circle({name: imports_of(source) & set(FILES) for name, source in sources.items()}) == []
    assert circle({"a": {"b"}, "b": {"a"}}) != []


def test_what_is_written_down_a_second_time_is_what_the_science_says() -> None:
    assert (levels.ALPHA, levels.MIN_PROBLEMS) == (intervals.ALPHA, intervals.MIN_PROBLEMS_FOR_INTERVAL)
    assert set(levels.FURTHER_TESTS) == set(claims.BEYOND)
    assert evidence.FOLD == lopo.FOLD
    assert {target: one.column for target, one in TARGETS.items()} == written_twice.TARGET_COLUMN
    assert {target for target, one in TARGETS.items() if one.continuous} == set(written_twice.CONTINUOUS)
    assert (written_twice.SEEDED, written_twice.UNTRAINED) == (models.SEEDED, fit.UNTRAINED)
    assert written_twice.POSITION_COLUMNS == features.POSITION_FEATURES
    assert written_twice.SCORE_PREFIX == score_columns.SCORE_PREFIX


@pytest.mark.parametrize("target", sorted(TARGETS))
def test_the_metrics_of_a_target_are_those_that_are_measured(target: Any) -> None:
    options = ProbeOptions(target=target, residualize_against="position")
    assert written_twice.metric_names(target, (5, 10)) == TARGETS[target].metric_names((5, 10))
    assert written_twice.residual_metric_names(target) == residual_metric_names(options)


PLAIN = (
    "ta_assets.core.values",
    "ta_assets.core.errors",
    "ta_assets.core.options",
    "ta_assets.core.markdown",
    "ta_assets.studies",
    "ta_assets.ledger.ledger",
    "ta_assets.ledger.partitions",
    "ta_assets.ledger.table",
    "ta_assets.ledger.world",
)
"""What a check may know of the product: records, what a study says, and how cells are named and looked up."""
SHARED = {
    "ta_checks.rules.data.labels_recomputable": {
        "ta_assets.core.traces.label_recomputation": "of datasets; labels made here have a check of its own code",
    },
    "ta_checks.rules.files.readme_is_current": {
        "ta_assets.ledger.fingerprint": "the name under which the event log keeps what a page was made from",
    },
    "ta_checks.rules.vectors.zero_skipped_problems": {
        "ta_assets.core.traces.labels": "the words for what a problem lacks; that it lacks is counted by the check",
    },
}
"""Check -> module of what it judges that it uses nevertheless, and why."""


def shares(source: str) -> set[str]:
    """Modules of the product that a source imports and that are not plain records."""
    found = {name for name in imports_of(source) if name.startswith("ta_assets.")}
    return {name for name in found if not name.startswith(PLAIN) and not any(one.startswith(name) for one in PLAIN)}


@pytest.mark.parametrize("name", [*RULES, "ta_checks.evidence", "ta_checks.own_join", "ta_checks.written_twice"])
def test_a_check_shares_nothing_with_what_it_judges(name: str) -> None:
    allowed = tuple(SHARED.get(name, ()))
    found = shares(FILES[name].read_text(encoding="utf-8"))
    assert {one for one in found if not one.startswith(allowed or ("nothing",))} - {"ta_assets.assets"} == set()
    assert all(any(one.startswith(use) for one in found) for use in allowed), "an exception that is not used any more"


@pytest.mark.parametrize(
    "source",
    [
        "from ta_assets.core.crossfit.fit import probe_name\n",
        "def read():\n    import ta_assets.vectors.probe_data\n",
        "from ta_assets.core.statistics import metrics\n",
    ],
)
def test_an_import_of_what_is_judged_is_seen(source: str) -> None:
    assert shares(source)
    assert not shares("from ta_assets.core.values import Skip\nfrom ta_assets.core import errors\n")
