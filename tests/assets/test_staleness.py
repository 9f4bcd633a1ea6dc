"""Characterization of what the release relies on in Dagster 1.13: private or preview behaviour, on a small graph."""

import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field

import dagster as dg
import pytest

from ta_assets.core.errors import InputError
from ta_assets.ledger.ledger import Ledger

KEYS = dg.StaticPartitionsDefinition(["a", "b"])
GROUPS = dg.StaticPartitionsDefinition(["ab"])


@dataclass
class Knobs:
    """What the small graph does next."""

    version: dict[str, str] = field(default_factory=lambda: {"a": "1", "b": "1"})
    broken: set[str] = field(default_factory=set)
    red: set[str] = field(default_factory=set)
    bad_input: bool = False


@pytest.fixture
def knobs() -> Knobs:
    return Knobs()


@pytest.fixture
def definitions(knobs: Knobs) -> dg.Definitions:
    @dg.asset(partitions_def=KEYS)
    def upper(context) -> dg.Output[int]:
        if context.partition_key in knobs.broken:
            if knobs.bad_input:
                raise InputError("x.json", "a.b", 3, "a text") from ValueError("the root")
            raise RuntimeError("planted\nin two lines") from ValueError("the root")
        version = dg.DataVersion(knobs.version[context.partition_key])
        return dg.Output(1, data_version=version, metadata={"made_from": dg.MetadataValue.json({"rule": 90})})

    @dg.asset(
        partitions_def=GROUPS,
        deps=[dg.AssetDep(upper, partition_mapping=dg.StaticPartitionMapping({"a": "ab", "b": "ab"}))],
    )
    def lower() -> dg.Output[int]:
        return dg.Output(1, data_version=dg.DataVersion("same"))

    @dg.asset_check(asset=upper, partitions_def=KEYS, blocking=True)
    def judged(context) -> dg.AssetCheckResult:
        return dg.AssetCheckResult(passed=context.partition_key not in knobs.red, metadata={"observed": 1.5})

    return dg.Definitions(assets=[upper, lower], asset_checks=[judged], executor=dg.in_process_executor)


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as made:
        yield made


def make(definitions: dg.Definitions, instance: dg.DagsterInstance, asset: str, partition: str) -> None:
    assets = [definitions.resolve_assets_def(asset)]
    checks = list(definitions.asset_checks or []) if asset == "upper" else []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        dg.materialize([*assets, *checks], instance=instance, partition_key=partition, raise_on_error=False)


def view(definitions: dg.Definitions, instance: dg.DagsterInstance) -> Ledger:
    return Ledger(instance, lambda: definitions)


def test_a_cell_needs_work_until_it_is_made(definitions, instance) -> None:
    assert view(definitions, instance).work("upper", "a", {"rule": 90}) == "never made"
    make(definitions, instance, "upper", "a")
    assert view(definitions, instance).work("upper", "a", {"rule": 90}) is None
    assert view(definitions, instance).work("upper", "b", {"rule": 90}) == "never made"


def test_a_changed_configuration_is_named(definitions, instance) -> None:
    make(definitions, instance, "upper", "a")
    assert view(definitions, instance).work("upper", "a", {"rule": 85}) == "rule: 90 -> 85"


def test_a_changed_parent_makes_its_child_stale_and_an_equal_one_does_not(definitions, instance, knobs) -> None:
    for asset, partition in (("upper", "a"), ("upper", "b"), ("lower", "ab")):
        make(definitions, instance, asset, partition)
    make(definitions, instance, "upper", "a")
    assert view(definitions, instance).work("lower", "ab", {}) is None
    knobs.version["a"] = "2"
    make(definitions, instance, "upper", "a")
    assert "upper" in (view(definitions, instance).work("lower", "ab", {}) or "")


def test_parents_follow_the_partition_mapping(definitions, instance) -> None:
    assert view(definitions, instance).parents("lower", "ab") == [("upper", "a"), ("upper", "b")]


