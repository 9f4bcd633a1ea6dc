"""What engines share whose tokenizer is one of a model's folder.

Belongs here: tokens, and what is said of the model. Stays out: sampling.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ta_resources.language_model.tokenizing import TraceTokenizer


class OfFolder:
    """The half of an ``Engine`` that a tokenizer decides."""

    def __init__(self, tokenizer: TraceTokenizer, identity: Mapping[str, Any]) -> None:
        self._tokenizer, self._identity = tokenizer, identity

    @property
    def batches_at_once(self) -> int:
        """One, of an engine that computes by itself."""
        return 1

    def identity(self) -> Mapping[str, Any]:
        """What decides model and tokenizer; no path, no address, no device."""
        return self._identity

    def encode(self, text: str) -> list[int]:
        """Token ids as the tokenizer's file gives them."""
        return self._tokenizer.encode(text)[0].tolist()

    def decode(self, token_ids: Sequence[int]) -> str:
        """Text of the ids, special tokens included."""
        return self._tokenizer.decode(token_ids)
