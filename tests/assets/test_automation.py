"""What may start a release by itself, or tell of one, evaluated as the daemon would."""

import json
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from ta_assets.assets.verdicts import RED_ROWS, VERDICT_ASSET
from ta_assets.definitions import build_definitions
from ta_assets.jobs.automation import REPORT_VARIABLE
from ta_assets.studies.loading import load_studies
from ta_resources.rollouts.resource import RolloutsResource


def sensor(definitions: dg.Definitions, name: str) -> Any:
    return definitions.get_sensor_def(name)


def test_new_data_ask_for_a_release_once(tiny_world: Any) -> None:
    found = sensor(build_definitions(load_studies(str(tiny_world.study))), "release_on_new_data")

    def look(cursor: str | None) -> Any:
        with dg.DagsterInstance.ephemeral() as instance:
            context = dg.build_sensor_context(
                instance, cursor=cursor, resources={"rollouts": RolloutsResource()}, sensor_name=found.name
            )
            return found.evaluate_tick(context)

    first = look(None)
    assert [request.run_key for request in first.run_requests] == [first.cursor]
    again = look(first.cursor)
    assert (again.run_requests, again.skip_message) == ([], "the data are those of the last look")
    chunks = tiny_world.problem("correct", 2) / "chunks_labeled.json"
    chunks.write_text(chunks.read_text(encoding="utf-8").replace("0.1", "0.2"), encoding="utf-8")
    assert len(look(first.cursor).run_requests) == 1


@pytest.mark.parametrize("named", [True, False])
def test_a_failed_release_is_told_to_the_file_that_somebody_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, named: bool
) -> None:
    @dg.op
    def fails() -> None:
        raise dg.Failure("embedded: NOT OK")

    @dg.job(tags={"study": "embedded"})
    def release() -> None:
        fails()

    file = tmp_path / "failed.json"
    if named:
        monkeypatch.setenv(REPORT_VARIABLE, str(file))
    else:
        monkeypatch.delenv(REPORT_VARIABLE, raising=False)
    row = {"check": "artifacts_intact", "cell": "splits[a]", "advice": "make it again"}
    found = sensor(build_definitions(load_studies("embedded")), "report_failed_release")
    with dg.DagsterInstance.ephemeral() as instance:
        verdict = dg.AssetMaterialization(VERDICT_ASSET, partition="embedded", metadata={RED_ROWS: [row]})
        instance.report_runless_asset_event(verdict)
        result = release.execute_in_process(instance=instance, raise_on_error=False)
        context = dg.build_run_status_sensor_context(
            sensor_name=found.name,
            dagster_instance=instance,
            dagster_run=result.dagster_run,
            dagster_event=result.get_run_failure_event(),
        ).for_run_failure()
        found(context)
    assert file.exists() == named
    if named:
        said = json.loads(file.read_text(encoding="utf-8"))
        assert (said["study"], said["run"], said["red"]) == ("embedded", result.run_id, [row])
