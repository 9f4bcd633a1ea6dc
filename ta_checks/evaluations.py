"""From evidence to a rule's arguments: for every invariant, what its rule is given.

Belongs here: choosing and reading evidence. Stays out: any judgement, which is the rule's.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import numpy as np

from ta_assets.core.options import SEEDS
from ta_assets.core.values import Skip
from ta_assets.vectors.probe_data import folds_of, split_of
from ta_checks.evidence import Evidence
from ta_checks.rules.shuffles.folds import own_folds, worst
from ta_checks.verdict import Verdict
from ta_resources.storage.artifacts import Activations
from ta_resources.storage.shards import read_shard

if TYPE_CHECKING:
    from ta_assets.core.probes.models import ProbeData
    from ta_assets.core.probes.targets import Target
    from ta_checks.rules.shuffles.labelled_vectors import LabelledVectors

SPAN_COLUMNS = ["token_start", "token_end"]


def artifacts_intact(evidence: Evidence) -> Verdict:
    """Every recorded file against the one on disk."""
    from ta_checks.rules.files.artifacts_intact import artifacts_intact

    latest = evidence.world.ledger.materialization(evidence.asset, evidence.partition)
    recorded = latest.metadata.get("files") if latest else None
    found = evidence.world.store.hashes(evidence.asset, evidence.partition)
    return artifacts_intact(recorded, {**dict.fromkeys(recorded or {}), **found})


def split_is_disjoint(evidence: Evidence) -> Verdict:
    """The stored split, or every fold, against the setting's problems."""
    from ta_checks.rules.data.split_is_disjoint import folds_are_disjoint, split_is_disjoint

    problem_ids = evidence.world.store.load("problem_ids", evidence.partition)
    folds = folds_of(evidence.value)
    if folds is not None:
        return folds_are_disjoint(folds, problem_ids)
    return split_is_disjoint(split_of(evidence.value), problem_ids)


def zero_skipped_problems(evidence: Evidence) -> Verdict:
    """The skips that the extraction recorded, and problems that it lost without a word."""
    from ta_checks.rules.vectors.zero_skipped_problems import zero_skipped_problems

    activations: Activations = evidence.value
    skipped = [Skip(**skip) for skip in activations.record["skipped"]]
    store = evidence.world.store
    wanted = {
        problem_id
        for setting in evidence.study.settings_of(evidence.partition)
        if store.exists("problem_ids", setting)
        for problem_id in store.load("problem_ids", setting)
    }
    lost = sorted(wanted - set(activations.shards) - {skip.problem_id for skip in skipped})
    skipped += [Skip(problem_id, "lost", "neither extracted nor recorded as skipped") for problem_id in lost]
    return zero_skipped_problems(skipped, len(wanted))


def activations_match_text(evidence: Evidence) -> Verdict:
    """Stored vectors against fresh ones at every block: the beginning of every problem, and some problems whole."""
    from ta_checks.rules.vectors.activations_match_text import activations_match_text
    from ta_checks.rules.vectors.fresh_vectors import compared, sample

    activations: Activations = evidence.value
    if not activations.shards:
        return Verdict.skipped("no problem was extracted")
    spec = evidence.study.extraction_spec(evidence.partition)
    return activations_match_text(
        compared(evidence, sample(activations)),
        storage_dtype=spec.storage_dtype,
        compute_dtype=activations.record["extraction"]["dtype"],
    )


def span_integrity(evidence: Evidence) -> Verdict:
    """Every sentence against the text that its stored token span decodes to."""
    from ta_checks.rules.vectors.span_integrity import span_integrity

    activations: Activations = evidence.value
    base, study = evidence.world.store.base, evidence.study
    source = study.source(evidence.partition)
    tokenizer = evidence.world.language_model.tokenizer(study.extraction_spec(evidence.partition))
    decoded: list[str] = []
    sentences: list[str] = []
    keys: list[tuple[int, int]] = []
    for problem in evidence.world.rollouts.load_problems(source, sorted(activations.shards)):
        pooled = read_shard(base, activations.shards[problem.problem_id])
        spans = activations.spans.loc[activations.spans["problem_id"] == problem.problem_id, SPAN_COLUMNS]
        decoded += tokenizer.decode_spans(pooled.text, np.asarray(spans))
        sentences += problem.sentences
        keys += [(problem.problem_id, index) for index in range(len(problem.sentences))]
    return span_integrity(decoded, sentences, keys)


def random_label(evidence: Evidence) -> Verdict:
    """The cell's own vectors, labels and split, or its share of the setting's folds; its seed shuffles."""
    from ta_checks.rules.shuffles.random_label import random_label

    permutations = evidence.study.statistics.permutations
    data, seed = _labelled(evidence), evidence.cell.seed
    chosen = own_folds(list(data), seed, SEEDS)
    return worst({fold: random_label(data[fold], seed=seed, permutations=permutations) for fold in chosen})


