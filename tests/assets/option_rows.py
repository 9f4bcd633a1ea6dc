"""Every key of a study file at its documented values, so that any two values of two keys meet in some study.

Belongs here: the values, the rows, and what becomes of one. Stays out: which rows a test takes.
"""

from __future__ import annotations

import copy
import json
import random
import shutil
from collections.abc import Iterator, Mapping
from itertools import combinations
from pathlib import Path
from typing import Any

import dagster as dg
import yaml

from ta_assets.core.option_values import DEFAULT_MODELS, TOKEN_PROBES, VERTICAL_MODELS
from ta_assets.definitions import build_definitions
from ta_assets.jobs import runs
from ta_assets.ledger.ledger import Ledger
from ta_assets.ledger.table import ASSETS, partitions_of
from ta_assets.ledger.world import World
from ta_assets.studies.loading import load_studies
from ta_checks.checks import judge
from ta_checks.evidence import Evidence
from ta_checks.table import INVARIANTS
from ta_resources.language_model.resource import LanguageModelResource
from ta_resources.rollouts.resource import RolloutsResource
from ta_resources.storage.artifacts import ArtifactStore
from tests.assets.conftest import write_problem

SETTING = "settings.one."
ANCHOR = "anchor_binary"
FEW = ["linear_probe", "position_baseline"]
VALUES: Mapping[str, list[Any]] = {
    "dataset.temperature": ["temperature_0.6_top_p_0.95", "t"],
    "labels.field": ["counterfactual_importance_accuracy", "resampling_importance_accuracy"],
    "labels.anchor_percentile": [90.0, 60.0],
    "labels.drop_last_chunk": [True, False],
    "labels.missing": ["error", "zero"],
    "labels.rollouts": [None, 100],
    "labels.target": ["anchor_binary", "importance_abs", "importance_signed"],
    "splits.scheme": ["single", "lopo"],
    "splits.train": [0.7, 0.5],
    "splits.val": [0.15, 0.25],
    "splits.test": [0.15, 0.25],
    "splits.seed": [0, 7],
    "extraction.layer": ["mid", "all", 1, 0.9, [0, "mid"]],
    "extraction.pooling": ["mean", "last", "tokens"],
    "extraction.dtype": ["auto", "float32", "float16", "bfloat16"],
    "extraction.storage_dtype": ["float32", "float16"],
    "extraction.bos": ["never", "auto", "always"],
    "extraction.vertical_attention.mode": ["off", "light", "full"],
    "extraction.vertical_attention.last_tokens": [1, 3],
    "extraction.vertical_attention.depth_control": [True, False],
    "extraction.vertical_attention.max_full_length": [1024, 8],
    "probes.mlp_hidden": [8, 2],
    "probes.mlp_max_iter": [20, 5],
    "probes.k_values": [[5, 10], [1]],
    "probes.position_bins": [5, 0],
    "probes.best_of_k": [1, 3],
    "probes.models": [[*DEFAULT_MODELS], FEW, [*FEW, *TOKEN_PROBES], [*FEW, *VERTICAL_MODELS]],
    "probes.residualize_against": ["none", "position", "position_plus_text"],
    "probes.token_probes.depth": [1, 2],
    "probes.token_probes.width": [8, 3],
    "probes.token_probes.heads": [4, 1],
    "probes.token_probes.learning_rate": [1e-3, 0.1],
    "probes.token_probes.weight_decay": [0.0, 0.1],
    "probes.token_probes.batch": [32, 1000],
    "probes.token_probes.epochs": [3, 1],
    "probes.token_probes.patience": [5, 1],
    "probes.token_probes.loss": ["bce", "huber", "mse"],
    "statistics.bootstrap": [100, 150],
    "statistics.permutations": [200, 250],
    "inference.permutations": [200, 250],
    "inference.margin": [0.05, 0.5],
    "inference.smallest_lead": [0.05, 0.1],
    "inference.first_look": [0.8, 1.0],
    "inference.deltas": [[0.02, 0.05], [0.1]],
    "inference.ceiling_draws": [20, 30],
    "inference.seed": [0, 3],
    "verification.problem": ["none", "auto", 2],
    "verification.similarity": ["text"],
    "verification.embedding_model": ["./absent"],
    "verification.threshold": [0.8, 0.5],
    "deferral.probe": [None, "position_baseline", "multimax_probe"],
    "deferral.objective": ["budget", "error"],
    "deferral.budget": [0.2, 0.0],
    "deferral.error": [0.1, 1.0],
    "deferral.quantiles": [101, 2],
    "deferral.group": ["none", "function_tag", "position_third"],
    "sweep": [None, {"labels.anchor_percentile": [80.0, 90.0]}],
    f"{SETTING}solutions": ["correct", "incorrect", "correct_forced_answer", "incorrect_forced_answer"],
    f"{SETTING}problems": [None, 5],
    f"{SETTING}problems_seed": [0, 1],
    f"{SETTING}shared_problems": [False, True],
    "seeds": [5],
    "readme": [None, "OUT.md"],
}
"""Key as in the study file -> values, the default first. Sizes are small ones: they decide how long, not what."""
ORDER = {key: place for place, key in enumerate(VALUES)}
FIXED = {"name", "dataset.repo_id", "dataset.folder", "dataset.revision", "models", f"{SETTING}model"}
"""Keys that say where things lie."""


