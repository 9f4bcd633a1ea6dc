"""Out-of-fold scores of a setting, and its comparison of probes with baselines."""

from typing import Any

import dagster as dg
import pandas as pd

from ta_assets.core.score_columns import KEYS
from ta_assets.core.values import CrossFitted
from ta_assets.ledger.fingerprint import output
from ta_assets.ledger.looks import LOOKED_AT, earlier_looks
from ta_assets.ledger.partitions import Partitions
from ta_assets.ledger.table import made_from
from ta_assets.ledger.world import WorldResource
from ta_assets.pages import comparison_plots as inference_plots
from ta_assets.pages import plots
from ta_assets.vectors.probe_data import joined, problems_of
from ta_resources.storage.artifacts import Activations


def build(partitions: Partitions) -> list[dg.AssetsDefinition]:
    """The assets ``cv_scores`` and ``probe_comparison``."""
    scores = dg.asset(
        partitions_def=partitions.setting,
        ins=partitions.corpus_ins("sentences", "activations"),
        code_version="6",
    )
    comparison = dg.asset(
        partitions_def=partitions.setting,
        ins=partitions.corpus_ins("sentences"),
        code_version="8",
    )
    return [scores(cv_scores), comparison(probe_comparison)]


def cv_scores(
    context: dg.AssetExecutionContext,
    world: WorldResource,
    sentences: pd.DataFrame,
    activations: Activations,
    splits: dict[str, Any],
) -> dg.Output[CrossFitted]:
    """Scores of every sentence by probes fitted to the other problems, and of probes refitted to permuted labels.

    All problems of the setting take part, whatever their part in the split: each is held out in turn.
    """
    from ta_assets.core.crossfit.cross_fitted import cross_fitted

    name = context.partition_key
    data = joined(sentences, activations, problems_of(splits), world.store.files)
    value = cross_fitted(data.rows, data.by_block, world.studies.by_setting[name].inference)
    return output(value, made_from(world, "cv_scores", name), _facts_of_scores(value))


def probe_comparison(
    context: dg.AssetExecutionContext, world: WorldResource, sentences: pd.DataFrame, cv_scores: CrossFitted
) -> dg.Output[dict[str, Any]]:
    """Better, worse, no difference or inconclusive: every probe against every baseline, over problems.

    The event log tells at which other sets of problems was looked before.
    """
    from ta_assets.core.comparison.compare import compare
    from ta_assets.core.comparison.precision_table import graded_problems
    from ta_assets.core.statistics.looks import Looked

    name, problems = context.partition_key, graded_problems(cv_scores)
    study = world.studies.by_setting[name]
    earlier = earlier_looks(world.ledger.history("probe_comparison", name), problems)
    looked = Looked(len(study.settings), earlier, study.inference.first_look)
    value = compare(scored_rows(sentences, cv_scores), cv_scores, study.inference, looked)
    facts = _facts(value, cv_scores, plots.title_of(name, study.name))
    facts[LOOKED_AT] = dg.MetadataValue.json(list(problems))
    return output(value, made_from(world, "probe_comparison", name), facts)


def scored_rows(sentences: pd.DataFrame, scores: CrossFitted) -> pd.DataFrame:
    """The labelled sentences that have out-of-fold scores, in their order."""
    return scores.scores[KEYS].merge(sentences, on=KEYS, how="left", validate="one_to_one")


def _facts_of_scores(value: CrossFitted) -> dict[str, Any]:
    worst = max(
        (fold.get("relative_gradient") or 0.0 for folds in value.record["choices"].values() for fold in folds),
        default=0.0,
    )
    return {
        "scheme": value.record["scheme"],
        "sentences": len(value.scores),
        "dagster/row_count": len(value.scores),
        "scores": ", ".join(value.table.names()),
        "largest_relative_gradient": worst,
        "permutations": len(value.nulls) - 1,
        "details": {"choices": value.record["choices"]},
    }


def _facts(value: dict[str, Any], scores: CrossFitted, title: str) -> dict[str, Any]:
    from ta_assets.core.markdown import comparison_table

    table = pd.DataFrame(value["rows"]).drop(columns="needed_for")
    best = value["rows"][0]
    return {
        "looks": len(value["looks"]),
        "level": value["level"],
        "best": f"{best['name']}: {best['verdict']}",
        "best_average_precision": best["average_precision"],
        "problems": value["n_problems"],
        "comparison": dg.MetadataValue.md(comparison_table(value["rows"])),
        **inference_plots.figures(value, scores, title),
        "all_numbers": dg.MetadataValue.md(plots.markdown_table(table)),
        "details": {
            "verdicts": {row["name"]: row["verdict"] for row in value["rows"]},
            "label_support": value["support"],
            "noise_ceiling": value["ceiling"],
        },
    }
