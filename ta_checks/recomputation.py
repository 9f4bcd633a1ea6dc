"""From stored artifacts to the arguments of the rules that compute a result a second time from what it was made from.

Belongs here: choosing and reading evidence. Stays out: any judgement, which is the rule's.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

from ta_assets.core.values import PooledProblem
from ta_assets.ledger.made_from import shared_corpora
from ta_assets.ledger.partitions import Cell
from ta_assets.vectors.probe_data import joined
from ta_checks.comparisons import precision_of
from ta_checks.evidence import Evidence
from ta_checks.verdict import Verdict
from ta_resources.storage.artifacts import Activations
from ta_resources.storage.shards import read_shard

KEYS = ["problem_id", "chunk_idx"]
SAMPLE_SEED = 0


def problems_as_asked(evidence: Evidence) -> Verdict:
    """The stored ids against what the data lists now."""
    from ta_checks.rules.data.problems_as_asked import problems_as_asked

    study, rollouts = evidence.study, evidence.world.rollouts
    setting = study.settings[evidence.partition]
    corpora = shared_corpora(evidence.world.studies, evidence.partition) or (setting.corpus,)
    listings = [set(rollouts.list_problem_ids(study.source(corpus))) for corpus in corpora]
    return problems_as_asked(evidence.value, sorted(set.intersection(*listings)), setting.problems)


def labels_follow_rule(evidence: Evidence) -> Verdict:
    """The labelled sentences of every problem of the corpus' settings against the dataset."""
    from ta_checks.rules.data.labels_follow_rule import SourceProblem, labels_follow_rule

    study, store = evidence.study, evidence.world.store
    rule = study.labels
    wanted = sorted({one for name in study.settings_of(evidence.partition) for one in _problem_ids(store, name)})

    def problems() -> Iterator[SourceProblem]:
        for problem in evidence.world.rollouts.load_problems(study.source(evidence.partition), wanted):
            kept = problem.chunks[:-1] if rule.drop_last_chunk and len(problem.chunks) > 1 else problem.chunks
            values = [float(chunk.get(rule.field) or 0.0) for chunk in kept]
            yield SourceProblem(problem.problem_id, [chunk["chunk"] for chunk in kept], values)

    return labels_follow_rule(evidence.value, problems(), rule.anchor_percentile)


def vectors_are_sound(evidence: Evidence) -> Verdict:
    """Every shard of every block."""
    from ta_checks.rules.vectors.vectors_are_sound import Expected, vectors_are_sound

    activations: Activations = evidence.value
    base = evidence.world.store.base

    def problems() -> Iterator[PooledProblem]:
        for shard in activations.files():
            yield read_shard(base, shard)

    storage_dtype = evidence.study.extraction_spec(evidence.partition).storage_dtype
    return vectors_are_sound(problems(), Expected(activations.record["d_model"], storage_dtype))


def scores_out_of_fold(evidence: Evidence) -> Verdict:
    """The stored scores and permutations against the labelled sentences that were extracted, and their vectors."""
    from ta_assets.core.crossfit.out_of_fold import probe_name
    from ta_assets.core.crossfit.spectrum import prepare
    from ta_checks.rules.claims.scores_out_of_fold import BY_HAND, scores_out_of_fold

    value, store = evidence.value, evidence.world.store
    corpus = evidence.study.settings[evidence.partition].corpus
    wanted = frozenset(store.load("problem_ids", evidence.partition))
    data = joined(store.load("sentences", corpus), store.load("activations", corpus), wanted, store.base)
    problems = data.rows["problem_id"].to_numpy()
    features = {
        probe_name(BY_HAND, block, data.by_block): prepare(vectors, problems)
        for block, vectors in data.by_block.items()
    }
    return scores_out_of_fold(value.scores, value.nulls, value.record["repeats"], data.rows, features)


def comparison_recomputes(evidence: Evidence) -> Verdict:
    """The rows of the comparison against the out-of-fold scores."""
    from ta_checks.rules.claims.comparison_recomputes import comparison_recomputes

    scores: pd.DataFrame = evidence.world.store.load("cv_scores", evidence.partition).scores
    names = dict.fromkeys(column.rpartition("/")[0] for column in scores.columns if "/" in column)
    precision = {name: precision_of(scores, name) for name in (*names, "chance")}
    ceiling = evidence.value["ceiling"]
    return comparison_recomputes(evidence.value["rows"], precision, ceiling and ceiling["oracle"])