def fits(row: Mapping[str, Any]) -> bool:
    """Whether these values go together, as far as they are given; what does not is refused when the file is read."""
    models, pooling, target = (row.get(key) for key in ("probes.models", "extraction.pooling", "labels.target"))
    suited = pooling in (None, "tokens")
    if target not in (None, ANCHOR):
        suited = suited and row.get("probes.token_probes.loss") != "bce"
    if models is not None:
        if set(models) & set(TOKEN_PROBES) and not suited:
            return False
        if set(models) & set(VERTICAL_MODELS) and row.get("extraction.vertical_attention.mode") == "off":
            return False
        if row.get("deferral.probe") not in (None, *models):
            return False
    # of the probes that take tokens, this one is only there with them
    return row.get("deferral.probe") not in TOKEN_PROBES or suited


def rows() -> list[dict[str, Any]]:
    """Values of every key, so that all pairs that fit occur; the first row begins with the defaults.

    Each row starts with a pair that no row has yet; every other key takes the value that fits and brings most pairs.
    """
    open_pairs = {
        ((a, i), (b, j))
        for a, b in combinations(VALUES, 2)
        for i, one in enumerate(VALUES[a])
        for j, other in enumerate(VALUES[b])
        if fits({a: one, b: other})
    }
    found = []
    while open_pairs:
        chosen = dict(min(open_pairs))
        for key in VALUES:
            if key not in chosen:
                chosen[key] = max(
                    (i for i in range(len(VALUES[key])) if fits(_values({**chosen, key: i}))),
                    key=lambda i: (sum(pair in open_pairs for pair in _pairs({**chosen, key: i}, key)), -i),
                )
        open_pairs -= {pair for key in VALUES for pair in _pairs(chosen, key)}
        found.append(_values({key: chosen[key] for key in VALUES}))
    return found


def _values(chosen: Mapping[str, int]) -> dict[str, Any]:
    return {key: VALUES[key][index] for key, index in chosen.items()}


def _pairs(chosen: Mapping[str, int], key: str) -> Iterator[tuple[tuple[str, int], tuple[str, int]]]:
    """The pairs of one key's value with those of the others, each in the order of the keys."""
    for other in VALUES:
        if other in chosen and other != key:
            a, b = sorted((key, other), key=ORDER.__getitem__)
            yield (a, chosen[a]), (b, chosen[b])


def misfits() -> list[dict[str, Any]]:
    """Studies with two values that do not go together, all else as by default."""
    plain = {key: values[0] for key, values in VALUES.items()}
    found = []
    for (a, ones), (b, others) in combinations(VALUES.items(), 2):
        found += [{**plain, a: one, b: other} for one in ones for other in others if not fits({a: one, b: other})]
    return found


