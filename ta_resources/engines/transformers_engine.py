"""A language model in this process, which reads a prefix once for all of its rollouts.

The prefix's keys and values are computed once, copied for as many rows as are sampled, and kept: the next prefix of the
same trace reads only the tokens by which it is longer. Belongs here: caches and rows. Stays out: drawing (``nucleus``),
files (``checkpoint``). torch is imported inside functions, so that the graph loads without it.
"""

from __future__ import annotations

import copy
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ta_assets.core.campaign.records import Completion, FinishReason, Sampling
from ta_assets.core.errors import InputError
from ta_resources.engines.nucleus import Streams, draw
from ta_resources.engines.of_folder import OfFolder
from ta_resources.engines.protocol import require_room
from ta_resources.language_model.checkpoint.causal import load_causal_model
from ta_resources.language_model.checkpoint.model_folder import HubAccess, open_folder
from ta_resources.language_model.devices import free_device_memory, is_out_of_memory, resolve_device, resolve_dtype
from ta_resources.language_model.tokenizing import TraceTokenizer

if TYPE_CHECKING:
    import torch

COMPACT_BELOW = 0.75
"""Share of rows still running below which those that ended are taken out of the cache, which copies it."""
CROPPABLE = ("DynamicLayer",)
"""Kinds of cache that can be cut back to an earlier place of the text; others forget what they have seen."""

_log = logging.getLogger(__name__)


@dataclass
class Work:
    """What an engine has computed so far."""

    prompt_tokens: int = 0
    generated_tokens: int = 0


@dataclass(frozen=True)
class _Trunk:
    """A text that was read, and what the model keeps of it."""

    ids: tuple[int, ...]
    cache: Any
    logits: torch.Tensor
    """[1, n_vocabulary] behind its last token."""


