"""The questions of a corpus whose rollouts are made here."""

import dataclasses
from typing import Any

import dagster as dg

from ta_assets.ledger.fingerprint import output
from ta_assets.ledger.partitions import Partitions
from ta_assets.ledger.table import made_from
from ta_assets.ledger.world import WorldResource


def build(partitions: Partitions) -> list[dg.AssetsDefinition]:
    """The asset ``problem_set``."""
    return [dg.asset(partitions_def=partitions.generated, code_version="1")(problem_set)]


def problem_set(context: dg.AssetExecutionContext, world: WorldResource) -> dg.Output[list[dict[str, Any]]]:
    """Questions with their right answers, each of which the grader finds equal to itself."""
    from ta_resources.campaigns.grading_process import Graders

    study = world.studies.by_corpus[context.partition_key]
    found = study.questions.read(offline=world.rollouts.offline)
    with Graders(study.campaign.answers) as graders:
        for one in found:
            graders.require(one.answer, f"{study.questions.place}: question {one.name}")
    record = made_from(world, "problem_set", context.partition_key)
    return output([dataclasses.asdict(one) for one in found], record, {"questions": len(found)})
