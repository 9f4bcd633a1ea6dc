"""Malformed model folders, tokenizers and their output, and what a model makes of a trace that it cannot read."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from typing import Any

import numpy as np

from ta_assets.core.options import ExtractionSpec
from ta_assets.core.values import PooledProblem
from ta_resources.language_model.checkpoint.model_folder import (
    ADAPTER,
    CONFIG,
    TOKENIZER,
    TOKENIZER_CONFIG,
    WEIGHTS,
    WEIGHTS_INDEX,
)
from ta_resources.language_model.resource import LanguageModelResource
from ta_resources.language_model.sentence_similarity import MODULES, SentenceSimilarity
from tests.proof.bad_case import BadInput, Bench

SENTENCES = ["The sum of two.", "So is five."]
TEXT = " ".join(SENTENCES)


def _identity(bench: Bench) -> Any:
    return LanguageModelResource().identity(bench.spec())


def _open(bench: Bench, **options: Any) -> object:
    return bench.extract(TEXT, SENTENCES, **options)


def _file(name: str, file: str, content: object, field: str, value: str, expected: str, *, deep: bool = False) -> BadInput:  # fmt: skip
    """A file of the model's folder: None removes it, a mapping changes keys of its JSON, bytes and text replace it."""

    def act(bench: Bench) -> object:
        path = bench.model_folder() / file
        if content is None:
            path.unlink()
        elif isinstance(content, dict):
            path.write_text(json.dumps({**json.loads(path.read_text(encoding="utf-8")), **content}), encoding="utf-8")
        else:
            path.write_bytes(content if isinstance(content, bytes) else str(content).encode())
        return _open(bench) if deep else _identity(bench)

    return BadInput("model folder", name, act, "model", field, value, expected)


def _pickle(suffix: str) -> BadInput:
    def act(bench: Bench) -> object:
        (bench.model_folder() / WEIGHTS).rename(bench.folder / f"model/pytorch_model{suffix}")
        return _identity(bench)

    return BadInput("model folder", f"weights as {suffix} only", act, "model", WEIGHTS, f"pytorch_model{suffix}", "safetensors")  # fmt: skip


def _index(name: str, weight_map: object, value: str, expected: str) -> BadInput:
    def act(bench: Bench) -> object:
        (bench.model_folder() / WEIGHTS).rename(
            bench.folder / "model/model-1.safetensors"
        )  # the index is read without it
        (bench.model_folder() / WEIGHTS_INDEX).write_text(json.dumps({"weight_map": weight_map}), encoding="utf-8")
        return _identity(bench)

    return BadInput("model folder", name, act, "model", WEIGHTS_INDEX, value, expected)


def _adapter(bench: Bench) -> object:
    (bench.model_folder() / ADAPTER).write_text('{"base_model_name_or_path": "someone/else"}', encoding="utf-8")
    return _identity(bench)


def _weights(edit: Callable[[bytes], bytes]) -> Callable[[Bench], object]:
    def act(bench: Bench) -> object:
        path = bench.model_folder() / WEIGHTS
        path.write_bytes(edit(path.read_bytes()))
        return _open(bench)

    return act


def _absent(bench: Bench) -> object:
    return LanguageModelResource().identity(ExtractionSpec(language_model=str(bench.folder / "nowhere")))


def _pipe(bench: Bench) -> object:
    (bench.model_folder() / WEIGHTS).unlink()
    os.mkfifo(bench.model_folder() / WEIGHTS)
    return _identity(bench)


def _without_tensor(bench: Bench) -> object:
    from safetensors.numpy import load_file, save_file

    path = bench.model_folder() / WEIGHTS
    tensors = load_file(path)
    del tensors["model.layers.0.mlp.up_proj.weight"]
    save_file(tensors, path, metadata={"format": "pt"})
    return _open(bench)


def _narrow(bench: Bench) -> object:
    from safetensors.numpy import load_file, save_file

    path, name = bench.model_folder() / WEIGHTS, "model.layers.0.mlp.up_proj.weight"
    tensors = load_file(path)
    save_file({**tensors, name: (tensors[name] * 99).astype(np.int8)}, path, metadata={"format": "pt"})
    return _open(bench)


def _with_tensor(name: str, *shape: int) -> Callable[[Bench], object]:
    """Weights with a tensor more."""

    def act(bench: Bench) -> object:
        from safetensors.numpy import load_file, save_file

        path = bench.model_folder() / WEIGHTS
        save_file({**load_file(path), name: np.ones(shape, dtype=np.float32)}, path, metadata={"format": "pt"})
        return _open(bench)

    return act


