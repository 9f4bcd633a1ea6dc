"""From a trace and its sentences to token ids and token spans, with the tokenizer alone.

Belongs here: tokenizing without special tokens, alignment with its one retry, decoding of spans. Stays out: weights,
torch, transformers: ``tokenizer.json`` is read by the library that wrote it, so a check needs no model, and the tokens
are the file's, whatever class a model's configuration names for it; with what lies beside it (``tokens_beside.py``).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ta_assets.core.errors import InputError
from ta_assets.core.traces import spans
from ta_resources.language_model.checkpoint.model_folder import (
    TOKENIZER,
    TOKENIZER_CONFIG,
    ModelFolder,
    read_json,
    tokenizer_file,
)
from ta_resources.language_model.checkpoint.tokens_beside import add_tokens, beginning, refuse_options


@dataclass(frozen=True)
class AlignedTrace:
    """A tokenized trace and where its sentences lie."""

    text: str
    """What was tokenized: the trace, or after the retry its sentences joined by spaces."""
    ids: np.ndarray
    """[n_tokens] int64."""
    token_spans: np.ndarray
    """[n_sentences, 2] int64, half-open, all within [0, n_tokens]."""


class TraceTokenizer:
    """A fast tokenizer without truncation or padding, and without special tokens but those that a study asks for."""

    def __init__(
        self, tokenizer: Any, max_tokens: int | None = None, source: str = TOKENIZER, first: Sequence[int] = ()
    ) -> None:
        tokenizer.no_truncation()
        tokenizer.no_padding()
        self._tokenizer = tokenizer
        self.max_tokens = max_tokens
        """The limit that the tokenizer's configuration names, if it names one."""
        self._source = source
        self._first = list(first)

    @classmethod
    def from_folder(cls, folder: ModelFolder, bos: str = "never") -> TraceTokenizer:
        """Read ``tokenizer.json`` and, beside it, added tokens, options, the limit and what ``bos`` adds.

        Raises:
            InputError: the tokenizer is absent or cannot be read, what lies beside it contradicts it, the limit is no
                number, or ``bos`` asks for a token that it does not have.
        """
        from tokenizers import Tokenizer

        path = tokenizer_file(folder)
        try:
            tokenizer = Tokenizer.from_file(str(path))
        except Exception as error:  # tokenizers raises bare Exception
            raise InputError(folder.source, TOKENIZER, str(error), "a fast tokenizer's file") from error
        add_tokens(tokenizer, folder)
        refuse_options(tokenizer, folder)
        tokenizer.no_truncation()
        tokenizer.no_padding()
        return cls(tokenizer, _limit(folder), folder.source, beginning(tokenizer, folder, bos))

    def encode(self, text: str) -> tuple[np.ndarray, np.ndarray]:
        """Token ids [n_tokens] int64 and character offsets [n_tokens, 2] int64.

        The tokenizer adds no special tokens: a trace goes on from a prompt, and which of them the model saw there is
        for the study to say (``bos``). Before a text that does not begin with them, there are the ids that the study
        asks for, with empty offsets.

        Raises:
            InputError: the tokenizer has no token for something in the text, and none for what it does not know.
        """
        try:
            encoding = self._tokenizer.encode(text, add_special_tokens=False)
        except Exception as error:  # tokenizers raises bare Exception
            raise InputError(self._source, TOKENIZER, str(error), "a tokenizer that takes any text") from error
        first = [] if encoding.ids[: len(self._first)] == self._first else self._first
        offsets = [(0, 0)] * len(first) + list(encoding.offsets)
        return np.array([*first, *encoding.ids], dtype=np.int64), np.array(offsets, dtype=np.int64).reshape(-1, 2)

    def align(self, text: str, sentences: Sequence[str]) -> AlignedTrace:
        """Token spans of the sentences in the text.

        When a span ends beyond the tokens (a sentence that lies where the tokenizer produced nothing), the sentences
        joined by spaces are taken as the text instead. Blank sentences are not to be among them: one at the end would
        have no tokens, and take the prompt away from all others.

        Raises:
            UnalignedSentence: a sentence does not occur, or has no tokens (its tokenizer passes over it, and the next
                token would be another sentence's), also in the joined text.
        """
        for candidate in (text, " ".join(sentences)):
            characters = spans.character_spans(candidate, sentences)
            ids, offsets = self.encode(candidate)
            found = spans.token_spans(characters, offsets)
            beyond = found[:, 1] > len(ids)
            starts = np.append(offsets[:, 0], 0)[np.minimum(found[:, 0], len(ids))]
            # a sentence of no characters has none to be silent with
            passed_over = (starts >= characters[:, 1]) & (characters[:, 1] > characters[:, 0])
            silent = np.flatnonzero(beyond | passed_over)
            if not silent.size:
                return AlignedTrace(candidate, ids, found)
            if not beyond.any():
                break
        first = int(silent[0])
        raise spans.UnalignedSentence(first, sentences[first], int(characters[first, 0]))

    def token_spans(self, text: str, sentences: Sequence[str]) -> np.ndarray:
        """[n_sentences, 2] int64, half-open; see ``align``, which also gives the text that they refer to."""
        return self.align(text, sentences).token_spans

    def as_read(self, sentences: Sequence[str]) -> list[str]:
        """What the tokens of each sentence decode to when it is tokenized alone: the sentence as the tokenizer
        normalizes it."""
        ids = [self.encode(sentence)[0].tolist() for sentence in sentences]
        return [self._tokenizer.decode(one, skip_special_tokens=False) for one in ids]

    def decode(self, token_ids: Sequence[int], *, special: bool = True) -> str:
        """The text of token ids, with or without that of special tokens."""
        return self._tokenizer.decode([int(one) for one in token_ids], skip_special_tokens=not special)

    def decode_spans(self, text: str, token_spans: np.ndarray) -> list[str]:
        """The text that each token span decodes to.

        Args:
            text: the text that was tokenized (``PooledProblem.text``).
            token_spans: [n_sentences, 2] int, half-open; positions beyond the tokens decode to nothing.
        """
        ids = self.encode(text)[0].tolist()
        rows = np.asarray(token_spans, dtype=np.int64).reshape(-1, 2).tolist()
        return [self._tokenizer.decode(ids[start:end], skip_special_tokens=False) for start, end in rows]


def _limit(folder: ModelFolder) -> int | None:
    """``model_max_length``; None where the configuration names none."""
    limit = read_json(folder, TOKENIZER_CONFIG).get("model_max_length")
    if limit is None:
        return None
    if isinstance(limit, bool) or not isinstance(limit, (int, float)) or not 0 < limit < float("inf"):
        where = f"{TOKENIZER_CONFIG}: model_max_length"
        raise InputError(folder.source, where, limit, "a number of tokens above zero, or no such key")
    return int(limit)
