"""What may start a release, or tell of one, without anybody watching; all of it is off until somebody turns it on.

Belongs here: schedules and sensors. Stays out: conditions that make single cells (Dagster's declarative automation):
a release decides what its cells need, and two that decide would make them twice.
"""

import json
import os
import warnings
from pathlib import Path
from typing import Any

import dagster as dg

from ta_assets.assets.verdicts import RED_ROWS, VERDICT_ASSET
from ta_assets.ledger.fingerprint import fingerprint
from ta_assets.ledger.ledger import Ledger
from ta_assets.studies.study import Study
from ta_resources.rollouts.resource import RolloutsResource
from ta_resources.storage.atomic import write_file

REPORT_VARIABLE = "TA_FAILED_RELEASE_FILE"
"""Names the file that receives what a failed release says."""
NIGHT = "0 3 * * *"
MINUTES = 10


def build(release: Any, study: Study) -> tuple[list[dg.ScheduleDefinition], list[dg.SensorDefinition]]:
    """The schedule and the sensors of the job ``release``."""
    nightly = dg.ScheduleDefinition(
        name="nightly_release",
        job=release,
        cron_schedule=NIGHT,
        description=f"Releases study {study.name} every night at 3; a release of what is up to date takes a minute.",
        default_status=dg.DefaultScheduleStatus.STOPPED,
    )
    # Dagster 1.13 marks a parameter as beta that it passes itself, whenever it puts sensors and jobs together
    warnings.filterwarnings(
        "ignore", message="Parameter `owners` of initializer `SensorDefinition", category=dg.BetaWarning
    )
    return [nightly], [_new_data(release, study), _failed_release(release)]


def _new_data(release: Any, study: Study) -> dg.SensorDefinition:
    @dg.sensor(
        name="release_on_new_data",
        job=release,
        minimum_interval_seconds=60 * MINUTES,
        default_status=dg.DefaultSensorStatus.STOPPED,
        description=f"Releases study {study.name} when its data are others than at the last look, which is a hash of "
        "all files of a folder, or of the questions, or the commit of a Hub dataset that was listed.",
    )
    def release_on_new_data(context: dg.SensorEvaluationContext, rollouts: RolloutsResource) -> Any:
        if study.generation is not None:
            found = fingerprint(study.questions.identity())
        else:
            found = fingerprint({corpus: rollouts.identity(study.source(corpus)) for corpus in study.corpora})
        if found == context.cursor:
            return dg.SkipReason("the data are those of the last look")
        context.update_cursor(found)
        return dg.RunRequest(run_key=found)

    return release_on_new_data


def _failed_release(release: Any) -> dg.SensorDefinition:
    @dg.run_failure_sensor(
        name="report_failed_release",
        monitored_jobs=[release],
        default_status=dg.DefaultSensorStatus.STOPPED,
        description=f"Writes what a failed release says, and its red checks, to the file that {REPORT_VARIABLE} names.",
    )
    def report_failed_release(context: dg.RunFailureSensorContext) -> Any:
        path = os.environ.get(REPORT_VARIABLE)
        if not path:
            return dg.SkipReason(f"{REPORT_VARIABLE} names no file")
        run = context.dagster_run
        write_file(Path(path), json.dumps(_said(context, run), indent=1).encode())
        return None

    return report_failed_release


def _said(context: dg.RunFailureSensorContext, run: dg.DagsterRun) -> dict[str, Any]:
    study = run.tags.get("study", "")
    latest = Ledger(context.instance, dg.Definitions).materialization(VERDICT_ASSET, study)
    red = latest.metadata.get(RED_ROWS, []) if latest else []
    return {"study": study, "run": run.run_id, "message": context.failure_event.message, "red": red}
