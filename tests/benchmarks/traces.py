"""Made-up traces and random models of a given shape, for the benchmarks.

Stays out: measurements.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

Trace = tuple[int, str, list[str]]


def made_trace(n_tokens: int, encode: Callable[[str], tuple[np.ndarray, Any]], problem_id: int = 0) -> Trace:
    """A trace of whole sentences with at least ``n_tokens`` tokens."""
    sentences: list[str] = []
    for sentence in _sentences(problem_id):
        sentences.append(sentence)
        if len(encode(" ".join(sentences))[0]) >= n_tokens:
            break
    return problem_id, " ".join(sentences), sentences


def _sentences(problem_id: int) -> Iterator[str]:
    number, step = problem_id % 7 + 3, 0
    while True:
        step, number = step + 1, number * 3 % 97 + 1
        yield f"Step {step}: the sum is now {number}, so we add {step % 9} and keep the rest for later."
        yield f"Wait, let me check that {number} plus {step % 9} is {number + step % 9}."


def random_llama(folder: Path, shape: dict[str, Any]) -> Path:
    """Save a Llama with random weights and a byte-level tokenizer."""
    import torch
    import transformers
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    torch.manual_seed(0)
    model = transformers.LlamaForCausalLM(transformers.LlamaConfig(**shape))
    model.save_pretrained(folder)
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=300, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False
    )
    sentences = _sentences(0)
    tokenizer.train_from_iterator([next(sentences) for _ in range(40)], trainer)
    tokenizer.save(str(folder / "tokenizer.json"))
    return folder
