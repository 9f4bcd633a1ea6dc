"""What is loaded is what is identified: no key and no file of a model's folder makes transformers read another one."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from ta_assets.core.errors import InputError
from ta_assets.core.options import ExtractionSpec
from ta_resources.language_model.checkpoint.loading import load_base_model
from ta_resources.language_model.checkpoint.model_folder import (
    HubAccess,
    all_files,
    loadable,
    open_folder,
    weight_files,
)
from ta_resources.language_model.resource import LanguageModelResource

OTHERS = (
    "other.safetensors",
    "consolidated.safetensors",
    "adapter_model.safetensors",
    "head.safetensors",
    "model.fp16.safetensors",
    "shard-00000-model-00001-of-00001.safetensors",
)
"""Names that transformers knows, or a configuration could name."""


def identity(folder: Path) -> str:
    return LanguageModelResource().identity(ExtractionSpec(language_model=str(folder)))["sha256"]


def loaded(folder: Path, layer: str | int) -> str:
    """A hash of every tensor of the model, as it is loaded for that layer."""
    model, _, _ = load_base_model(
        open_folder(str(folder), "main", HubAccess()), layer, torch.device("cpu"), torch.float32
    )
    digest = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(name.encode() + tensor.numpy().tobytes())
    return digest.hexdigest()


def change_json(path: Path, **keys: Any) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text(encoding="utf-8")), **keys}), encoding="utf-8")


def scale(path: Path) -> None:
    """Other numbers under the same names."""
    tensors = {name: tensor * 2 + 1 for name, tensor in load_file(path).items()}
    save_file(tensors, path, metadata={"format": "pt"})


def shard(folder: Path) -> None:
    """The same weights in shards with an index, beside ``model.safetensors``."""
    from transformers import AutoModelForCausalLM

    pieces = folder.parent / "pieces"
    AutoModelForCausalLM.from_pretrained(folder).save_pretrained(pieces, max_shard_size="50KB")
    for path in pieces.glob("model*"):
        shutil.copy(path, folder)


@pytest.fixture(params=["single", "sharded", "both"])
def folder(request: pytest.FixtureRequest, copied_model: Path) -> Path:
    """A model with files beside it that are not its weights."""
    tensors = load_file(copied_model / "model.safetensors")
    if request.param != "single":
        shard(copied_model)
    if request.param == "sharded":
        (copied_model / "model.safetensors").unlink()
    for name in OTHERS:
        save_file(tensors, copied_model / name, metadata={"format": "pt"})
    for name in ("pytorch_model.bin", "adapter_model.bin", "training_args.bin"):
        (copied_model / name).write_bytes(b"no weights")
    return copied_model


@pytest.mark.parametrize("layer", ["all", 1])
def test_a_weight_file_that_changes_the_weights_changes_the_identity(folder: Path, layer: str | int) -> None:
    before = identity(folder), loaded(folder, layer)
    told, read = [], []
    for path in sorted([*folder.glob("*.safetensors"), *folder.glob("*.bin")]):
        content, status = path.read_bytes(), path.stat()
        scale(path) if path.suffix == ".safetensors" else path.write_bytes(b"other")
        os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns + 1_000_000))
        told += [path.name] if identity(folder) != before[0] else []
        read += [path.name] if loaded(folder, layer) != before[1] else []
        path.write_bytes(content)
        os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert set(read) <= set(told)  # the shard of the head is identified too, and not read
    assert not set(told) & set(OTHERS)
    assert read == ["model.safetensors"] if (folder / "model.safetensors").exists() else len(read) > 1


def test_a_loader_sees_the_files_of_the_identity_and_no_other(folder: Path) -> None:
    opened = open_folder(str(folder), "main", HubAccess())
    with loadable(opened, weight_files(opened)) as seen:
        names = {path.name for path in seen.iterdir()}
        assert names == {path.name for path in all_files(opened)} - {"tokenizer.json", "tokenizer_config.json"}
        assert all(path.read_bytes() == (folder / path.name).read_bytes() for path in seen.iterdir())
    assert not seen.exists()
    assert (folder / "config.json").exists()


def refused(folder: Path, match: str) -> None:
    spec = ExtractionSpec(language_model=str(folder))
    with pytest.raises(InputError, match=match):
        LanguageModelResource().identity(spec)
    with pytest.raises(InputError, match=match), LanguageModelResource(device="cpu").open(spec):
        pass


NESTED: list[Callable[[dict[str, Any]], dict[str, Any]]] = [
    lambda keys: keys,
    lambda keys: {"text_config": keys},
    lambda keys: {"parts": [{"decoder": keys}]},
]


@pytest.mark.parametrize("nested", NESTED)
@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("transformers_weights", "adapter_model.bin"),
        ("transformers_weights", "other.safetensors"),
        ("configuration_files", ["config.4.0.0.json"]),
        ("auto_map", {"AutoModel": "modeling.Evil"}),
        ("attn_implementation", "someone/kernel"),
        ("_attn_implementation", "flash_attention_2"),
        ("attn_implementation", {"text_config": "someone/kernel@main:attention"}),
        ("experts_implementation", "deepgemm"),
    ],
)
def test_a_key_that_names_code_or_another_file_is_refused(
    copied_model: Path, key: str, value: Any, nested: Callable[[dict[str, Any]], dict[str, Any]]
) -> None:
    change_json(copied_model / "config.json", **nested({key: value}))
    refused(copied_model, rf"config\.json: {key}: found .*, expected")


def test_keys_that_name_nothing_are_no_fault(copied_model: Path) -> None:
    before = loaded(copied_model, "all")
    plain = {"attn_implementation": "eager", "_attn_implementation": None, "transformers_weights": None, "auto_map": {}}
    change_json(copied_model / "config.json", **plain)
    assert loaded(copied_model, "all") == before


def test_another_configuration_beside_it_is_not_read(copied_model: Path) -> None:
    """Without the key, transformers reads no other; the canary shows that it would make a difference."""
    before = loaded(copied_model, "all")
    other = copied_model / "config.4.0.0.json"
    shutil.copy(copied_model / "config.json", other)
    change_json(other, num_hidden_layers=1)
    assert loaded(copied_model, "all") == before


def test_an_adapter_beside_the_weights_is_refused(copied_model: Path) -> None:
    (copied_model / "adapter_config.json").write_text(json.dumps({"base_model_name_or_path": "someone/else"}))
    refused(copied_model, r"adapter_config\.json: .*merged")