class TransformersEngine(OfFolder):
    """Samples from a causal language model of transformers on one device."""

    def __init__(self, model: Any, tokenizer: TraceTokenizer, identity: Mapping[str, Any], ends: Sequence[int]) -> None:
        """Hold a loaded model.

        Args:
            model: in eval mode.
            tokenizer: the model's.
            identity: what decides both.
            ends: ids of the tokens that end a text.

        Raises:
            InputError: no such token: every rollout would run into the limit.
        """
        if not ends:
            expected = "the id of the token that ends a text (eos_token_id in generation_config.json or config.json)"
            raise InputError("language model", "end token", None, expected)
        self._model: Any = model
        self._ends = sorted(set(ends))
        dtype = str(model.dtype).removeprefix("torch.")
        super().__init__(tokenizer, {**identity, "ends": self._ends, "dtype": dtype})
        self._trunk: _Trunk | None = None
        self.rows = 64
        """Rollouts that are sampled at once; halved where memory does not do."""
        self.work = Work()

    @classmethod
    def open(
        cls,
        language_model: str,
        revision: str = "main",
        *,
        device: str = "auto",
        dtype: str = "auto",
        bos: str = "never",
    ) -> TransformersEngine:
        """Load a model from a folder or the Hub, with the checks of ``checkpoint``.

        Raises:
            InputError: no such model, or one that cannot be loaded safely and whole, or that has no token for an end.
        """
        folder, where = open_folder(language_model, revision, HubAccess()), resolve_device(device)
        tokenizer = TraceTokenizer.from_folder(folder, bos)
        model, ends = load_causal_model(folder, where, resolve_dtype(dtype, where))
        return cls(model, tokenizer, {"kind": "transformers", "model": folder.identity(), "bos": bos}, ends)

    def close(self) -> None:
        """Forget the model and free its memory."""
        device = self._model.device
        self._model = self._trunk = None
        free_device_memory(device)

    def sample(self, prefix_token_ids: Sequence[int], seeds: Sequence[int], sampling: Sampling) -> list[Completion]:
        """One completion per seed; see ``Engine.sample``.

        Raises:
            InputError: no room, a text longer than the model's context, or too little memory for a single row.
        """
        room, prefix = require_room(prefix_token_ids, sampling), tuple(map(int, prefix_token_ids))
        context = getattr(self._model.config, "max_position_embeddings", None)
        if context is not None and sampling.max_total_tokens > context:
            expected = f"at most {context}, which is the model's context"
            raise InputError("sampling", "max_total_tokens", sampling.max_total_tokens, expected)
        completions: list[Completion] = []
        while len(completions) < len(seeds):
            part = seeds[len(completions) : len(completions) + self.rows]
            try:
                completions += self._sample_rows(prefix, part, sampling, room)
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error) or self.rows == 1:
                    raise
                self._trunk, self.rows = None, max(1, min(self.rows, len(part)) // 2)
                free_device_memory(self._model.device)
                _log.warning("too little memory: going on with %d rollouts at once", self.rows)
        return completions

    def _sample_rows(
        self, prefix: tuple[int, ...], seeds: Sequence[int], sampling: Sampling, room: int
    ) -> list[Completion]:
        import torch

        with torch.inference_mode():
            trunk = self._read(prefix)
            cache = copy.deepcopy(trunk.cache)
            cache.batch_repeat_interleave(len(seeds))
            logits = trunk.logits.expand(len(seeds), -1)
            streams, ends = Streams(seeds), torch.tensor(self._ends, device=logits.device)
            texts: list[list[int]] = [[] for _ in seeds]
            ended = [False] * len(seeds)
            rows = torch.arange(len(seeds))
            for position in range(room):
                tokens = draw(logits, streams.next()[rows], sampling.temperature, sampling.top_p)
                over = torch.isin(tokens, ends).tolist()
                for row, token, end in zip(rows.tolist(), tokens.tolist(), over, strict=True):
                    if not ended[row]:
                        ended[row] = end
                        self.work.generated_tokens += 1
                        if not end:
                            texts[row].append(token)
                running = [place for place, row in enumerate(rows.tolist()) if not ended[row]]
                if not running or position + 1 == room:
                    break
                if len(running) < COMPACT_BELOW * len(rows):
                    chosen = torch.tensor(running)
                    cache.batch_select_indices(chosen.to(logits.device))
                    rows, tokens = rows[chosen], tokens[chosen.to(logits.device)]
                output = self._model(tokens[:, None], past_key_values=cache, use_cache=True, logits_to_keep=1)
                cache, logits = output.past_key_values, output.logits[:, -1]
        return [self._completion(len(prefix), text, end) for text, end in zip(texts, ended, strict=True)]

    def _completion(self, prompt_tokens: int, token_ids: list[int], ended: bool) -> Completion:
        reason = FinishReason.STOP if ended else FinishReason.LENGTH
        text = self.decode(token_ids)
        return Completion(tuple(token_ids), text, reason, prompt_tokens, len(token_ids) + ended)

    def _read(self, prefix: tuple[int, ...]) -> _Trunk:
        """What the model keeps of a prefix; of what it shares with the last one nothing is computed again."""
        import torch

        trunk = self._trunk
        if trunk is not None and trunk.ids == prefix:
            return trunk
        shared, cache = 0, None
        if trunk is not None and all(type(layer).__name__ in CROPPABLE for layer in trunk.cache.layers):
            same = [one == other for one, other in zip(trunk.ids, prefix, strict=False)]
            # the last token is always read: its logits are what is drawn from
            shared = min([*same, False].index(False), len(prefix) - 1)
            cache = trunk.cache
            if shared < len(trunk.ids):
                cache.crop(shared - len(trunk.ids))
        self._trunk = None  # from here on the cache is another one's
        ids = torch.tensor([prefix[shared:]], device=self._model.device)
        output = self._model(ids, past_key_values=cache if shared else None, use_cache=True, logits_to_keep=1)
        if not hasattr(output.past_key_values, "batch_repeat_interleave"):
            expected = "a model whose keys and values can be copied for several rows"
            raise InputError("language model", "cache", type(output.past_key_values).__name__, expected)
        self.work.prompt_tokens += len(prefix) - shared
        self._trunk = _Trunk(prefix, output.past_key_values, output.logits[:, -1])
        return self._trunk