def overfit_memorization(evidence: Evidence) -> Verdict:
    """The cell's own vectors and labels; every problem that some fold trains on."""
    from ta_checks.rules.shuffles.overfit_memorization import overfit_memorization

    folds = list(_labelled(evidence).values())
    trained = np.logical_or.reduce([fold.train for fold in folds])
    return overfit_memorization(dataclasses.replace(folds[0], train=trained))


def beats_shuffled_labels(evidence: Evidence) -> Verdict:
    """The cell's stored test scores against probes fitted on shuffled labels."""
    from ta_assets.core.results.lopo import FOLD
    from ta_checks.rules.shuffles.beats_shuffled_labels import ScoredVectors, beats_shuffled_labels

    table = evidence.value.predictions
    folds = []
    for fold, data in _labelled(evidence).items():
        predictions = table if fold is None else table[table[FOLD] == fold]
        keys = evidence.probe_data[fold].rows[["problem_id", "chunk_idx"]]
        aligned = keys.merge(predictions, on=["problem_id", "chunk_idx"], how="left")
        names = [name for name in predictions.columns if name.startswith("score_")]
        scores = {name.removeprefix("score_"): aligned[name].to_numpy(np.float64) for name in names}
        folds.append(ScoredVectors(data, scores))
    permutations = evidence.study.statistics.permutations
    return beats_shuffled_labels(folds, seed=evidence.cell.seed, permutations=permutations)


def finite_probe_metrics(evidence: Evidence) -> Verdict:
    """Every metric that the study's target has, of every probe, on val and test and in every fold; absent is None."""
    from ta_assets.core.probes.residuals import residual_metric_names
    from ta_assets.core.probes.targets import TARGETS
    from ta_checks.rules.cells.finite_metrics import finite_metrics

    options = evidence.study.probe_options
    names = TARGETS[options.target].metric_names(options.k_values)
    numbers = {}
    metrics = evidence.value.metrics
    folds = {f"fold {fold}.": one for fold, one in metrics.get("folds", {}).items()}
    for fold, one in {**folds, "": metrics}.items():
        wanted = {fold: (options.models, one["models"], names)}
        if options.residualize_against != "none":
            models = one["residual"]["models"]
            wanted[f"{fold}residual of "] = (tuple(models) or ("no probe",), models, residual_metric_names(options))
        numbers |= {
            f"{kind}{model}.{part}.{metric}": found.get(model, {}).get(part, {}).get(metric)
            for kind, (models, found, metric_names) in wanted.items()
            for model in models
            for part in ("val", "test")
            for metric in metric_names
        }
    return finite_metrics(numbers)


def finite_aggregate_metrics(evidence: Evidence) -> Verdict:
    """Every mean and standard deviation of every probe, over seeds and over folds."""
    from ta_checks.rules.cells.finite_metrics import finite_metrics

    value = evidence.value
    return finite_metrics(
        {
            f"{row['model']}.{over}{name}": number
            for over, rows in (
                ("", [*value["summary_by_model"], *value.get("residual_by_model", [])]),
                ("folds.", value.get("lopo", {}).get("mean_seeds", [])),
            )
            for row in rows
            for name, number in row.items()
            if name.endswith(("_mean", "_std"))
        }
    )


def all_seeds_aggregated(evidence: Evidence) -> Verdict:
    """The seeds of the aggregate against those of the study."""
    value = evidence.value
    left_out = [f"seed {seed}: {reason}" for seed, reason in sorted(value["left_out"].items())]
    return Verdict.judge(
        len(value["seeds"]), "==", SEEDS, unit="seeds", n=SEEDS, offenders=left_out,
        message=f"{len(value['seeds'])} of {SEEDS} seeds are in the mean",
    )  # fmt: skip


def readme_is_current(evidence: Evidence) -> Verdict:
    """The block as it would be written now against the one in the file."""
    from ta_assets.assets.readme import current_block, stored_block
    from ta_checks.rules.files.readme_is_current import readme_is_current

    world = evidence.world
    expected = current_block(world, evidence.partition)
    return readme_is_current(expected, stored_block(world.studies.by_name[evidence.partition], world.store.base))


def _labelled(evidence: Evidence) -> dict[int | None, LabelledVectors]:
    """What the rules on probes look at, one entry a fold; a single split is the one entry under None."""
    from ta_assets.core.probes.targets import TARGETS

    target = TARGETS[evidence.study.labels.target]
    return {fold: _vectors(data, target) for fold, data in evidence.probe_data.items()}


def _vectors(data: ProbeData, target: Target) -> LabelledVectors:
    from ta_checks.rules.shuffles.labelled_vectors import LabelledVectors

    if data.vectors is None:
        raise ValueError("the setting has no activations")
    return LabelledVectors(
        vectors=data.vectors,
        anchors=data.rows["anchor"].to_numpy(),
        problems=data.rows["problem_id"].to_numpy(),
        train=(data.rows["split"] == "train").to_numpy(),
        test=(data.rows["split"] == "test").to_numpy(),
        importance=target.values(data.rows) if target.continuous else None,
    )
