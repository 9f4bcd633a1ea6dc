"""What an artifact was made from, and whether that still holds.

Dagster knows when an upstream asset changed; it does not know that a study, a dataset or a model did. Each
materialization therefore records ``made_from``, and the release compares it with what it would be made from now.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import dagster as dg
import pandas as pd

from ta_assets.core.option_values import TOKEN_PROBES
from ta_assets.core.options import ExtractionSpec
from ta_assets.studies.loading import Studies
from ta_assets.studies.study import Study
from ta_resources.language_model.resource import LanguageModelResource
from ta_resources.rollouts.resource import RolloutsResource

MADE_FROM = "made_from"
CODE = "code_sha256"
PACKAGES = ("ta_assets", "ta_checks", "ta_resources")


@dataclass(frozen=True)
class Origins:
    """The studies, and the resources that know the identity of data and models."""

    studies: Studies
    rollouts: RolloutsResource
    language_model: LanguageModelResource

    def made_from(self, asset: str, partition: str) -> dict[str, Any]:
        """What this partition of an asset would be made from now, beyond its upstream assets; JSON-able.

        Raises:
            InputError: data or model cannot be identified.
        """
        if asset == "problem_ids":
            study = self.studies.by_setting[partition]
            corpora = {study.settings[partition].corpus, *shared_corpora(self.studies, partition)}
            sources = {corpus: self.rollouts.identity(study.source(corpus)) for corpus in sorted(corpora)}
            return {"sources": sources, "setting": study.settings[partition].model_dump()}
        if asset == "sentences":
            study = self.studies.by_corpus[partition]
            return {
                "source": self.rollouts.identity(study.source(partition)),
                "labels": study.labels.model_dump(exclude={"target"}),
            }
        if asset == "activations":
            study = self.studies.by_corpus[partition]
            spec = study.extraction_spec(partition)
            return {
                "source": self.rollouts.identity(study.source(partition)),
                "language_model": self.language_model.identity(spec),
                "extraction": extraction_options(spec),
            }
        if asset in {"splits", "cv_scores", "probe_comparison", "seed_free_scores", "probe_metrics"}:
            return study_options(self.studies.by_setting[partition.rpartition("|")[2]], asset)
        return {}


def study_options(study: Study, asset: str) -> dict[str, Any]:
    """The options of a study that an asset depends on directly."""
    if asset == "splits":
        decides = {"scheme", "val"} if study.splits.scheme == "lopo" else {"train", "val", "test", "seed"}
        return {"splits": study.splits.model_dump(include=decides)}
    if asset == "cv_scores":
        return {"inference": {key: study.inference.model_dump()[key] for key in ("permutations", "seed")}}
    if asset == "probe_comparison":
        return {"inference": study.inference.model_dump(mode="json")}
    if asset == "aggregate_metrics":
        return {"best_of_k": study.probes.best_of_k}
    if asset == "deferral_plan":
        return {"deferral": study.deferral_options.model_dump()}
    options = study.probe_options.model_dump()
    if asset != "probe_metrics" or not set(TOKEN_PROBES) & set(options["models"]):
        del options["token_probes"]
    if study.probes.residualize_against == "none":
        del options["anchor_percentile"]  # decides residual anchors only; others come with the sentences
    return {"probes": options}


def shared_corpora(studies: Studies, setting: str) -> tuple[str, ...]:
    """Corpora whose problems a setting must share; empty when it shares none."""
    study = studies.by_setting[setting]
    if not study.settings[setting].shared_problems:
        return ()
    return tuple(dict.fromkeys(other.corpus for other in study.settings.values() if other.shared_problems))


def extraction_options(spec: ExtractionSpec) -> dict[str, Any]:
    """The options of an extraction without the place of its model, which differs from machine to machine."""
    options = spec.model_dump(exclude={"language_model", "revision"})
    if spec.scored_attention is None:  # without it, an extraction is what it was before there was this option
        del options["vertical_attention"]
    return options


def fingerprint(value: object) -> str:
    """Hex SHA-256 of a value: JSON, tables, and dataclasses of them. Equal values have equal fingerprints."""
    digest = hashlib.sha256()
    _feed(digest, value)
    return digest.hexdigest()


@cache
def code_sha256() -> str:
    """Hex SHA-256 of every Python file of the project, as this process found them."""
    root, digest = Path(__file__).resolve().parent.parent.parent, hashlib.sha256()
    for path in sorted(path for package in PACKAGES for path in (root / package).rglob("*.py")):
        digest.update(path.relative_to(root).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()


def mismatches(stored: Mapping[str, Any], expected: Mapping[str, Any], prefix: str = "") -> list[str]:
    """Every difference between two ``made_from`` records, as ``labels.anchor_percentile: 90.0 -> 85.0``."""
    found = []
    for key in sorted({*stored, *expected}):
        old, new, where = stored.get(key), expected.get(key), f"{prefix}{key}"
        if isinstance(old, Mapping) and isinstance(new, Mapping):
            found += mismatches(old, new, f"{where}.")
        elif _plain(old) != _plain(new):
            found.append(f"{where}: {old!r} -> {new!r}")
    return found


def output(value: Any, made_from: Mapping[str, Any], metadata: Mapping[str, Any]) -> dg.Output[Any]:
    """What an asset body returns: the value, its data version (a hash of the content), and what it was made from.

    The hash of the code is recorded and not compared: not every change of a line makes a result old; ``code_version``
    says which do.
    """
    with warnings.catch_warnings():
        # data_version is marked as beta in Dagster 1.13
        warnings.simplefilter("ignore", dg.BetaWarning)
        return dg.Output(
            value,
            data_version=dg.DataVersion(fingerprint(value)),
            metadata={**metadata, MADE_FROM: dg.MetadataValue.json(_plain(made_from)), CODE: code_sha256()},
        )


def _feed(digest: Any, value: object) -> None:
    if isinstance(value, pd.DataFrame):
        _feed(digest, {str(name): str(dtype) for name, dtype in value.dtypes.items()})
        hashes = pd.util.hash_pandas_object(value, index=False)  # pyright: ignore[reportAttributeAccessIssue]
        digest.update(hashes.to_numpy().tobytes())
    elif dataclasses.is_dataclass(value) and not isinstance(value, type):
        for field in dataclasses.fields(value):
            digest.update(field.name.encode())
            _feed(digest, getattr(value, field.name))
    else:
        digest.update(json.dumps(_plain(value), sort_keys=True).encode())


def _plain(value: object) -> Any:
    return json.loads(json.dumps(value, sort_keys=True))
