"""Tiny random models of several families, saved as ordinary model folders with a byte-level tokenizer."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers

N_BLOCKS, CONTEXT = 5, 256
SHAPE: dict[str, Any] = {"vocab_size": 300, "hidden_size": 32, "num_hidden_layers": N_BLOCKS, "num_attention_heads": 4}
CONFIGS: dict[str, Callable[[], Any]] = {
    "llama": lambda: transformers.LlamaConfig(
        **SHAPE, intermediate_size=64, num_key_value_heads=2, max_position_embeddings=CONTEXT
    ),
    "qwen2": lambda: transformers.Qwen2Config(
        **SHAPE, intermediate_size=64, num_key_value_heads=2, max_position_embeddings=CONTEXT
    ),
    "gpt_neox": lambda: transformers.GPTNeoXConfig(**SHAPE, intermediate_size=64, max_position_embeddings=CONTEXT),
    "gpt2": lambda: transformers.GPT2Config(vocab_size=300, n_embd=32, n_layer=N_BLOCKS, n_head=4, n_positions=CONTEXT),
    "opt": lambda: transformers.OPTConfig(
        **SHAPE, ffn_dim=64, word_embed_proj_dim=32, max_position_embeddings=CONTEXT, dropout=0.0
    ),
}


def write_tokenizer(folder: Path) -> None:
    """A byte-level BPE tokenizer, trained on a sentence, whose file asks for a BOS, truncation and padding."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=300, special_tokens=["<bos>"], initial_alphabet=alphabet, show_progress=False
    )
    tokenizer.train_from_iterator(["Step one adds two to the sum. Wait, let me check that step again."] * 5, trainer)
    bos = [("<bos>", tokenizer.token_to_id("<bos>"))]
    tokenizer.post_processor = processors.TemplateProcessing(single="<bos> $A", special_tokens=bos)
    tokenizer.enable_truncation(8)
    tokenizer.enable_padding(length=512)
    tokenizer.save(str(folder / "tokenizer.json"))
    (folder / "tokenizer_config.json").write_text(json.dumps({"model_max_length": 10**30, "bos_token": "<bos>"}))


@pytest.fixture(scope="session")
def saved_model(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """family -> folder of a random model of it; made once, not to be changed (see ``copied_model``)."""
    made: dict[str, Path] = {}

    def save(family: str) -> Path:
        if family not in made:
            torch.manual_seed(0)
            made[family] = tmp_path_factory.mktemp(family)
            model = transformers.AutoModelForCausalLM.from_config(CONFIGS[family]())
            for parameter in model.parameters():  # default weights are so small that every block is nearly idle
                if parameter.ndim == 2:
                    parameter.data *= 5
            model.save_pretrained(made[family])
            write_tokenizer(made[family])
        return made[family]

    return save


@pytest.fixture
def copied_model(saved_model: Callable[[str], Path], tmp_path: Path) -> Path:
    """A Llama folder of the test's own."""
    return Path(shutil.copytree(saved_model("llama"), tmp_path / "model"))


@pytest.fixture(scope="session")
def plain_states() -> Callable[[Path, str], tuple[tuple[torch.Tensor, ...], list[tuple[int, int]]]]:
    """folder, text -> transformers' own hidden states [n_tokens, d_model] of every layer, and token offsets."""

    def run(folder: Path, text: str) -> tuple[tuple[torch.Tensor, ...], list[tuple[int, int]]]:
        tokenizer = transformers.PreTrainedTokenizerFast(tokenizer_file=str(folder / "tokenizer.json"))
        encoded = tokenizer(
            text, add_special_tokens=False, return_offsets_mapping=True, truncation=False, padding=False
        )
        model = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
        with torch.no_grad():
            states = model(torch.tensor([encoded["input_ids"]]), output_hidden_states=True).hidden_states
        return tuple(state[0] for state in states), encoded["offset_mapping"]

    return run


@pytest.fixture(scope="session")
def plain_means() -> Callable[..., np.ndarray]:
    """Token vectors, offsets, text, sentences -> float64 means per sentence, by loops."""

    def means(state: torch.Tensor, offsets: list[tuple[int, int]], text: str, sentences: list[str]) -> np.ndarray:
        rows, cursor = [], 0
        for sentence in sentences:
            start = text.index(sentence, cursor)
            cursor = start + len(sentence)
            first = next(i for i, (_, token_end) in enumerate(offsets) if token_end > start)
            last = next((i for i, (token_start, _) in enumerate(offsets) if token_start >= cursor), len(offsets))
            rows.append(state[first:last].double().mean(0).numpy())
        return np.stack(rows)

    return means


@pytest.fixture
def trace() -> Callable[..., tuple[int, str, list[str]]]:
    """(problem_id, text, sentences) with a prompt before the sentences."""

    def make(problem_id: int = 1, n_sentences: int = 4) -> tuple[int, str, list[str]]:
        sentences = [f"Step {index}: adds {problem_id + index} é." for index in range(n_sentences)]
        return problem_id, "What is it?\n" + "  ".join(sentences), sentences

    return make
