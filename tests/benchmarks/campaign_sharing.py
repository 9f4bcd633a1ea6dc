"""Labels from scratch: what it saves to read a prefix once for all of its rollouts, measured with SmolLM2.

Stays out: all else (``campaign_machinery``, ``campaign_worlds``), the list of rows (``campaign_table``).
"""

from __future__ import annotations

import json
import time
from collections import Counter
from functools import cache
from typing import Any

import numpy as np
from scipy.stats import chi2_contingency

from ta_assets.core.campaign.records import Sampling
from ta_resources.engines.transformers_engine import TransformersEngine
from tests.benchmarks.campaign_machinery import smollm2
from tests.benchmarks.campaign_worlds import TRACES, record
from tests.benchmarks.kept_table import Record

PREFIXES, ROLLOUTS, NEW_TOKENS = (100, 170, 240), 64, 64
"""Tokens of three prefixes of a trace, rollouts of each, tokens of a rollout."""


@cache
def shared() -> dict[str, Any]:
    """Three prefixes of a published trace, 64 rollouts each, 64 tokens each: with a shared prefix, and without."""
    path = sorted(TRACES.glob("*/*/*/problem_*"))[0]
    text = json.loads((path / "base_solution.json").read_text(encoding="utf-8"))["full_cot"]
    found: dict[str, Any] = {}
    for name in ("shared", "each"):
        engine = TransformersEngine.open(str(smollm2()), device="cpu")
        ids = engine.encode(text)
        if name == "each":
            _read_for_each(engine)
        begun, texts = time.process_time(), []
        for length in PREFIXES:
            sampling = Sampling(temperature=0.6, top_p=0.95, max_total_tokens=length + NEW_TOKENS)
            seeds = [length * 1000 + one + (500 if name == "each" else 0) for one in range(ROLLOUTS)]
            texts.append([one.token_ids for one in engine.sample(ids[:length], seeds, sampling)])
        found[name] = {"seconds": time.process_time() - begun, "work": engine.work, "texts": texts}
        engine.close()
    return found


def _read_for_each(engine: TransformersEngine) -> None:
    """Let the engine read a prefix once for each rollout, in one batch, as a sampler without sharing does."""
    import torch

    model = engine._model

    class Each:
        device, dtype, config = model.device, model.dtype, model.config

        def __call__(self, ids: torch.Tensor, **more: Any) -> Any:
            if ids.shape[1] > 1:
                repeated = model(ids.repeat(ROLLOUTS, 1), **{**more, "past_key_values": None})
                engine.work.prompt_tokens += (ROLLOUTS - 1) * ids.shape[1]
                cache = repeated.past_key_values
                cache.batch_select_indices(torch.tensor([0]))
                repeated.logits = repeated.logits[:1]
                return repeated
            return model(ids, **more)

    engine._model = Each()
    read = engine._read

    def anew(prefix: tuple[int, ...]) -> Any:
        engine._trunk = None
        return read(prefix)

    engine._read = anew  # type: ignore[method-assign]


def sharing(figure: str, _: int) -> Record:
    """One figure of prefix sharing."""
    found = shared()
    ours, each = found["shared"], found["each"]
    n = len(PREFIXES) * ROLLOUTS
    if figure == "tokens":
        work = ours["work"]
        detail = (
            f"{work.prompt_tokens} computed, {work.generated_tokens} generated; {each['work'].prompt_tokens} unshared"
        )
        value = work.prompt_tokens / work.generated_tokens
        return record("computed prompt tokens per generated token", value, "<=", 0.02, n, detail)
    if figure == "speed":
        detail = f"{ours['seconds']:.0f} and {each['seconds']:.0f} CPU seconds, prefixes of {PREFIXES} tokens"
        value = each["seconds"] / ours["seconds"]
        return record("times faster than one prefill a rollout", value, ">=", 1.8, n, detail)
    p_values = []
    for mine, its in zip(ours["texts"], each["texts"], strict=True):
        counts = [Counter(token for one in side for token in one[:3]) for side in (mine, its)]
        common = [token for token, count in (counts[0] + counts[1]).items() if count >= 10]
        rest = [sum(one.values()) - sum(one[token] for token in common) for one in counts]
        rows = np.array([[*[one[token] for token in common], left] for one, left in zip(counts, rest, strict=True)])
        p_values.append(float(chi2_contingency(rows[:, rows.sum(axis=0) > 0])[1]))
    detail = f"chi-squared of the first three tokens, other seeds; p {', '.join(f'{one:.2f}' for one in p_values)}"
    value = min(1.0, min(p_values) * len(p_values))
    return record("same tokens with and without sharing, smallest p (Bonferroni)", value, ">=", 0.01, n, detail)
