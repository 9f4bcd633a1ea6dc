"""Which problems a setting uses, how they are split, and the labelled sentences of a corpus."""

from collections.abc import Mapping
from typing import Any

import dagster as dg
import pandas as pd

from ta_assets.assets.table_types import SentenceTable
from ta_assets.core.errors import InputError
from ta_assets.ledger.made_from import Origins, output, shared_corpora, study_options
from ta_assets.ledger.partitions import Partitions
from ta_assets.pages import plots
from ta_assets.studies.loading import Studies
from ta_assets.vectors.probe_data import stored_folds, stored_split
from ta_resources.language_model.resource import LanguageModelResource
from ta_resources.rollouts.resource import RolloutsResource


def build(partitions: Partitions) -> list[dg.AssetsDefinition]:
    """The assets ``problem_ids``, ``splits`` and ``sentences``."""
    studies = partitions.studies

    @dg.asset(partitions_def=partitions.setting, code_version="1", group_name="data")
    def problem_ids(
        context: dg.AssetExecutionContext, rollouts: RolloutsResource, language_model: LanguageModelResource
    ) -> dg.Output[list[int]]:
        """Ids of a setting's problems, sorted: all of its corpus, a seeded sample, or those that settings share."""
        name = context.partition_key
        ids, available = chosen_ids(studies, rollouts, name)
        made_from = Origins(studies, rollouts, language_model).made_from("problem_ids", name)
        return output(ids, made_from, {"problems": len(ids), "available": available, "ids": str(ids)})

    @dg.asset(partitions_def=partitions.setting, code_version="1", group_name="data")
    def splits(context: dg.AssetExecutionContext, problem_ids: list[int]) -> dg.Output[dict[str, Any]]:
        """Problem ids of train, val and test: whole problems, seeded shuffle; or such parts for every fold."""
        from ta_assets.core.results.lopo import lopo_splits
        from ta_assets.core.traces.splits import single_split

        study = studies.by_setting[context.partition_key]
        made_from = study_options(study, "splits")
        if study.splits.scheme == "lopo":
            folds = lopo_splits(problem_ids, study.splits.val)
            return output(stored_folds(folds), made_from, {"folds": len(folds)})
        value = stored_split(single_split(problem_ids, study.splits))
        return output(value, made_from, {part: len(ids) for part, ids in value.items()})

    @dg.asset(
        partitions_def=partitions.corpus,
        ins={
            "problem_ids": dg.AssetIn(partition_mapping=partitions.setting_to_corpus, metadata={"collect": True}),
        },
        dagster_type=SentenceTable,
        code_version="3",
        group_name="data",
    )
    def sentences(
        context: dg.AssetExecutionContext,
        problem_ids: dict[str, list[int]],
        rollouts: RolloutsResource,
        language_model: LanguageModelResource,
    ) -> dg.Output[pd.DataFrame]:
        """Labelled sentences of every problem that a setting of this corpus uses."""
        from ta_assets.core.traces.labels import label_problems

        corpus = context.partition_key
        study = studies.by_corpus[corpus]
        problems = rollouts.load_problems(study.source(corpus), union(problem_ids))
        table = label_problems(problems, study.labels)
        made_from = Origins(studies, rollouts, language_model).made_from("sentences", corpus)
        return output(table, made_from, _facts(table))

    return [problem_ids, splits, sentences]


def chosen_ids(studies: Studies, rollouts: RolloutsResource, name: str) -> tuple[list[int], int]:
    """The sorted ids of a setting's problems, and how many there were to choose from.

    Raises:
        InputError: the data cannot be listed, settings that share their problems have none in common, or too few.
    """
    from ta_assets.core.traces.splits import MIN_PROBLEMS_TO_SPLIT, sample_problem_ids, shared_problem_ids

    study = studies.by_setting[name]
    setting, corpora = study.settings[name], shared_corpora(studies, name)
    listed = [rollouts.list_problem_ids(study.source(corpus)) for corpus in corpora or (setting.corpus,)]
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


def _facts(table: pd.DataFrame) -> dict[str, object]:
    counts = table.groupby("problem_id").agg(sentences=("anchor", "size"), anchors=("anchor", "sum")).reset_index()
    return {
        "problems": int(table["problem_id"].nunique()),
        "sentences": len(table),
        "anchors": int(table["anchor"].sum()),
        "prevalence": float(table["anchor"].mean()),
        "zero_importance": float((table["importance_score"] == 0).mean()),
        "per_problem": dg.MetadataValue.md(plots.markdown_table(counts)),
        "importance_over_position": plots.importance_over_position(table),
    }
