"""Problems to read and a Hub to read them from."""

from __future__ import annotations

import importlib.util
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import huggingface_hub
import pytest
from huggingface_hub import constants

from ta_assets.core.values import CorpusSource
from ta_resources.rollouts.resource import RolloutsResource

if TYPE_CHECKING:
    from tests.resources.hub_stand_in import HubStandIn

PREFIX = "some-model/temperature_0.6/correct_base_solution"


def _stand_in() -> ModuleType:
    # Test folders are no packages (importmode importlib), so a helper module is loaded from its path.
    name = "hub_stand_in"
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, Path(__file__).with_name(f"{name}.py"))
        assert spec is not None
        assert spec.loader is not None
        sys.modules[name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules[name])
    return sys.modules[name]


def problem_files(problem_id: int, *, n_sentences: int = 3) -> dict[str, bytes]:
    """The three files of a made problem whose texts name it."""
    sentences = [f"Sentence {position} of problem {problem_id}." for position in range(n_sentences)]
    values: dict[str, Any] = {
        "problem.json": {"problem": f"Problem {problem_id}?", "gt_answer": "4"},
        "base_solution.json": {"full_cot": " ".join(sentences), "is_correct": True},
        "chunks_labeled.json": [
            {"chunk": text, "chunk_idx": position, "counterfactual_importance_accuracy": 0.1 * position}
            for position, text in enumerate(sentences)
        ],
    }
    return {name: json.dumps(value).encode() for name, value in values.items()}


@pytest.fixture
def prefix() -> str:
    return PREFIX


@pytest.fixture
def made_problem() -> Callable[..., dict[str, bytes]]:
    return problem_files


@pytest.fixture
def dataset_folder(tmp_path: Path) -> Path:
    """A folder in the dataset's layout with problems 2, 10 and 33, and things that are no problems."""
    for problem_id in (10, 2, 33):
        folder = tmp_path / "dataset" / PREFIX / f"problem_{problem_id}"
        folder.mkdir(parents=True)
        for name, content in problem_files(problem_id).items():
            (folder / name).write_bytes(content)
    (tmp_path / "dataset" / PREFIX / "notes").mkdir()
    (tmp_path / "dataset" / PREFIX / "problem_7").write_text("a file, not a folder")
    return tmp_path / "dataset"


@pytest.fixture
def new_hub(monkeypatch: pytest.MonkeyPatch) -> Callable[..., HubStandIn]:
    """Makes a Hub with problems 2, 10 and 33; the caller starts it with ``with``."""
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.delenv("HF_TOKEN", raising=False)
    files = {
        f"{PREFIX}/problem_{problem_id}/{name}": content
        for problem_id in (33, 2, 10)
        for name, content in problem_files(problem_id).items()
    }
    files |= {f"{PREFIX}/problem_2/chunk_0/solutions.json": b"[]", f"{PREFIX}/README.md": b"hello"}
    return lambda **settings: _stand_in().HubStandIn(**({"files": dict(files)} | settings))


@pytest.fixture
def hub(new_hub: Callable[..., HubStandIn]) -> Iterator[HubStandIn]:
    huggingface_hub.close_session()
    with new_hub() as running:
        yield running
    huggingface_hub.close_session()


@pytest.fixture
def hub_corpus(hub: HubStandIn) -> CorpusSource:
    return CorpusSource(prefix=PREFIX, repo_id=hub.repo_id)


@pytest.fixture
def new_rollouts(hub: HubStandIn, tmp_path: Path) -> Callable[..., RolloutsResource]:
    """Makes a resource over the stand-in, as a new process would, with next to no waits."""
    defaults: dict[str, Any] = {
        "download_dir": str(tmp_path / "downloads"),
        "endpoint": hub.endpoint,
        "first_wait_seconds": 0.01,
        "timeout": 5.0,
    }

    def new(**settings: Any) -> RolloutsResource:
        return RolloutsResource(**{**defaults, **settings})

    return new


@pytest.fixture
def rollouts(new_rollouts: Callable[..., RolloutsResource]) -> RolloutsResource:
    return new_rollouts()