def study_of(row: Mapping[str, Any], model: Path) -> dict[str, Any]:
    """The content of the study file; fractions of a split that do not sum to one are brought to it."""
    content: dict[str, Any] = {
        "name": "every",
        "dataset": {"folder": "data"},
        "models": {"tiny": {"folder": "tiny", "language_model": str(model)}},
        "settings": {"one": {"model": "tiny"}},
    }
    for key, value in row.items():
        *path, last = key.split(".")
        section = content
        for name in path:
            section = section.setdefault(name, {})
        if value is not None:
            section[last] = copy.deepcopy(value)
    splits = content["splits"]
    splits["train"] = round(1 - splits["val"] - splits["test"], 6)
    return content


def write_data(folder: Path, row: Mapping[str, Any]) -> None:
    """Six problems in the dataset's layout; one sentence lacks its importance where that may be read as zero."""
    rng = random.Random(0)
    for problem_id in range(1, 7):
        kind, _, twin = row[f"{SETTING}solutions"].partition("_")
        solutions = f"{kind}_base_solution{'_' * bool(twin)}{twin}"
        place = folder / "tiny" / row["dataset.temperature"] / solutions / f"problem_{problem_id}"
        write_problem(place, rng)
        path = place / "chunks_labeled.json"
        chunks = json.loads(path.read_text(encoding="utf-8"))
        for chunk in chunks:
            chunk["resampling_importance_accuracy"] = rng.uniform(-1, 1)
        if problem_id == 3 and row["labels.missing"] == "zero":
            del chunks[1][row["labels.field"]]
        path.write_text(json.dumps(chunks), encoding="utf-8")


def outcome(folder: Path, row: Mapping[str, Any], model: Path) -> list[str]:
    """What of a study is neither a verdict nor an input that is named.

    Raises:
        InputError: the study is refused.
    """
    write_data(folder / "data", row)
    study = folder / "study.yaml"
    study.write_text(yaml.safe_dump(study_of(row, with_beginning(model, folder / "model"))), encoding="utf-8")
    studies = load_studies(str(study))
    store = ArtifactStore(base_dir=str(folder / "artifacts"))
    definitions = build_definitions(studies, resources={"store": store})
    with dg.DagsterInstance.ephemeral() as instance:
        ledger = Ledger(instance, lambda: definitions)
        lost: dict[tuple[str, str], str] = {}
        for asset in ASSETS:
            for partition in partitions_of(asset, studies.selected):
                if any(parent in lost for parent in ledger.parents(asset, partition)):
                    lost[asset, partition] = "InputError of what it is made of"
                    continue
                result = runs.make(definitions, instance, asset, partition)
                if not runs.made(result, asset):
                    lost[asset, partition] = _why(result)
        world = World(
            studies, store, RolloutsResource(), LanguageModelResource(), Ledger(instance, lambda: definitions)
        )
        failed = [f"{asset}[{partition}]: {why}" for (asset, partition), why in lost.items() if "InputError" not in why]
        return [*failed, *_unjudged(world)]


def with_beginning(model: Path, folder: Path) -> Path:
    """A copy of a model whose tokenizer has a token to begin a text with."""
    shutil.copytree(model, folder)
    path = folder / "tokenizer_config.json"
    config = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps({**config, "bos_token": "~"}), encoding="utf-8")
    return folder


def _why(result: dg.ExecuteInProcessResult) -> str:
    errors = [event.step_failure_data.error for event in result.all_events if event.is_step_failure]
    return " <- ".join(
        f"{error.cls_name}: {error.message}" for error in (*errors, *(e.cause for e in errors if e)) if error
    )


def _unjudged(world: World) -> list[str]:
    """Checks of the study that could not be evaluated, for another reason than an input that they name."""
    found = []
    for invariant in INVARIANTS:
        for partition in partitions_of(invariant.asset, world.studies.selected)[:1]:
            evidence = Evidence(invariant.asset, partition, world)
            if not invariant.applies(evidence.study):
                continue
            verdict = judge(invariant, evidence)
            if verdict.status == "errored" and not verdict.message.startswith(("InputError", "UnusableProblem")):
                found.append(f"{invariant.name} of {invariant.asset}[{partition}]: {verdict.message}")
    return found
