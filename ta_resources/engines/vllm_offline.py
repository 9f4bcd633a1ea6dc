"""vLLM in this process, an extra: token ids in, token ids out, its own cache of prefixes.

Belongs here: one call of vLLM. Stays out: servers. vllm is imported when a model is opened.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ta_assets.core.campaign.records import Completion, FinishReason, Sampling
from ta_assets.core.errors import InputError
from ta_resources.engines.of_folder import OfFolder
from ta_resources.engines.protocol import require_room
from ta_resources.language_model.checkpoint.causal import end_tokens
from ta_resources.language_model.checkpoint.model_folder import HubAccess, all_files, open_folder
from ta_resources.language_model.tokenizing import TraceTokenizer


class VllmOffline(OfFolder):
    """Samples from a model that vLLM has loaded."""

    def __init__(self, model: Any, tokenizer: TraceTokenizer, identity: Mapping[str, Any]) -> None:
        super().__init__(tokenizer, identity)
        self._model = model

    @classmethod
    def open(
        cls,
        language_model: str,
        revision: str = "main",
        *,
        bos: str = "never",
        options: Mapping[str, Any] | None = None,
    ) -> VllmOffline:
        """Load a model.

        Args:
            language_model: an absolute path, or an id on the Hub.
            revision: of the latter.
            bos: as ``TraceTokenizer.from_folder`` takes it.
            options: more arguments of ``vllm.LLM``; none may allow code of the model's author.

        Raises:
            InputError: vllm is not installed, or as ``open_folder`` and ``end_tokens``.
        """
        try:
            from vllm import LLM  # type: ignore[import-not-found]
        except ImportError as error:
            expected = (
                "the extra: pip install 'thought-anchor-probes[vllm]', on a machine with a GPU; or another engine"
            )
            raise InputError("engine", "vllm", str(error), expected) from error
        folder = open_folder(language_model, revision, HubAccess())
        tokenizer, ends = TraceTokenizer.from_folder(folder, bos), end_tokens(folder)
        if not ends:
            raise InputError(folder.source, "end token", None, "the id of the token that ends a text")
        path = str(all_files(folder)[0].parent)
        model = LLM(**{**(options or {}), "model": path, "trust_remote_code": False, "enable_prefix_caching": True})
        identity = {
            "kind": "vllm",
            "model": folder.identity(),
            "bos": bos,
            "ends": ends,
            "options": dict(options or {}),
        }
        return cls(model, tokenizer, identity)

    def sample(self, prefix_token_ids: Sequence[int], seeds: Sequence[int], sampling: Sampling) -> list[Completion]:
        """One completion per seed; see ``Engine.sample``."""
        from vllm import SamplingParams  # type: ignore[import-not-found]

        room, ids = require_room(prefix_token_ids, sampling), [int(one) for one in prefix_token_ids]
        ends = self._identity["ends"]
        wanted = [
            SamplingParams(
                seed=seed,
                temperature=sampling.temperature,
                top_p=sampling.top_p,
                max_tokens=room,
                stop_token_ids=ends,
                skip_special_tokens=False,
            )
            for seed in seeds
        ]
        outputs = self._model.generate([{"prompt_token_ids": ids} for _ in seeds], wanted, use_tqdm=False)
        return [self._completion(one.outputs[0], len(ids), ends) for one in outputs]

    def _completion(self, output: Any, prompt_tokens: int, ends: Sequence[int]) -> Completion:
        token_ids = tuple(int(one) for one in output.token_ids)
        if output.finish_reason not in (FinishReason.STOP, FinishReason.LENGTH):
            return Completion.failed(f"it finished for the reason {output.finish_reason!r}", prompt_tokens)
        text_ids = token_ids[:-1] if token_ids and token_ids[-1] in ends else token_ids
        reason = FinishReason(output.finish_reason)
        return Completion(text_ids, self.decode(text_ids), reason, prompt_tokens, len(token_ids))
