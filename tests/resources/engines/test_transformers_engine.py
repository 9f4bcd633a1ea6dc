"""The engine in this process, with the embedded model: shared prefixes, rows of their own, limits and ends."""

from __future__ import annotations

import json
import os
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy.stats import chi2_contingency
from transformers import MistralConfig, MistralForCausalLM

from ta_assets.core.campaign.records import FinishReason, Sampling
from ta_assets.core.errors import InputError
from ta_resources.embedded import task
from ta_resources.engines.nucleus import Streams, draw
from ta_resources.engines.transformers_engine import TransformersEngine

MODEL = Path(task.__file__).parent / "model"
PROMPT = "Problem: A clock of 12 hours shows 5. 1) +3. 2) -4. 3) -2. What does it show? Solution:"
LIMIT = 80
SAMPLING = Sampling(temperature=0.8, top_p=1.0, max_total_tokens=LIMIT)


@pytest.fixture(scope="module")
def engine() -> TransformersEngine:
    return TransformersEngine.open(str(MODEL), device="cpu")


def test_a_completion_is_that_of_its_seed_whatever_is_sampled_beside_it(engine: TransformersEngine) -> None:
    prefix = engine.encode(PROMPT)
    together = engine.sample(prefix, range(12), SAMPLING)
    alone = [engine.sample(prefix, [seed], SAMPLING)[0] for seed in (3, 11)]
    assert alone == [together[3], together[11]]
    assert len({one.text for one in together}) > 6


def test_tokens_text_and_counts_agree(engine: TransformersEngine) -> None:
    prefix = engine.encode(PROMPT)
    for one in engine.sample(prefix, range(8), SAMPLING):
        assert one.text == engine.decode(one.token_ids)
        assert one.prompt_tokens == len(prefix)
        ended = one.finish_reason == FinishReason.STOP
        assert one.generated_tokens == len(one.token_ids) + ended
        assert ended or one.generated_tokens == LIMIT - len(prefix)


def test_a_prefix_is_read_once_and_its_continuation_from_there(engine: TransformersEngine) -> None:
    prefix = engine.encode(PROMPT)
    whole = [*prefix, *engine.sample(prefix, [0], SAMPLING)[0].token_ids]
    places = [len(prefix), len(prefix) + 8, len(prefix) + 20]
    fresh = [
        TransformersEngine.open(str(MODEL), device="cpu").sample(whole[:one], range(4), SAMPLING) for one in places
    ]
    own = TransformersEngine.open(str(MODEL), device="cpu")
    shared = [own.sample(whole[:one], range(4), SAMPLING) for one in places]
    assert shared == fresh
    assert own.work.prompt_tokens == places[-1]
    # back to the beginning, and to another text
    assert own.sample(whole[: places[0]], range(4), SAMPLING) == fresh[0]
    assert own.work.prompt_tokens == places[-1] + 1
    other = own.encode(PROMPT.replace("shows 5", "shows 7"))
    assert own.sample(other, range(4), SAMPLING) == TransformersEngine.open(str(MODEL)).sample(
        other, range(4), SAMPLING
    )


def _without_cache(model: Any, prefix: list[int], seed: int, sampling: Sampling, ends: set[int]) -> tuple[int, ...]:
    """Tokens by reading the whole text anew for each of them."""
    stream, ids = Streams([seed]), list(prefix)
    with torch.inference_mode():
        while len(ids) < sampling.max_total_tokens:
            logits = model(torch.tensor([ids])).logits[:, -1]
            token = int(draw(logits, stream.next(), sampling.temperature, sampling.top_p))
            if token in ends:
                break
            ids.append(token)
    return tuple(ids[len(prefix) :])


def _tiny(engine: TransformersEngine, sliding: int | None) -> TransformersEngine:
    """Random weights, with attention that sees the last few tokens alone, or all."""
    torch.manual_seed(0)
    config = MistralConfig(
        vocab_size=engine._model.config.vocab_size,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        sliding_window=sliding,
        max_position_embeddings=256,
    )
    return TransformersEngine(MistralForCausalLM(config).eval(), engine._tokenizer, {}, [3])


@pytest.mark.parametrize("sliding", [None, 8], ids=["all", "sliding"])
def test_caches_change_nothing_of_what_is_sampled(engine: TransformersEngine, sliding: int | None) -> None:
    own, prefix = _tiny(engine, sliding), engine.encode(PROMPT)
    sampling = Sampling(temperature=1.0, top_p=0.9, max_total_tokens=len(prefix) + 14)
    for length in (12, len(prefix), 17):
        found = own.sample(prefix[:length], [1, 2, 3], sampling)
        expected = [_without_cache(own._model, prefix[:length], seed, sampling, {3}) for seed in (1, 2, 3)]
        assert [one.token_ids for one in found] == expected


