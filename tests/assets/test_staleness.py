"""Characterization of what the release relies on in Dagster 1.13: private or preview behaviour, on a small graph."""

import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field

import dagster as dg
import pytest
from dagster._core.definitions.data_version import CachingStaleStatusResolver, StaleStatus
from dagster._core.loader import LoadingContextForTest

from ta_assets.core.errors import InputError
from ta_assets.ledger.ledger import Ledger
from ta_assets.ledger.staleness import in_words

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


WIDE = dg.StaticPartitionsDefinition([f"s{number:03d}" for number in range(120)])
ALL = dg.StaticPartitionMapping(dict.fromkeys(WIDE.get_partition_keys(), "ab"))


@dg.asset(partitions_def=WIDE)
def one_of_many() -> None:
    """A parent with more partitions than Dagster looks at."""


@dg.asset(partitions_def=GROUPS, deps=[dg.AssetDep(one_of_many, partition_mapping=ALL)])
def summary() -> dg.Output[int]:
    return dg.Output(1, data_version=dg.DataVersion("same"))


def test_a_summary_over_120_partitions_of_which_one_changed_is_remade(instance) -> None:
    graph = dg.Definitions(assets=[one_of_many, summary], executor=dg.in_process_executor)

    def reported(partition: str, version: str) -> None:
        tags = {"dagster/data_version": version, "dagster/code_version": "1"}
        instance.report_runless_asset_event(dg.AssetMaterialization("one_of_many", partition=partition, tags=tags))

    for key in WIDE.get_partition_keys():
        reported(key, "1")
    make(graph, instance, "summary", "ab")
    assert view(graph, instance).work("summary", "ab", {}) is None
    reported("s007", "1")
    assert view(graph, instance).work("summary", "ab", {}) is None, "made again, and the same"
    reported("s007", "2")
    assert view(graph, instance).work("summary", "ab", {}) == "one_of_many[s007]: has a new data version"
    resolver = CachingStaleStatusResolver(instance, graph.resolve_asset_graph(), LoadingContextForTest(instance))
    assert resolver.get_status(dg.AssetKey("summary"), "ab") == StaleStatus.FRESH, "Dagster looks past so many"
    make(graph, instance, "summary", "ab")
    assert view(graph, instance).work("summary", "ab", {}) is None


def test_with_few_parents_dagster_says_the_same(definitions, instance, knobs) -> None:
    def agree() -> bool:
        resolver = CachingStaleStatusResolver(
            instance, definitions.resolve_asset_graph(), LoadingContextForTest(instance)
        )
        old = resolver.get_status(dg.AssetKey("lower"), "ab") is not StaleStatus.FRESH
        assert (view(definitions, instance).work("lower", "ab", {}) is not None) == old
        return old

    assert agree()
    seen = []
    for asset, partition, version in (
        ("upper", "a", "1"),
        ("lower", "ab", "1"),
        ("upper", "b", "1"),
        ("lower", "ab", "1"),
        ("upper", "b", "1"),
        ("upper", "a", "2"),
        ("upper", "a", "1"),
        ("upper", "b", "3"),
        ("lower", "ab", "1"),
    ):
        knobs.version[partition] = version
        make(definitions, instance, asset, partition)
        seen.append(agree())
    # a parent that is new, then one that changed and changed back
    assert seen == [True, False, True, False, False, True, False, True, False]


def test_what_was_read_together_is_known_alone_and_read_anew_once_it_is_forgotten(definitions, instance, knobs) -> None:
    kept, keys = view(definitions, instance), KEYS.get_partition_keys()
    kept.together({"upper": keys})
    assert [kept.materialization("upper", key) for key in keys] == [None, None]
    knobs.red.add("b")
    for key in keys:
        make(definitions, instance, "upper", key)
    assert kept.work("upper", "a", {"rule": 90}) == "never made", "it keeps what it has read"
    for key in keys:
        kept.forget("upper", key)
    alone = view(definitions, instance)
    for key in keys:
        assert kept.materialization("upper", key) == alone.materialization("upper", key) is not None
        assert kept.check("upper", "judged", key) == alone.check("upper", "judged", key) is not None
        assert kept.last_failure("upper", key) is alone.last_failure("upper", key) is None
    knobs.broken.add("a")
    make(definitions, instance, "upper", "a")
    kept.forget("upper", "a")
    fresh = view(definitions, instance)
    fresh.together({"upper": keys})
    for seen in (kept, fresh):
        assert "the root" in (seen.last_failure("upper", "a") or "")
        assert seen.last_failure("upper", "b") is None


def test_of_many_reasons_the_first_are_told() -> None:
    assert in_words([]) is None
    assert in_words(["a", "b"]) == "a; b"
    assert in_words([str(number) for number in range(9)]) == "0; 1; 2; 3; 4; and 4 more"
