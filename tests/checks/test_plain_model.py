"""The language model without any code of the extraction: spans, hidden states, and what it makes of the traces."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from ta_assets.core.values import PooledProblem
from ta_assets.studies.loading import load_studies
from ta_checks.rules.vectors import plain_model as loading
from ta_checks.rules.vectors.likelihood import Likelihood, likelihood
from ta_checks.rules.vectors.model_is_as_stated import model_is_as_stated, weights_sha256
from ta_checks.rules.vectors.model_reads_traces import model_reads_traces
from ta_checks.rules.vectors.plain_forward_agrees import (
    Row,
    blocks_of,
    plain_forward_agrees,
    read,
)
from ta_checks.rules.vectors.plain_model import NotPlain, Reader, library_reader
from ta_checks.rules.vectors.plain_spans import bare, places, span_of, token_ranges
from ta_resources.language_model.capture import resolve_blocks
from ta_resources.language_model.resource import LanguageModelResource
from ta_resources.rollouts.resource import RolloutsResource
from ta_resources.storage.folder import Folder
from ta_resources.storage.shards import ShardStore

STUDY = load_studies("embedded").selected
CORPUS = "embedded_correct"
MODEL = Path(STUDY.extraction_spec(CORPUS).language_model)
PROBLEMS = (1, 2, 3, 4)


def evidence_of(folder: Path, model: Path = MODEL, **spec: Any) -> Any:
    """Four problems of the embedded study as an extraction leaves them, below a folder."""
    asked = STUDY.extraction_spec(CORPUS).model_copy(update={"language_model": str(model), **spec})
    resource, rollouts, source = LanguageModelResource(device="cpu"), RolloutsResource(), STUDY.source(CORPUS)
    files = Folder(folder)
    store, shards = ShardStore(files, "f" * 64), {}
    with resource.open(asked) as extractor:
        texts = ((one.problem_id, one.trace_text, one.sentences) for one in rollouts.load_problems(source, PROBLEMS))
        for one in extractor.extract(texts, log=lambda _: None):
            assert isinstance(one, PooledProblem)
            shard = store.write(f"shards/a/{one.problem_id}-{one.block}.safetensors", one)
            shards.setdefault(str(one.problem_id), {})[str(one.block)] = {"file": shard.file, "sha256": shard.sha256}
        blocks = list(extractor.blocks)
    record = {"blocks": blocks, "extraction": {"dtype": "float32", "language_model": {}}, "shards": shards}
    study = SimpleNamespace(
        models=STUDY.models,
        settings=STUDY.settings,
        settings_of=STUDY.settings_of,
        extraction_spec=lambda _: asked,
    )
    store = SimpleNamespace(files=files)
    world = SimpleNamespace(language_model=resource, rollouts=rollouts, store=store, source=STUDY.source)
    value = SimpleNamespace(record=record)
    return SimpleNamespace(partition=CORPUS, study=study, world=world, value=value)


@pytest.fixture(scope="module")
def healthy(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return evidence_of(tmp_path_factory.mktemp("healthy"))


@pytest.fixture
def broken(healthy: Any, tmp_path: Path) -> Callable[..., Any]:
    """The same vectors beside a model that was changed."""

    def changed(weights: Callable[[str, np.ndarray], np.ndarray] = lambda _, tensor: tensor, **config: Any) -> Any:
        from safetensors.numpy import load_file, save_file

        folder = tmp_path / "model"
        shutil.copytree(MODEL, folder)
        path = folder / "config.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | config), encoding="utf-8")
        path = folder / "model.safetensors"
        tensors = {name: np.ascontiguousarray(weights(name, one)) for name, one in load_file(path).items()}
        save_file(tensors, path, metadata={"format": "pt"})
        spec = STUDY.extraction_spec(CORPUS).model_copy(update={"language_model": str(folder)})
        study = SimpleNamespace(**{**vars(healthy.study), "extraction_spec": lambda _: spec})
        return SimpleNamespace(**{**vars(healthy), "study": study})

    return changed


def judged(evidence: Any) -> Any:
    return plain_forward_agrees(**read(evidence))


@pytest.mark.parametrize(
    "spec", [{"pooling": "last", "layer": [0, 2]}, {"pooling": "tokens", "storage_dtype": "float16"}]
)
def test_stored_vectors_are_those_of_a_plain_forward_pass(tmp_path: Path, spec: dict[str, Any]) -> None:
    verdict = judged(evidence_of(tmp_path, **spec))
    assert (verdict.status, verdict.offenders) == ("passed", ())
    assert verdict.n >= 8


def test_the_mean_of_the_study_passes_and_a_neighbouring_block_or_a_last_token_does_not(
    healthy: Any, tmp_path: Path
) -> None:
    assert judged(healthy).passed
    others: list[dict[str, Any]] = [{"layer": 1}, {"pooling": "last"}]
    for other in others:
        wrong = evidence_of(tmp_path / str(other), **other)
        # the files say that they are what the study asks for
        for files in wrong.value.record["shards"].values():
            files["2"] = next(iter(files.values()))
        record = {**wrong.value.record, "blocks": [2]}
        planted = SimpleNamespace(**{**vars(healthy), "world": wrong.world, "value": SimpleNamespace(record=record)})
        assert judged(planted).status == "failed"


def test_other_blocks_than_the_study_asks_for_fail(healthy: Any) -> None:
    record = {**healthy.value.record, "blocks": [1]}
    verdict = judged(SimpleNamespace(**{**vars(healthy), "value": SimpleNamespace(record=record)}))
    assert verdict.status == "failed"
    assert "the study asks for [2] of 4" in verdict.offenders[0]


@pytest.mark.parametrize("layer", ["mid", "all", 3, 0.58, [0, "mid", 0.9]])
@pytest.mark.parametrize("n_blocks", [4, 7, 50])
def test_layers_mean_the_blocks_that_they_mean_to_the_extraction(layer: Any, n_blocks: int) -> None:
    assert set(blocks_of(layer, n_blocks)) == set(resolve_blocks(layer, n_blocks, ""))


def test_a_model_that_cannot_be_loaded_plainly_is_not_evaluated_and_says_so(
    healthy: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loading, "_free_memory", lambda: 1000)
    verdict = judged(healthy)
    assert (verdict.status, verdict.n) == ("passed", 0)
    assert verdict.message.startswith("not evaluated because the whole of it takes")
    with pytest.raises(NotPlain, match="on cpu"):
        likelihood(healthy)


def test_a_row_that_is_no_number_or_of_another_shape_fails() -> None:
    for stored in (np.array([np.nan, 1.0]), np.ones(3)):
        rows = [Row("a", np.ones(2), np.ones(2)), Row("b", stored, np.ones(2))]
        verdict = plain_forward_agrees(rows, "", storage_dtype="float32", compute_dtype="float32")
        assert (verdict.status, verdict.offenders) == ("failed", ("b: inf",))


TEXT = "Say it. So \u2260 is odd, \U0001f600 too.\n\nWait. Wait. Then 7 + 5 is 12."


def test_spans_from_decoded_text_are_those_of_the_sentences() -> None:
    reader = library_reader(MODEL)
    tokens = reader.encode(TEXT)
    ranges, text = token_ranges(reader, tokens), bare(TEXT)
    assert ranges[-1][1] == len(text)
    sentences = ["So \u2260 is odd, \U0001f600 too.", "Then 7 + 5 is 12."]
    for place, sentence in zip(places(text, [bare(one) for one in sentences], 0), sentences, strict=True):
        assert place is not None
        start, end = span_of(place, ranges)
        assert reader.decode(tokens[start:end]).strip() == sentence


def test_a_sentence_that_may_lie_in_two_places_has_none_and_one_that_is_not_there_is_an_error() -> None:
    assert places("abXcdXef", ["ab", "X", "ef"], 0) == [(0, 2), None, (6, 8)]
    assert places("abXcdXef", ["ab", "X", "cd", "X"], 0) == [(0, 2), (2, 3), (3, 5), (5, 6)]
    with pytest.raises(ValueError, match="not found"):
        places("abXcd", ["cd", "ab"], 0)


def test_tokens_of_one_character_share_its_range() -> None:
    pieces = [b"a", b"\xe2", b"\x89", b"\xa0", b" b"]

    class Bytes:
        def decode(self, tokens: list[int], *, skip_special_tokens: bool) -> str:
            return b"".join(pieces[one] for one in tokens).decode("utf-8", "replace")

    assert token_ranges(Reader(Bytes(), is_library=True), range(5)) == [(0, 1), (1, 2), (1, 2), (1, 2), (2, 3)]


def untrained(name: str, tensor: np.ndarray) -> np.ndarray:
    return np.random.default_rng(len(name)).normal(size=tensor.shape, scale=0.02).astype(tensor.dtype)


def without_a_block(name: str, tensor: np.ndarray) -> np.ndarray:
    lost = "layers.1." in name and ("o_proj" in name or "down_proj" in name)
    return np.zeros_like(tensor) if lost else tensor


def other_ids(name: str, tensor: np.ndarray) -> np.ndarray:
    return tensor[::-1] if "embed_tokens" in name else tensor


def stated(read: Likelihood | None, **given: Any) -> Any:
    facts = {"wrote_traces": True, "pinned": None, "found": None, "reason": "", **given}
    return model_is_as_stated(likelihood=read, **facts)


def test_the_model_that_wrote_the_traces_is_as_surprised_as_it_expects(healthy: Any) -> None:
    found = likelihood(healthy)
    assert found.nats < 0.2
    assert stated(found).passed
    assert model_reads_traces(found, "").passed


@pytest.mark.parametrize(
    ("weights", "config"),
    [
        pytest.param(untrained, {}, id="untrained"),
        pytest.param(without_a_block, {}, id="a block is lost"),
        pytest.param(other_ids, {}, id="words have other ids"),
        pytest.param(
            lambda _, one: one, {"rope_parameters": {"rope_type": "default", "rope_theta": 30.0}}, id="other rotations"
        ),
    ],
)
def test_a_model_that_is_not_whole_cannot_have_written_them(
    broken: Callable[..., Any], weights: Callable[[str, np.ndarray], np.ndarray], config: dict[str, Any]
) -> None:
    verdict = stated(likelihood(broken(weights, **config)))
    assert verdict.status == "failed", verdict.message


def test_a_reader_is_not_asked_to_have_expected_the_traces_but_to_know_more_than_their_tokens() -> None:
    reader = Likelihood(nats=2.0, entropy=1.0, unigram=4.0, n_tokens=300, n_traces=3)
    assert model_reads_traces(reader, "").passed
    assert not stated(reader).passed
    ignorant = Likelihood(nats=6.0, entropy=6.0, unigram=4.0, n_tokens=300, n_traces=3)
    assert not model_reads_traces(ignorant, "").passed
    assert not stated(ignorant).passed
    assert model_reads_traces(None, "it is quantized").message == "not evaluated because it is quantized"


def test_weights_with_another_hash_than_the_pinned_one_fail(healthy: Any, broken: Callable[..., Any]) -> None:
    pinned = weights_sha256(healthy)
    assert stated(None, wrote_traces=False, pinned=pinned, found=pinned).passed
    verdict = stated(None, wrote_traces=False, pinned=pinned, found=weights_sha256(broken(without_a_block)))
    assert verdict.status == "failed"
    assert pinned in verdict.offenders[0]
    assert stated(None, wrote_traces=False).message.startswith("the study says neither")
