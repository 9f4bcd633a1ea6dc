"""Everything put together: the one module that Dagster loads.

Stays out: assets, checks, resources and jobs themselves.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from functools import partial

import dagster as dg

from ta_assets.assets import (
    activations,
    comparison,
    deferrals,
    probes,
    problems,
    readme,
    report,
    summaries,
    sweeps,
    verdicts,
)
from ta_assets.assets.campaigns import base_traces, labels, problem_set, rollouts
from ta_assets.core.errors import InputError, say_alone
from ta_assets.jobs import automation, release, sweep
from ta_assets.ledger.catalog import described
from ta_assets.ledger.partitions import Partitions
from ta_assets.ledger.table import ASSETS, partitions_of
from ta_assets.ledger.world import world_resource
from ta_assets.studies.loading import Studies, load_studies
from ta_assets.studies.study import Study
from ta_checks import checks
from ta_resources.engines.resource import EnginesResource
from ta_resources.language_model.resource import LanguageModelResource
from ta_resources.rollouts.resource import RolloutsResource
from ta_resources.storage.artifacts import ArtifactStore
from ta_resources.storage.io_manager import ArtifactIOManager

FAMILIES = (
    *(problem_set, base_traces, rollouts, labels),
    *(problems, activations, comparison, probes, summaries, deferrals, readme, verdicts, report, sweeps),
)
"""The modules of assets."""


def build_definitions(
    studies: Studies | None = None, *, resources: Mapping[str, object] | None = None
) -> dg.Definitions:
    """The whole graph.

    Args:
        studies: which studies it holds; by default the shipped ones and the one that ``TA_STUDY`` names.
        resources: replacements by name (``store``, ``rollouts``, ``language_model``, ``engines``).
    """
    studies = studies or load_studies()
    store = (resources or {}).get("store")
    store = store if isinstance(store, ArtifactStore) else ArtifactStore.configured()
    given = {
        "store": store,
        "rollouts": RolloutsResource(),
        "language_model": LanguageModelResource(),
        "engines": EnginesResource(),
        **(resources or {}),
    }
    partitions = Partitions(studies.offered(partial(was_made, store)))
    assets = _with_sources([described(asset) for family in FAMILIES for asset in family.build(partitions)])
    jobs = [*release.build(studies.selected), *sweep.build(studies.selected)]
    (job,) = (one for one in jobs if one.name == release.NAME)
    schedules, sensors = automation.build(job, studies.selected)
    definitions = dg.Definitions(
        assets=assets,
        asset_checks=checks.build(assets),
        jobs=jobs,
        schedules=schedules,
        sensors=sensors,
        resources={
            **given,
            # the one place where the graph is bound late: a ledger reads what it is part of
            "world": world_resource(studies, lambda: definitions),
            "io_manager": ArtifactIOManager(store=given["store"]),
            release.IN_MEMORY: dg.mem_io_manager,
        },
        executor=dg.in_process_executor,
    )
    return definitions


def _with_sources(assets: list[dg.AssetsDefinition]) -> list[dg.AssetsDefinition]:
    """The assets, each with where its code is; Dagster's pages link to it."""
    with warnings.catch_warnings():
        # code references are marked as beta in Dagster 1.13
        warnings.simplefilter("ignore", dg.BetaWarning)
        return [one for one in dg.with_source_code_references(assets) if isinstance(one, dg.AssetsDefinition)]


def was_made(store: ArtifactStore, study: Study) -> bool:
    """Whether anything of a study is known to be stored; an object store is not asked, which would take requests."""
    return any(store.was_made(asset, partition) for asset in ASSETS for partition in partitions_of(asset, study))


def load() -> dg.Definitions:
    """``build_definitions()`` for a process whose command may end with its error: then people see its message alone.

    A code server catches and keeps the error with its traceback, as the web server and ``definitions validate`` show
    it. Commands such as ``job execute`` do not, and Python would print the stack of Dagster above it.

    Raises:
        InputError: a study is not valid.
    """
    try:
        return build_definitions()
    except InputError:
        say_alone()
        raise


defs = load()
