"""vLLM: a clear error where it is not, and the call that it gets where something stands in for it."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from ta_assets.core.campaign.records import FinishReason, Sampling
from ta_assets.core.errors import InputError
from ta_resources.embedded import task
from ta_resources.engines.vllm_offline import VllmOffline

MODEL = str(Path(task.__file__).parent / "model")


def test_without_vllm_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "vllm", None)
    with pytest.raises(InputError, match="extra"):
        VllmOffline.open(MODEL)


def test_prefixes_go_in_as_ids_with_a_seed_a_request_and_ids_come_out(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: dict[str, Any] = {}

    class StandIn:
        def __init__(self, **options: Any) -> None:
            calls["options"] = options

        def generate(self, prompts: list[dict[str, Any]], wanted: list[Any], use_tqdm: bool) -> list[Any]:
            calls["prompts"], calls["wanted"] = prompts, wanted
            ends = wanted[0].stop_token_ids
            given = [([5, 6, *ends[:1]], "stop"), ([5, 6, 7, 8], "length"), ([5], "abort")]
            return [SimpleNamespace(outputs=[SimpleNamespace(token_ids=ids, finish_reason=why)]) for ids, why in given]

    module = ModuleType("vllm")
    module.LLM, module.SamplingParams = StandIn, lambda **options: SimpleNamespace(**options)  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "vllm", module)
    engine = VllmOffline.open(MODEL, options={"gpu_memory_utilization": 0.5, "trust_remote_code": True})
    assert calls["options"]["trust_remote_code"] is False
    stop, length, failed = engine.sample([1, 2, 3], [11, 12, 13], Sampling(max_total_tokens=7))
    assert calls["prompts"] == [{"prompt_token_ids": [1, 2, 3]}] * 3
    assert [one.seed for one in calls["wanted"]] == [11, 12, 13]
    assert {one.max_tokens for one in calls["wanted"]} == {4}
    assert (stop.token_ids, stop.generated_tokens, stop.finish_reason) == ((5, 6), 3, FinishReason.STOP)
    assert (length.token_ids, length.generated_tokens, length.finish_reason) == ((5, 6, 7, 8), 4, FinishReason.LENGTH)
    assert failed.finish_reason == FinishReason.ERROR
    assert stop.text == engine.decode((5, 6))
