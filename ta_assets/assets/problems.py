"""Which problems a setting uses, how they are split, and the labelled sentences of a corpus."""

import dataclasses
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import dagster as dg
import pandas as pd
from pydantic import Field

from ta_assets.assets.table_types import SentenceTable
from ta_assets.core.errors import InputError
from ta_assets.core.values import Skip
from ta_assets.ledger.fingerprint import output
from ta_assets.ledger.made_from import shared_corpora
from ta_assets.ledger.partitions import Partitions
from ta_assets.ledger.table import made_from
from ta_assets.ledger.world import World, WorldResource
from ta_assets.pages import plots
from ta_assets.vectors.probe_data import stored_folds, stored_split


class ProblemIdsConfig(dg.Config):
    """How the problems of a corpus are listed."""

    refresh: bool = Field(
        default=False,
        description="Ask the Hub anew which commit the revision is and which problems it has. Without it the listing "
        "that was kept is used, so that a moving branch changes no numbers unasked. A folder is always read anew.",
    )


def build(partitions: Partitions) -> list[dg.AssetsDefinition]:
    """The assets ``problem_ids``, ``splits`` and ``sentences``."""
    of_setting = dg.asset(partitions_def=partitions.setting, code_version="1")
    # its files are read where they lie, as those of any dataset
    listing = dg.asset(
        partitions_def=partitions.setting,
        deps=[dg.AssetDep("labels", partition_mapping=partitions.generated_to_setting)],
        code_version="1",
    )
    of_corpus = dg.asset(
        partitions_def=partitions.corpus,
        ins={"problem_ids": dg.AssetIn(partition_mapping=partitions.setting_to_corpus, metadata={"collect": True})},
        dagster_type=SentenceTable,
        code_version="3",
    )
    return [listing(problem_ids), of_setting(splits), of_corpus(sentences)]


def problem_ids(
    context: dg.AssetExecutionContext, config: ProblemIdsConfig, world: WorldResource
) -> dg.Output[list[int]]:
    """Ids of a setting's problems, sorted: all of its corpus, a seeded sample, or those that settings share."""
    name = context.partition_key
    ids, available = chosen_ids(world, name, refresh=config.refresh)
    facts = {"problems": len(ids), "available": available, "ids": str(ids)}
    return output(ids, made_from(world, "problem_ids", name), facts)


def splits(
    context: dg.AssetExecutionContext, world: WorldResource, problem_ids: list[int]
) -> dg.Output[dict[str, Any]]:
    """Problem ids of train, val and test: whole problems, seeded shuffle; or such parts for every fold."""
    from ta_assets.core.results.lopo import lopo_splits
    from ta_assets.core.traces.splits import single_split

    study = world.studies.by_setting[context.partition_key]
    record = made_from(world, "splits", context.partition_key)
    if study.splits.scheme == "lopo":
        folds = lopo_splits(problem_ids, study.splits.val)
        return output(stored_folds(folds), record, {"folds": len(folds)})
    value = stored_split(single_split(problem_ids, study.splits))
    return output(value, record, {part: len(ids) for part, ids in value.items()})


def sentences(
    context: dg.AssetExecutionContext, world: WorldResource, problem_ids: dict[str, list[int]]
) -> dg.Output[pd.DataFrame]:
    """Labelled sentences of the problems that the settings of a corpus use; what cannot be labelled is skipped."""
    from ta_assets.core.traces.labels import label_usable

    corpus = context.partition_key
    study = world.studies.by_corpus[corpus]
    problems = world.rollouts.read_problems(world.source(corpus), union(problem_ids))
    table, skipped = label_usable(problems, study.labels)
    return output(
        table,
        made_from(world, "sentences", corpus),
        {**_facts(table, plots.title_of(corpus, study.name)), **skip_facts(skipped)},
    )


def chosen_ids(world: World, name: str, *, refresh: bool = False) -> tuple[list[int], int]:
    """The sorted ids of a setting's problems, and how many there were to choose from; ``refresh`` lists them anew.

    Raises:
        InputError: the data cannot be listed, settings that share their problems have none in common, or too few.
    """
    from ta_assets.core.traces.splits import MIN_PROBLEMS_TO_SPLIT, sample_problem_ids, shared_problem_ids

    study = world.studies.by_setting[name]
    setting, corpora = study.settings[name], shared_corpora(world.studies, name)
    sources = [world.source(corpus) for corpus in corpora or (setting.corpus,)]
    listed = [world.rollouts.list_problem_ids(source, refresh=refresh) for source in sources]
    if not set.intersection(*map(set, listed)):
        counts = ", ".join(str(len(ids)) for ids in listed)
        expected = f"problems that {', '.join(corpora)} have in common"
        raise InputError(study.path, f"settings.{name}.shared_problems", f"none among {counts}", expected)
    available = shared_problem_ids(listed)
    ids = sample_problem_ids(available, setting.problems, setting.problems_seed)
    if len(ids) < MIN_PROBLEMS_TO_SPLIT:
        place = study.source(setting.corpus).prefix
        expected = f"at least {MIN_PROBLEMS_TO_SPLIT} problems in {place}, one for each part"
        raise InputError(study.path, f"settings.{name}", ids, expected)
    return ids, len(available)


def union(problem_ids: Mapping[str, list[int]]) -> list[int]:
    """Every problem that some setting uses, sorted."""
    return sorted({problem_id for ids in problem_ids.values() for problem_id in ids})


def skip_facts(skipped: Sequence[Skip]) -> dict[str, object]:
    """Metadata of a materialization: how many problems were skipped, of which kinds, and each with its reason."""
    rows = [dataclasses.asdict(skip) for skip in skipped]
    table = pd.DataFrame(rows, columns=pd.Index(["problem_id", "kind", "reason"]))
    return {
        "skipped": len(table),
        "skipped_kinds": dict(Counter(table["kind"])),
        "skipped_problems": dg.MetadataValue.md(plots.markdown_table(table)),
    }


def _facts(table: pd.DataFrame, title: str) -> dict[str, object]:
    counts = table.groupby("problem_id").agg(sentences=("anchor", "size"), anchors=("anchor", "sum")).reset_index()
    return {
        "dagster/row_count": len(table),
        "problems": int(table["problem_id"].nunique()),
        "sentences": len(table),
        "anchors": int(table["anchor"].sum()),
        "prevalence": float(table["anchor"].mean()),
        "zero_importance": float((table["importance_score"] == 0).mean()),
        "per_problem": dg.MetadataValue.md(plots.markdown_table(counts)),
        "importance_over_position": plots.importance_over_position(table, title),
    }
