"""A tiny study of two corpora: synthetic traces, a random Llama, and the real commands run on it."""

from __future__ import annotations

import hashlib
import json
import os
import random
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests import warm

ROOT = Path(__file__).resolve().parents[2]
NO_COMPUTE_LOGS = {
    "module": "dagster._core.storage.noop_compute_log_manager",
    "class": "NoOpComputeLogManager",
}
N_PROBLEMS, N_SENTENCES = 6, 12
ROLLOUTS = 97
WORDS = ("the", "sum", "of", "two", "is", "five", "so", "we", "add", "one", "wait", "check", "again", "no", "yes")


def write_problem(folder: Path, rng: random.Random) -> None:
    """One problem in the dataset's layout, with importances that have no ties at the threshold."""
    sentences = [" ".join(rng.choices(WORDS, k=rng.randint(4, 9))).capitalize() + f" {i}." for i in range(N_SENTENCES)]
    right = [rng.randint(5, ROLLOUTS - 5) for _ in sentences]
    chunks = []
    for index, sentence in enumerate(sentences):
        different = rng.randint(17, 50)
        following = right[index + 1] / ROLLOUTS if index + 1 < N_SENTENCES else None
        importance = 0.0 if following is None else rng.randint(0, different) / different - following
        chunks.append(
            {
                "chunk": sentence,
                "chunk_idx": index,
                "function_tags": ["active_computation"],
                "accuracy": right[index] / ROLLOUTS,
                "different_trajectories_fraction": different / ROLLOUTS,
                "counterfactual_importance_accuracy": importance,
            }
        )
    solution, question = " ".join(sentences), f"How much is {folder.name}?"
    folder.mkdir(parents=True)
    for name, content in (
        ("problem", {"problem": question, "gt_answer": "5"}),
        ("base_solution", {"prompt": f"{question} ", "solution": solution, "full_cot": f"{question} {solution}"}),
        ("chunks_labeled", chunks),
    ):
        (folder / f"{name}.json").write_text(json.dumps(content), encoding="utf-8")


def write_model(folder: Path) -> None:
    """A random Llama of four blocks with a byte-level tokenizer."""
    import torch
    import transformers
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    torch.manual_seed(0)
    config = transformers.LlamaConfig(
        vocab_size=300,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=4,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=2048,
    )
    transformers.AutoModelForCausalLM.from_config(config).save_pretrained(folder)
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=300, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False
    )
    tokenizer.train_from_iterator([" ".join(WORDS)] * 5, trainer)
    tokenizer.save(str(folder / "tokenizer.json"))
    (folder / "tokenizer_config.json").write_text(json.dumps({"model_max_length": 2048}), encoding="utf-8")