def test_a_failed_attempt_is_remembered_with_its_root_cause(definitions, instance, knobs) -> None:
    make(definitions, instance, "upper", "a")
    knobs.broken.add("a")
    make(definitions, instance, "upper", "a")
    seen = view(definitions, instance)
    assert seen.work("upper", "a", {"rule": 90}) == "its last run failed"
    assert "the root" in (seen.last_failure("upper", "a") or "")
    assert seen.last_failure("upper", "b") is None


def test_an_error_of_bad_input_is_not_replaced_by_the_librarys_below_it(definitions, instance, knobs) -> None:
    knobs.broken.add("a")
    knobs.bad_input = True
    make(definitions, instance, "upper", "a")
    assert "x.json: a.b: found 3, expected a text" in (view(definitions, instance).last_failure("upper", "a") or "")


def test_the_history_of_a_cell_begins_with_its_latest_run(definitions, instance, knobs) -> None:
    make(definitions, instance, "upper", "b")
    for version in ("1", "2", "3"):
        knobs.version["a"] = version
        make(definitions, instance, "upper", "a")
    seen = view(definitions, instance)
    history = list(seen.history("upper", "a"))
    assert [one.data_version for one in history] == ["3", "2", "1"]
    assert seen.materialization("upper", "a") == history[0]
    assert list(seen.history("lower", "ab")) == []


def test_a_body_goes_on_after_its_materialization_is_recorded_and_may_still_fail(instance) -> None:
    known: list[bool] = []

    @dg.asset(partitions_def=KEYS)
    def two_steps(context: dg.AssetExecutionContext) -> Iterator[dg.Output[int]]:
        yield dg.Output(1, data_version=dg.DataVersion("first"))
        known.append(view(graph, instance).materialization("two_steps", "a") is not None)
        if len(known) == 2:
            raise OSError("planted: the disk is full")

    graph = dg.Definitions(assets=[two_steps])
    results = [
        dg.materialize([two_steps], instance=instance, partition_key="a", raise_on_error=False) for _ in range(2)
    ]
    assert known == [True, True]
    seen = view(graph, instance)
    failed, succeeded = (one.run_id for one in seen.history("two_steps", "a"))
    assert [failed, succeeded] == [results[1].run_id, results[0].run_id]
    assert (seen.succeeded(succeeded), seen.succeeded(failed), seen.succeeded("no run")) == (True, False, False)
    assert "the disk is full" in seen.failure(failed, "two_steps")


def test_checks_are_known_for_each_partition(definitions, instance, knobs) -> None:
    knobs.red.add("b")
    make(definitions, instance, "upper", "a")
    make(definitions, instance, "upper", "b")
    seen = view(definitions, instance)
    first, second = seen.check("upper", "judged", "a"), seen.check("upper", "judged", "b")
    assert first is not None
    assert second is not None
    assert (first.finished, first.is_current, first.passed) == (True, True, True)
    assert (second.finished, second.is_current, second.passed) == (True, True, False)
    assert first.metadata["observed"] == 1.5
    assert seen.check("upper", "unknown", "a") is None


def test_an_evaluation_is_out_of_date_after_a_new_materialization(definitions, instance) -> None:
    make(definitions, instance, "upper", "a")
    dg.materialize([definitions.resolve_assets_def("upper")], instance=instance, partition_key="a")
    state = view(definitions, instance).check("upper", "judged", "a")
    assert state is not None
    assert not state.is_current


def test_checks_reported_from_outside_are_recorded_again_and_again(definitions, instance, knobs) -> None:
    make(definitions, instance, "upper", "a")
    for passed in (False, True, False):

        @dg.op
        def report(context: dg.OpExecutionContext, passed: bool = passed) -> None:
            result = dg.AssetCheckResult(asset_key=dg.AssetKey("upper"), check_name="judged", passed=passed)
            view(definitions, instance).report_check(context, "a", result)

        dg.GraphDefinition(name="outside", node_defs=[report]).execute_in_process(instance=instance)
        state = view(definitions, instance).check("upper", "judged", "a")
        assert state is not None
        assert (state.passed, state.is_current) == (passed, True)
