"""Training of the embedded language model: tokenizer, architecture, batches, loop.

Belongs here: text of ``task`` -> a trained model and its tokenizer. Stays out: sampling, labels, files.
"""

from __future__ import annotations

import logging
import random
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ta_resources.embedded.task import CLEAR_HABITS, SIGNS, Habits, draw_problem, vocabulary, write_trace

if TYPE_CHECKING:
    import torch
    from transformers import Qwen2ForCausalLM, Qwen2Tokenizer

END, PAD = "<|end|>", "<|pad|>"
MAX_POSITIONS = 512
N_STEPS = (6, 7)
"""How many steps a problem has, in training and in the shipped corpora."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class TrainingOptions:
    """Constant learning rate after a warm-up: one that decays before the facts are learned never learns them."""

    seed: int = 0
    steps: int = 1200
    batch: int = 48
    learning_rate: float = 2e-3
    warm_up: int = 50
    cool_down: int = 150
    """Last steps, with a linearly falling learning rate: the facts are there, the noise of the weights goes."""
    clear_steps: int = 400
    """First steps, with ``CLEAR_HABITS``."""
    result_weight: float = 6.0
    """Loss weight of the token after an equals sign."""
    copy_weight: float = 3.0
    """Loss weight of the step that is repeated from the problem."""
    decision_weight: float = 3.0
    """Loss weight of the sign of a step, which may slip, and of the first word of a sentence, which may be a check."""


def build_tokenizer() -> Qwen2Tokenizer:
    """Words, whole numbers and signs as tokens, each with its leading space; any other text falls into its bytes.

    They are added tokens of a Qwen2 tokenizer without merges, because transformers gives every ``qwen2`` folder this
    class with its own splitting rule, whatever ``tokenizer.json`` holds; added tokens are found before that rule.
    """
    from tokenizers import pre_tokenizers
    from transformers import AddedToken, Qwen2Tokenizer

    characters = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Qwen2Tokenizer(
        vocab={token: index for index, token in enumerate([END, PAD, *characters])},
        merges=[],
        eos_token=END,
        pad_token=PAD,
        unk_token=END,
        model_max_length=MAX_POSITIONS,
        clean_up_tokenization_spaces=False,
    )
    words = [spaced for word in vocabulary() for spaced in (word, f" {word}") if spaced not in characters]
    added: list[Any] = [AddedToken(word, normalized=False, special=False) for word in words]
    tokenizer.add_tokens(added)
    return tokenizer


def build_model(n_tokens: int) -> Qwen2ForCausalLM:
    """An untrained Qwen2 of 4 blocks and d_model 128, about 0.7 M parameters in fp32; seeded by the caller."""
    from transformers import Qwen2Config, Qwen2ForCausalLM

    config = Qwen2Config(
        vocab_size=n_tokens,
        hidden_size=128,
        intermediate_size=320,
        num_hidden_layers=4,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=MAX_POSITIONS,
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=0,
        pad_token_id=1,
    )
    return Qwen2ForCausalLM(config).float()


def train(options: TrainingOptions) -> tuple[Qwen2ForCausalLM, Qwen2Tokenizer]:
    """A model trained on fresh problems in every batch; the same options and thread count give the same weights."""
    import torch

    torch.manual_seed(options.seed)
    rng = random.Random(options.seed)
    tokenizer = build_tokenizer()
    model = build_model(len(tokenizer))
    optimizer = torch.optim.AdamW(model.parameters(), lr=options.learning_rate, betas=(0.9, 0.98), weight_decay=0.01)

    def rate(step: int) -> float:
        return min(1.0, (step + 1) / options.warm_up, (options.steps - step) / max(1, options.cool_down))

    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, rate)
    began = time.monotonic()
    for step in range(options.steps):
        habits = CLEAR_HABITS if step < options.clear_steps else Habits()
        tokens, weights = _batch(tokenizer, options, habits, rng)
        logits = model(tokens[:, :-1]).logits
        losses = torch.nn.functional.cross_entropy(logits.flatten(0, 1), tokens[:, 1:].flatten(), reduction="none")
        loss = (losses * weights.flatten()).sum() / weights.sum()
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        if step % 25 == 0 or step == options.steps - 1:
            _log.info("step %d loss %.4f, %.0f s", step, loss.item(), time.monotonic() - began)
    return model.eval(), tokenizer


def _batch(
    tokenizer: Qwen2Tokenizer, options: TrainingOptions, habits: Habits, rng: random.Random
) -> tuple[torch.Tensor, torch.Tensor]:
    """Tokens [batch, length] and weights [batch, length - 1] of the tokens to predict; prompts and padding weigh 0."""
    import torch

    n_steps = rng.choice(N_STEPS)
    problems = [draw_problem(rng, n_steps) for _ in range(options.batch)]
    texts = [" ".join((problem.prompt, *write_trace(problem, rng, habits))) + END for problem in problems]
    encoded: dict[str, Any] = dict(tokenizer(texts, padding=True, padding_side="right", return_tensors="pt"))
    tokens = encoded["input_ids"]
    prompts = [len(ids) for ids in tokenizer([problem.prompt for problem in problems])["input_ids"]]
    before, after = tokens[:, :-1], tokens[:, 1:]
    weights = torch.ones(after.shape)
    vocabulary_ids = tokenizer.get_vocab()
    weights[before == vocabulary_ids[" ="]] = options.result_weight
    weights[before == vocabulary_ids["."]] = options.decision_weight
    for sign in SIGNS:
        weights[after == vocabulary_ids[f" {sign}"]] = options.decision_weight
    for number in range(1, max(N_STEPS) + 1):
        weights[before == vocabulary_ids[f" {number})"]] = options.copy_weight
    weights[after == tokenizer.pad_token_id] = 0.0
    for row, n_prompt in enumerate(prompts):
        weights[row, : n_prompt - 1] = 0.0
    return tokens, weights
