"""What the artifacts are made from beside their upstream assets: options of the study, identity of data and models.

Dagster knows when an upstream asset changed; it does not know that a study, a dataset or a model did. Each
materialization therefore records ``made_from``, and the release compares it with what it would be made from now.
The functions stand in the table of assets (``partitions``), one or two for each asset.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ta_assets.core.option_values import TOKEN_PROBES
from ta_assets.core.options import ExtractionSpec
from ta_assets.ledger.world import World
from ta_assets.studies.loading import Studies
from ta_assets.studies.study import Study
from ta_assets.studies.sweep import sweep_cells
from ta_resources.storage.artifacts import ArtifactStore


def split_options(study: Study) -> dict[str, Any]:
    """The options that decide ``splits``."""
    decides = {"scheme", "val"} if study.splits.scheme == "lopo" else {"train", "val", "test", "seed"}
    return {"splits": study.splits.model_dump(include=decides)}


def score_options(study: Study) -> dict[str, Any]:
    """The options that decide ``cv_scores``."""
    return {"inference": {key: study.inference.model_dump()[key] for key in ("permutations", "seed")}}


def comparison_options(study: Study) -> dict[str, Any]:
    """The options that decide ``probe_comparison``."""
    return {"inference": study.inference.model_dump(mode="json"), "settings": len(study.settings)}


def probe_options(study: Study) -> dict[str, Any]:
    """The options that decide ``seed_free_scores``: of all probes but those on tokens."""
    options = cell_options(study)
    options["probes"].pop("token_probes", None)
    return options


def cell_options(study: Study) -> dict[str, Any]:
    """The options that decide ``probe_metrics``; those of token probes where the study has such probes."""
    options = study.probe_options.model_dump()
    if not set(TOKEN_PROBES) & set(options["models"]):
        del options["token_probes"]
    if study.probes.residualize_against == "none":
        del options["anchor_percentile"]  # decides residual anchors only; others come with the sentences
    return {"probes": options}


def aggregate_options(study: Study) -> dict[str, Any]:
    """The options that decide ``aggregate_metrics``."""
    return {"best_of_k": study.probes.best_of_k}


def deferral_options(study: Study) -> dict[str, Any]:
    """The options that decide ``deferral_plan``."""
    return {"deferral": study.deferral_options.model_dump()}


def extraction_options(spec: ExtractionSpec) -> dict[str, Any]:
    """The options of an extraction without the place of its model, which differs from machine to machine."""
    options = spec.model_dump(exclude={"language_model", "revision"})
    if spec.scored_attention is None:  # without it, an extraction is what it was before there was this option
        del options["vertical_attention"]
    if spec.bos == "never":
        del options["bos"]
    return options


def questions_identity(world: World, corpus: str) -> dict[str, Any]:
    """The file of the questions, and the grader that must be able to read their answers.

    Raises:
        InputError: the file cannot be had.
    """
    study = world.studies.by_corpus[corpus]
    answers = study.campaign.answers
    return {
        "questions": study.questions.identity(offline=world.rollouts.offline),
        "graders": [answers.grader, answers.second],
    }


def base_identity(world: World, corpus: str) -> dict[str, Any]:
    """The model that writes, what it is asked, and which of its traces are taken.

    Raises:
        InputError: the model cannot be identified.
    """
    study = world.studies.by_corpus[corpus]
    said = study.campaign.model_dump(include={"prompt", "sampling", "base", "answers"})
    return {
        **said,
        "engine": study.campaign.engine.kind,
        "language_model": world.language_model.identity(study.extraction_spec(corpus)),
        "right": study.solutions_are_right(corpus),
    }


def rollout_options(study: Study) -> dict[str, Any]:
    """The options that decide ``rollouts``: outcomes are graded, and a stopping rule looks at replacements."""
    return study.campaign.model_dump(include={"rollouts", "reuse", "budget_tokens", "answers", "similarity"})


def grading_options(study: Study) -> dict[str, Any]:
    """The options that decide ``labels``: intervals depend on the stopping rule, chances on its threshold."""
    return study.campaign.model_dump(include={"answers", "similarity", "reuse", "rollouts"})


def problems_identity(world: World, setting: str) -> dict[str, Any]:
    """The data that a setting's problems are chosen from, and how it chooses.

    Raises:
        InputError: the data cannot be identified.
    """
    study = world.studies.by_setting[setting]
    corpora = {study.settings[setting].corpus, *shared_corpora(world.studies, setting)}
    sources = {corpus: world.rollouts.identity(world.source(corpus)) for corpus in sorted(corpora)}
    return {"sources": sources, "setting": study.settings[setting].model_dump()}


def labels_identity(world: World, corpus: str) -> dict[str, Any]:
    """The data that labels are taken from, and their rule.

    Raises:
        InputError: the data cannot be identified.
    """
    study = world.studies.by_corpus[corpus]
    return {
        "source": world.rollouts.identity(world.source(corpus)),
        "labels": study.labels.model_dump(exclude={"target"}),
    }


def extraction_identity(world: World, corpus: str) -> dict[str, Any]:
    """The texts, the model that reads them, and how.

    Raises:
        InputError: data or model cannot be identified.
    """
    study = world.studies.by_corpus[corpus]
    spec = study.extraction_spec(corpus)
    return {
        "source": world.rollouts.identity(world.source(corpus)),
        "language_model": world.language_model.identity(spec),
        "extraction": extraction_options(spec),
    }


def combination_identity(world: World, key: str) -> dict[str, Any]:
    """Everything that decides the scores of a combination of a sweep.

    Raises:
        InputError: no study has the combination, ``problem_ids`` was not made, or data or model cannot be identified.
    """
    cell = world.combination(key)
    study, corpus = cell.study, cell.study.settings[cell.setting].corpus
    spec = study.extraction_spec(corpus)
    return {
        "factors": dict(cell.factors),
        "source": world.rollouts.identity(world.source(corpus)),
        "problem_ids": world.store.load("problem_ids", cell.setting),
        "labels": study.labels.model_dump(),
        **split_options(study),
        **(cell_options(study) if cell.probe in TOKEN_PROBES else probe_options(study)),
        "language_model": world.language_model.identity(spec),
        "extraction": extraction_options(spec),
    }


def leaderboard_identity(world: World, study_name: str) -> dict[str, Any]:
    """The sweep that a study asks for, and which of its combinations there are."""
    study = world.studies.by_name[study_name]
    return {"sweep": study.sweep, "finished": sorted(finished(study, world.store))}


def finished(study: Study, store: ArtifactStore) -> list[str]:
    """Keys of the combinations of a study that are stored, in the order of the file."""
    return [cell.key for cell in sweep_cells(study) if store.exists("sweep_metrics", cell.key)]


def shared_corpora(studies: Studies, setting: str) -> tuple[str, ...]:
    """Corpora whose problems a setting must share; empty when it shares none."""
    study = studies.by_setting[setting]
    if not study.settings[setting].shared_problems:
        return ()
    return tuple(dict.fromkeys(other.corpus for other in study.settings.values() if other.shared_problems))


def rollouts_owed(metadata: Mapping[str, Any]) -> str | None:
    """Why a campaign must go on although nothing that it was made from has changed; None when it need not.

    Args:
        metadata: of its materialization; ``unfinished`` counts problems at which its tokens were spent.
    """
    n_problems = metadata.get("unfinished") or 0
    return f"the tokens of its last run were spent before {n_problems} problems were done" if n_problems else None


def memory_owed(metadata: Mapping[str, Any]) -> str | None:
    """Why a corpus must be extracted again although nothing that it was made from has changed; None when it need not.

    Args:
        metadata: of its materialization; ``skipped_kinds`` counts problems by the kind of their skip.
    """
    n_problems = (metadata.get("skipped_kinds") or {}).get("out_of_memory", 0)
    # of all skips, the only one that another machine, or another hour, can mend
    return f"{n_problems} problems were skipped for lack of memory" if n_problems else None