def test_few_rows_at_once_give_the_same(engine: TransformersEngine) -> None:
    few = TransformersEngine.open(str(MODEL), device="cpu")
    few.rows = 3
    prefix = engine.encode(PROMPT)
    assert few.sample(prefix, range(8), SAMPLING) == engine.sample(prefix, range(8), SAMPLING)


def test_rows_are_halved_where_memory_does_not_do(engine: TransformersEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    own = TransformersEngine.open(str(MODEL), device="cpu")
    model, prefix = own._model, own.encode(PROMPT)

    class Narrow:
        device, dtype, config = model.device, model.dtype, model.config

        def __call__(self, ids, **more):
            if len(ids) > 2:
                raise torch.cuda.OutOfMemoryError("out of memory")
            return model(ids, **more)

    own._model = Narrow()
    assert own.sample(prefix, range(8), SAMPLING) == engine.sample(prefix, range(8), SAMPLING)
    assert own.rows == 2


def test_the_next_token_has_the_models_own_chances(engine: TransformersEngine) -> None:
    prefix = engine.encode(PROMPT)
    n, short = 3000, Sampling(temperature=0.8, top_p=1.0, max_total_tokens=len(prefix) + 1)
    tokens = Counter(one.token_ids[0] for one in engine.sample(prefix, range(n), short))
    with torch.inference_mode():
        logits = engine._model(torch.tensor([prefix])).logits[0, -1]
    chances = torch.softmax(logits.double() / 0.8, dim=-1).numpy()
    likely = [token for token in np.argsort(-chances) if chances[token] * n > 10]
    observed = [tokens[token] for token in likely]
    wanted = [round(float(chances[token]) * n) for token in likely]
    assert float(chi2_contingency([observed, wanted])[1]) > 0.001


@pytest.mark.parametrize(
    ("sampling", "prefix", "named"),
    [
        (SAMPLING, "", "at least one"),
        (Sampling(max_total_tokens=2), PROMPT, "room"),
        (Sampling(max_total_tokens=1_000_000), PROMPT, "context"),
    ],
)
def test_what_leaves_no_room_is_refused(engine: TransformersEngine, sampling, prefix: str, named: str) -> None:
    with pytest.raises(InputError, match=named):
        engine.sample(engine.encode(prefix), [0], sampling)


def _copy(folder: Path, **changes: object) -> Path:
    made = folder / "model"
    shutil.copytree(MODEL, made)
    for name in ("config.json", "generation_config.json"):
        path = made / name
        if path.exists():
            content = json.loads(path.read_text(encoding="utf-8"))
            path.write_text(json.dumps({**content, **changes}), encoding="utf-8")
    return made


def test_a_model_without_an_end_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="ends a text"):
        TransformersEngine.open(str(_copy(tmp_path, eos_token_id=None)), device="cpu")


@pytest.mark.parametrize("wrong", ["</s>", [1, "2"], True, -1])
def test_an_end_that_is_no_id_is_refused(tmp_path: Path, wrong: object) -> None:
    folder = _copy(tmp_path)
    (folder / "generation_config.json").write_text(json.dumps({"eos_token_id": wrong}), encoding="utf-8")
    with pytest.raises(InputError, match="id of a token"):
        TransformersEngine.open(str(folder), device="cpu")


def test_the_identity_is_of_content_and_not_of_place(engine: TransformersEngine, tmp_path: Path) -> None:
    copied = TransformersEngine.open(str(_copy(tmp_path)), device="cpu")
    same = {**copied.identity(), "model": None} == {**engine.identity(), "model": None}
    assert same
    assert str(tmp_path) not in json.dumps(copied.identity())
    assert json.dumps(engine.identity(), sort_keys=True)


@pytest.mark.real_model
def test_a_real_model_writes_text_and_reads_its_prefix_once() -> None:
    folder = os.environ.get("TA_SMOLLM2")
    if folder is None:
        pytest.skip("TA_SMOLLM2 names no folder of SmolLM2")
    own = TransformersEngine.open(folder, device="cpu")
    prefix = own.encode("The capital of France is")
    found = own.sample(prefix, range(4), Sampling(max_total_tokens=len(prefix) + 12))
    assert own.work.prompt_tokens == len(prefix)
    assert any("Paris" in one.text for one in found)
    assert all(one.text == own.decode(one.token_ids) for one in found)