@dataclass
class TinyWorld:
    """A working directory with a study, its data and its model, in which dagster's own commands run."""

    folder: Path
    threads: int = 1

    def problem(self, solutions: str, problem_id: int) -> Path:
        """Folder of a problem's files."""
        return self.folder / f"data/tiny/temperature_0.6_top_p_0.95/{solutions}_base_solution/problem_{problem_id}"

    @property
    def study(self) -> Path:
        return self.folder / "tiny.yaml"

    def change_study(self, **sections: Any) -> None:
        """Replace top-level sections of the study file."""
        content = yaml.safe_load(self.study.read_text(encoding="utf-8"))
        self.study.write_text(yaml.safe_dump({**content, **sections}), encoding="utf-8")

    def run(self, *command: str, fault: str = "") -> subprocess.CompletedProcess[str]:
        """Run ``dagster ...`` as a user would, with the study selected; ``fault`` names a planted one."""
        return self._run("dagster", *command, fault=fault)

    def trace(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run ``python -m ta_assets.trace ...`` in this world."""
        return self._run("ta_assets.trace", *arguments)

    def _run(self, module: str, *command: str, fault: str = "") -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, **self.environment(fault)}
        environment.pop("DAGSTER_HOME", None)
        if self.threads == 1 and "HF_ENDPOINT" not in environment:  # the Hub's library reads it while it is imported
            return warm.run(module, command, self.folder, environment)
        program = [sys.executable, "-m", module, *command]  # libraries start their threads while they are imported
        return subprocess.run(
            program, cwd=self.folder, env=environment, capture_output=True, text=True, timeout=600, check=False
        )

    def environment(self, fault: str = "") -> dict[str, str]:
        """Variables under which the commands see this world."""
        return {
            "TA_STUDY": str(self.study),
            "TA_PLANTED_FAULT": fault,
            "DAGSTER_MODULE_NAME": "planted" if fault else "ta_assets.definitions",
            "PYTHONPATH": os.pathsep.join([str(ROOT), str(Path(__file__).parent)]),
            **dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), str(self.threads)),
        }

    def artifact_hashes(self) -> dict[str, str]:
        """SHA-256 of every artifact but the verdicts, which name runs and times."""
        base = self.folder / "artifacts"
        return {
            path.relative_to(base).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in sorted(base.rglob("*"))
            if path.is_file() and not {"release", "releases", "release_verdict"} & set(path.parts)
        }

    def release(self, fault: str = "") -> subprocess.CompletedProcess[str]:
        """The exact command of the README."""
        return self.run("job", "execute", "-j", "release", fault=fault)

    @property
    def verdict(self) -> dict[str, Any]:
        """The verdict that the last release left behind."""
        return json.loads((self.folder / "artifacts/tiny/release/verdict.json").read_text(encoding="utf-8"))

    def rows(self, **where: str) -> list[dict[str, Any]]:
        """Rows of the verdict with these fields."""
        return [row for row in self.verdict["checks"] if all(row[key] == value for key, value in where.items())]

    def red(self) -> set[tuple[str, str, str]]:
        """(name, asset, partition) of every ERROR row that did not pass."""
        return {
            (row["name"], row["asset"], row["partition"])
            for row in self.verdict["checks"]
            if row["severity"] == "ERROR" and row["status"] != "passed"
        }

    def computed(self) -> set[str]:
        """Cells that the last release computed."""
        return {cell for cell, what in self.verdict["cells"].items() if what.startswith("computed")}


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tiny") / "model"
    write_model(folder)
    return folder


@pytest.fixture
def tiny_world(tmp_path: Path, tiny_model: Path) -> TinyWorld:
    """A fresh world whose release is healthy."""
    return build_world(tmp_path, tiny_model)


@pytest.fixture(scope="session")
def make_world() -> Callable[[Path, Path], TinyWorld]:
    """Folder and model -> a healthy world, for fixtures of a wider scope."""
    return build_world


def build_world(folder: Path, model: Path, *, compute_logs: bool = False) -> TinyWorld:
    """A world of two corpora, with data and study in an existing folder.

    Args:
        folder: receives data and study.
        model: folder of the language model.
        compute_logs: keep what each step prints, as users do; it takes four processes per step.
    """
    world = TinyWorld(folder)
    rng = random.Random(0)
    for solutions in ("correct", "incorrect"):
        for problem_id in range(1, N_PROBLEMS + 1):
            write_problem(world.problem(solutions, problem_id), rng)
    study = {
        "name": "tiny",
        "dataset": {"folder": "data"},
        "models": {"tiny": {"folder": "tiny", "language_model": str(model)}},
        "extraction": {"storage_dtype": "float32"},
        "statistics": {"bootstrap": 100},
        "inference": {"permutations": 200, "ceiling_draws": 20},
        "probes": {"mlp_hidden": 8, "mlp_max_iter": 30},
        "settings": {
            "tiny_correct": {"model": "tiny", "solutions": "correct"},
            "tiny_incorrect": {"model": "tiny", "solutions": "incorrect"},
        },
    }
    world.study.write_text(yaml.safe_dump(study), encoding="utf-8")
    for name in ("dagster.yaml", "workspace.yaml"):
        (folder / name).write_bytes((ROOT / name).read_bytes())
    if not compute_logs:
        path = folder / "dagster.yaml"
        settings = yaml.safe_load(path.read_text(encoding="utf-8"))
        path.write_text(yaml.safe_dump({**settings, "compute_logs": NO_COMPUTE_LOGS}), encoding="utf-8")
    return world