def scores_refit(evidence: Evidence) -> Verdict:
    """The stored scores of the linear models against the setting's split, or one of its folds."""
    from ta_assets.core.probes.features import POSITION_FEATURES
    from ta_assets.core.probes.targets import TARGETS
    from ta_assets.core.results.lopo import scores_of
    from ta_checks.rules.cells.scores_refit import StoredFit, scores_refit

    options = evidence.study.probe_options
    target = TARGETS[options.target]
    # folds are fitted by one and the same code: one of them is enough
    fold = random.Random(SAMPLE_SEED).choice(list(evidence.probe_data))
    data = evidence.probe_data[fold]
    stored = (evidence.value if fold is None else scores_of(evidence.value, fold)).scores
    if data.vectors is None:
        raise ValueError("the setting has no activations")
    aligned = data.rows[KEYS].merge(stored, on=KEYS, how="left", validate="one_to_one")
    inputs = {
        "position_baseline": data.rows[list(POSITION_FEATURES)].to_numpy(dtype=np.float32),
        "linear_probe": np.asarray(data.vectors, dtype=np.float32),
    }
    return scores_refit(
        StoredFit(
            model if fold is None else f"fold {fold}: {model}",
            features,
            target.values(data.rows),
            (data.rows["split"] == "train").to_numpy(),
            aligned[f"score_{model}"].to_numpy(np.float64),
            continuous=target.continuous,
        )
        for model, features in inputs.items()
        if model in options.models
    )


def predictions_recompute(evidence: Evidence) -> Verdict:
    """The stored predictions and metrics against the sentences of the cell's split, or of its folds."""
    from ta_assets.core.probes.targets import TARGETS
    from ta_assets.core.results.lopo import FOLD
    from ta_checks.rules.cells.predictions_recompute import PredictedPart, predictions_recompute

    value = evidence.value
    parts = []
    for fold, data in evidence.probe_data.items():
        rows = data.rows.take(np.flatnonzero(data.rows["split"] != "train"))
        table = value.predictions
        own = table if fold is None else table.take(np.flatnonzero(table[FOLD] == fold))
        metrics = value.metrics if fold is None else value.metrics["folds"].get(str(fold), {"seed": None, "models": {}})
        parts.append(PredictedPart("" if fold is None else f"fold {fold}: ", rows, own, metrics))
    options = evidence.study.probe_options
    target = TARGETS[options.target].column
    return predictions_recompute(parts, seed=evidence.cell.seed, models=options.models, target=target)


def scores_vary(evidence: Evidence) -> Verdict:
    """The scores of every model of the cell."""
    from ta_assets.core.results.lopo import FOLD
    from ta_checks.rules.cells.scores_vary import scores_vary

    table = evidence.value.predictions
    return scores_vary(table, [name for name in (FOLD, "problem_id") if name in table])


def seeds_differ(evidence: Evidence) -> Verdict:
    """The predictions of the aggregated seeds against each other."""
    from ta_assets.core.probes.models import SEED_FREE
    from ta_checks.rules.cells.seeds_differ import seeds_differ

    cells = _cells(evidence)
    models = {model for cell in cells.values() for model in cell.metrics["models"]}
    return seeds_differ({seed: cell.predictions for seed, cell in cells.items()}, models - set(SEED_FREE))


def aggregate_recomputes(evidence: Evidence) -> Verdict:
    """The summary of the aggregate against the metrics of its seeds' cells."""
    from ta_checks.rules.cells.aggregate_recomputes import aggregate_recomputes

    cells = {seed: cell.metrics for seed, cell in _cells(evidence).items()}
    return aggregate_recomputes(evidence.value["summary_by_model"], cells)


def _cells(evidence: Evidence) -> dict[int, Any]:
    store = evidence.world.store
    keys = {seed: Cell(evidence.partition, seed).key for seed in evidence.value["seeds"]}
    return {seed: store.load("probe_metrics", key) for seed, key in keys.items()}


def _problem_ids(store: Any, setting: str) -> list[int]:
    return store.load("problem_ids", setting) if store.exists("problem_ids", setting) else []