def _scaled(factor: float) -> Callable[[Bench], object]:
    def act(bench: Bench) -> object:
        from safetensors.numpy import load_file, save_file

        path = bench.model_folder() / WEIGHTS
        tensors = load_file(path)
        tensors["model.embed_tokens.weight"] = (tensors["model.embed_tokens.weight"] * factor).astype(np.float32)
        save_file(tensors, path, metadata={"format": "pt"})
        return _open(bench, storage_dtype="float16")

    return act


FOLDERS = [
    BadInput("model folder", "a folder that is absent", _absent, "nowhere", "language_model", "nowhere", "existing model folder"),
    BadInput("model folder", "a pipe in place of weights", _pipe, "model", WEIGHTS, "None", "safetensors"),
    _file("no configuration", CONFIG, None, CONFIG, "None", "this file"),
    _file("a configuration that ends too early", CONFIG, "{", CONFIG, "property name", "a JSON object"),
    _file("a list in place of a configuration", CONFIG, "[]", CONFIG, "'list'", "a JSON object"),
    _file("a configuration in UTF-16", CONFIG, "{}".encode("utf-16"), CONFIG, "utf-8", "a JSON object"),
    _file("a configuration of open brackets", CONFIG, "[" * 100_000, CONFIG, "recursion", "a JSON object"),
    _file("a configuration with code", CONFIG, {"auto_map": {"AutoModel": "evil.Model"}}, "auto_map", "evil.Model", "no code"),
    _file("a tokenizer with code", TOKENIZER_CONFIG, {"auto_map": {"AutoTokenizer": "evil.T"}}, "auto_map", "evil.T", "no code"),
    _file("a configuration with code inside", CONFIG, {"text_config": {"auto_map": {"AutoModel": "evil.Model"}}}, "auto_map", "evil.Model", "no code"),
    _file("a configuration that names a pickle", CONFIG, {"transformers_weights": "adapter_model.bin"}, "transformers_weights", "adapter_model.bin", "no key that names another file"),
    _file("a configuration that names other weights", CONFIG, {"transformers_weights": "other.safetensors"}, "transformers_weights", "other.safetensors", "no key that names another file"),
    _file("a configuration that names another one", CONFIG, {"configuration_files": ["config.4.0.0.json"]}, "configuration_files", "config.4.0.0.json", "config.json alone"),
    _file("attention that is code of the Hub", CONFIG, {"attn_implementation": "someone/kernel"}, "attn_implementation", "someone/kernel", "one of eager, sdpa"),
    BadInput("model folder", "an adapter beside the weights", _adapter, "model", ADAPTER, "an adapter", "merged into its weights"),
    _file("an architecture of nobody", CONFIG, {"model_type": "oracle"}, CONFIG, "oracle", "this version of transformers", deep=True),
    _file("blocks in words", CONFIG, {"num_hidden_layers": "four"}, CONFIG, "num_hidden_layers", "this version of transformers", deep=True),
    _file("no block", CONFIG, {"num_hidden_layers": 0}, CONFIG, "0", "at least one block", deep=True),
    _file("fewer than no blocks", CONFIG, {"num_hidden_layers": -3}, CONFIG, "-3", "at least one block", deep=True),
    _file("more blocks than weights", CONFIG, {"num_hidden_layers": 40}, WEIGHTS, "layers.", "weights for every tensor", deep=True),
    _file("another width than the weights", CONFIG, {"hidden_size": 64}, WEIGHTS, "embed_tokens", "weights", deep=True),
    _file("no head at all", CONFIG, {"num_attention_heads": 0}, CONFIG, "ZeroDivisionError", "transformers", deep=True),
    _file("a context in words", CONFIG, {"max_position_embeddings": "long"}, CONFIG, "max_position_embeddings", "transformers", deep=True),
    _file("an activation of nobody", CONFIG, {"hidden_act": "oracle"}, CONFIG, "oracle", "transformers", deep=True),
    _file("no weights", WEIGHTS, None, WEIGHTS, "None", "safetensors"),
    *map(_pickle, (".bin", ".pt", ".pth", ".ckpt", ".pkl")),
    _index("an index that leads outside", {"a": "../model.safetensors"}, "../model.safetensors", "beside it"),
    _index("an index of pickles", {"a": "pytorch_model.bin"}, "pytorch_model.bin", "safetensors"),
    _index("an index of absent shards", {"a": "absent.safetensors"}, "absent.safetensors", "all shards"),
    _index("an index of lists", {"a": ["model.safetensors"]}, "model.safetensors", "beside it"),
    _index("an index of names and numbers", {"a": "model.safetensors", "b": 7}, "7", "beside it"),
    _index("an index that is a text", "model.safetensors", "[]", "beside it"),
    BadInput("model folder", "weights cut in half", _weights(lambda raw: raw[: len(raw) // 2]), "model", WEIGHTS, "not fully covered", "whole"),
    BadInput("model folder", "weights that are empty", _weights(lambda _: b""), "model", WEIGHTS, "too small", "whole"),
    BadInput("model folder", "weights that are a text", _weights(lambda _: b"weights of a model"), "model", WEIGHTS, "too large", "whole"),
    BadInput("model folder", "weights without a tensor", _without_tensor, "model", WEIGHTS, "up_proj", "weights for every tensor"),
    BadInput("model folder", "weights with a bias that nobody adds", _with_tensor("model.layers.0.self_attn.q_proj.bias", 32), "model", WEIGHTS, "q_proj.bias", "no weights but those of the architecture"),
    BadInput("model folder", "weights with scales that nobody applies", _with_tensor("model.layers.1.mlp.up_proj.weight_scale_inv", 1, 1), "model", WEIGHTS, "weight_scale_inv", "no weights but those of the architecture"),
    BadInput("model folder", "weights of a block that nobody counts", _with_tensor("model.layers.4.mlp.up_proj.weight", 64, 32), "model", WEIGHTS, "layers.4", "no weights but those of the architecture"),
    _file("a quantization that is not undone", CONFIG, {"quantization_config": {"quant_method": "gptq", "bits": 4}}, "quantization_config.quant_method", "gptq", "not quantized", deep=True),
    _file("an encoder with a decoder", CONFIG, {"is_encoder_decoder": True}, "is_encoder_decoder", "True", "a decoder alone", deep=True),
    _file("a text part that nobody has proven", CONFIG, {"model_type": "chameleon", "text_config": {"model_type": "llama"}}, CONFIG, "chameleon", "text_config was proven", deep=True),
    _file("a decoder that looks ahead", CONFIG, {"model_type": "gemma", "use_bidirectional_attention": True}, "gemma", "later tokens", "the tokens so far", deep=True),
    _file("a decoder that is told to look ahead", CONFIG, {"is_causal": False}, "llama", "later tokens", "the tokens so far", deep=True),
    BadInput("model folder", "weights of 8 bits that nothing says how to read", _narrow, "model", WEIGHTS, "up_proj.weight (I8)", "a quantization_config"),
    BadInput("model folder", "weights of no number", _scaled(float("nan")), "problem 1", "vectors of 2", "NaN", "not_finite"),
    BadInput("model folder", "weights beyond float16", _scaled(1e8), "problem 1", "block 2", "does not fit", "storage_dtype to float32"),
    BadInput("model folder", "a block that the model does not have", lambda bench: _open(bench, layer=99), "model", "extraction.layer", "99", "from 0 to 3"),
]  # fmt: skip


def _tokenizer(name: str, act: Callable[[Bench], object], file: str, field: str, value: str, expected: str) -> BadInput:
    return BadInput("tokenizer output", name, act, file, field, value, expected)


def _replaced(content: str | None) -> Callable[[Bench], object]:
    def act(bench: Bench) -> object:
        path = bench.model_folder() / TOKENIZER
        path.unlink() if content is None else path.write_text(content, encoding="utf-8")
        return _open(bench)

    return act


def _limit(limit: object) -> Callable[[Bench], object]:
    def act(bench: Bench) -> object:
        path = bench.model_folder() / TOKENIZER_CONFIG
        path.write_text(json.dumps({"model_max_length": limit}), encoding="utf-8")
        return _open(bench)

    return act


def _beside(keys: dict[str, Any]) -> Callable[[Bench], object]:
    def act(bench: Bench) -> object:
        (bench.model_folder() / TOKENIZER_CONFIG).write_text(json.dumps(keys), encoding="utf-8")
        return _open(bench)

    return act


def _of_another_model(bench: Bench) -> object:
    from tokenizers import Tokenizer

    path = str(bench.model_folder() / TOKENIZER)
    tokenizer = Tokenizer.from_file(path)
    tokenizer.add_tokens(["five"] + [f"more{index}" for index in range(500)])
    tokenizer.add_tokens(["two"])
    tokenizer.save(path)
    return bench.extract("two more499", ["two more499"])


def _words_it_does_not_know(bench: Bench) -> object:
    from tokenizers import Tokenizer, models, pre_tokenizers

    tokenizer = Tokenizer(models.WordLevel({"sum": 0}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.save(str(bench.model_folder() / TOKENIZER))
    return _open(bench)


def _no_tokens(bench: Bench) -> object:
    from tokenizers import Regex, Tokenizer, normalizers

    path = str(bench.model_folder() / TOKENIZER)
    tokenizer = Tokenizer.from_file(path)
    tokenizer.normalizer = normalizers.Replace(Regex("."), "")
    tokenizer.save(path)
    return _open(bench)


TOKENIZERS = [
    _tokenizer("no tokenizer", _replaced(None), "model", TOKENIZER, "None", "offsets"),
    _tokenizer("a tokenizer that ends too early", _replaced("{"), "model", TOKENIZER, "EOF", "a fast tokenizer's file"),
    _tokenizer("a tokenizer of no model", _replaced("{}"), "model", TOKENIZER, "missing", "a fast tokenizer's file"),
    _tokenizer("tokens that the model does not have", _of_another_model, "model folder", "token id", "796", "ids below 300"),
    _tokenizer("words that the tokenizer does not know", _words_it_does_not_know, "model", TOKENIZER, "UNK", "a tokenizer that takes any text"),
    _tokenizer("a tokenizer that gives no tokens", _no_tokens, "problem 1", "sentence 0", "'The sum of two.'", "unaligned"),
    _tokenizer("a trace longer than the tokenizer allows", _limit(3), "problem 1", "context_length", "tokens", "at most 3"),
    _tokenizer("a limit in words", _limit("long"), TOKENIZER_CONFIG, "model_max_length", "'long'", "a number"),
    _tokenizer("a limit of no number", _limit(float("nan")), TOKENIZER_CONFIG, "model_max_length", "nan", "a number"),
    _tokenizer("a limit that is a truth", _limit(True), TOKENIZER_CONFIG, "model_max_length", "True", "a number"),
    _tokenizer("a limit below one", _limit(-1), TOKENIZER_CONFIG, "model_max_length", "-1", "a number"),
    _tokenizer("an added token with another id", _beside({"added_tokens_decoder": {"9999": {"content": "<think>"}}}), "model", TOKENIZER_CONFIG, "9999", "the id that"),
    _tokenizer("an added token without its text", _beside({"added_tokens_decoder": {"7": {"special": True}}}), "model", "added_tokens_decoder.7", "special", "a token with its content"),
    _tokenizer("a space that the tokenizer does not add", _beside({"add_prefix_space": True}), "model", "add_prefix_space", "True", TOKENIZER),
    _tokenizer("a beginning that the tokenizer does not have", lambda bench: _open(bench, bos="always"), "model", "extraction.bos", "always", "bos_token"),
    _tokenizer("a trace without sentences", lambda bench: bench.extract(TEXT, []), "problem 1", "no_sentences", "", "no sentences"),
]  # fmt: skip


def _device(device: str) -> Callable[[Bench], object]:
    def act(bench: Bench) -> object:
        with LanguageModelResource(device=device).open(bench.spec()) as extractor:
            return extractor

    return act


def _encoder(*modules: object) -> Callable[[Bench], object]:
    """A model folder with such a list of modules; with none, there is no list."""

    def act(bench: Bench) -> object:
        if modules:
            (bench.model_folder() / MODULES).write_text(json.dumps(modules), encoding="utf-8")
        return SentenceSimilarity(str(bench.model_folder()))

    return act


CASES: list[BadInput] = [
    *FOLDERS,
    *TOKENIZERS,
    BadInput("environment", "a device of nobody", _device("tpu"), "language model resource", "device", "'tpu'", "auto, cpu"),
    BadInput("environment", "a device that is not there", _device("cuda:99"), "language model resource", "device", "'cuda:99'", "is there"),
    BadInput("model folder", "a language model in place of a sentence encoder", _encoder(), "model", MODULES, "None", "sentence-transformers"),
    BadInput("model folder", "a sentence encoder with a class of somebody's", _encoder({"type": "evil.Encoder", "path": ""}), "model", MODULES, "evil.Encoder", "Transformer, Pooling and Normalize alone"),
    BadInput("model folder", "a sentence encoder with a dense module", _encoder({"type": "sentence_transformers.models.Dense", "path": "2_Dense"}), "model", MODULES, "Dense", "Transformer, Pooling and Normalize alone"),
]  # fmt: skip


def healthy(bench: Bench) -> None:
    """The model without a fault reads a trace."""
    assert set(_identity(bench)) == {"kind", "sha256"}
    pooled = _open(bench)
    assert isinstance(pooled, PooledProblem)
    assert len(pooled.token_spans) == len(SENTENCES)
