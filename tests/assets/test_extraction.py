"""What of a corpus is computed and what is taken from the store, and how much room that takes."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ta_assets.core.errors import InputError
from ta_assets.core.options import ExtractionSpec, VerticalAttention
from ta_assets.core.traces.storage_estimate import in_words
from ta_assets.core.values import CorpusSource
from ta_assets.vectors.corpus_index import MissingNames
from ta_assets.vectors.corpus_pass import CorpusExtraction
from ta_resources.language_model.extractor import Extractor
from ta_resources.language_model.resource import LanguageModelResource
from ta_resources.rollouts.resource import RolloutsResource
from ta_resources.storage.artifacts import Activations
from ta_resources.storage.folder import Folder
from ta_resources.storage.shards import ShardStore, read_shard
from ta_resources.storage.vertical_scores import VerticalScoreStore

EMBEDDED = Path(__file__).resolve().parents[2] / "ta_resources/embedded"
SOURCE = CorpusSource(
    "embedded-clock-qwen2/temperature_0.8_top_p_1.0/correct_base_solution", folder=str(EMBEDDED / "math-rollouts")
)
PROBLEMS = [1, 2, 5, 6]


@dataclasses.dataclass(frozen=True)
class Pass:
    """What one pass over the corpus did."""

    value: Activations
    forwards: int
    missing: dict[int, MissingNames]
    estimated: int
    to_write: int


@dataclasses.dataclass(frozen=True)
class Disk(Folder):
    """A folder on a disk that has so much room; by default what this one has."""

    free: int | None = None

    def free_bytes(self) -> int | None:
        return super().free_bytes() if self.free is None else self.free


@pytest.fixture
def extract(tmp_path: Path) -> Callable[..., Pass]:
    """Layer, pooling and other options -> a pass over four problems into the test's own store."""

    def run(free: int | None = None, reuse: bool = True, **options: Any) -> Pass:
        defaults: dict[str, Any] = {"language_model": str(EMBEDDED / "model"), "storage_dtype": "float32"}
        spec = ExtractionSpec(**(defaults | options))
        with LanguageModelResource(device="cpu").open(spec) as extractor:
            files = Disk(tmp_path, free=free)
            stores = {block: ShardStore(files, f"{spec.pooling}{block}".ljust(64, "-")) for block in extractor.blocks}
            scores = VerticalScoreStore(files, f"{spec.vertical_attention}") if spec.scored_attention else None
            extraction = CorpusExtraction(SOURCE, RolloutsResource(), stores, scores, reuse, print)
            calls: list[int] = []
            model: Any = extractor._loaded and extractor._loaded.model
            model.register_forward_pre_hook(lambda *_: calls.append(1))
            plan = extraction.plan(extractor, PROBLEMS)
            value = extraction.run(extractor, plan, {})
        return Pass(value, len(calls), plan.missing, plan.estimate.total, plan.estimate.missing)

    return run


def stored_bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*.safetensors"))


@pytest.fixture
def times(tmp_path: Path) -> Callable[[], dict[str, int]]:
    return lambda: {path.name + path.parent.name: path.stat().st_mtime_ns for path in tmp_path.rglob("*.safetensors")}


def test_a_block_that_is_stored_is_kept_and_the_others_come_out_of_one_forward(
    extract: Callable[..., Pass], times: Callable[[], dict[str, int]]
) -> None:
    assert extract(layer=1).forwards == len(PROBLEMS)
    before = times()
    second = extract(layer=[0, 1, 2])
    assert second.forwards == len(PROBLEMS)
    assert {tuple(names.shards) for names in second.missing.values()} == {(0, 2)}
    assert second.value.record["block"] == 0
    assert second.value.record["blocks"] == [0, 1, 2]
    assert {tuple(of) for of in second.value.record["shards"].values()} == {("0", "1", "2")}
    assert before.items() <= times().items()
    assert extract(layer=[2, 0]).forwards == 0


def test_one_lost_shard_is_computed_alone(extract: Callable[..., Pass], tmp_path: Path) -> None:
    first = extract(layer=[1, 3])
    lost = tmp_path / first.value.shards_of(3)[PROBLEMS[1]].file
    lost.unlink()
    second = extract(layer=[1, 3])
    assert second.forwards == 1
    assert list(second.missing) == [PROBLEMS[1]]
    assert second.value.record == first.value.record
    assert second.value.spans.equals(first.value.spans)


def test_without_reuse_all_is_computed_again(extract: Callable[..., Pass]) -> None:
    first, again = extract(layer=[0, 1]), extract(layer=[0, 1], reuse=False)
    assert again.forwards == len(PROBLEMS)
    assert again.value.record == first.value.record


def test_a_problem_has_all_of_its_blocks_or_is_skipped(extract: Callable[..., Pass], tmp_path: Path) -> None:
    extract(layer=1)
    short = Path(shutil.copytree(EMBEDDED / "model", tmp_path / "model"))
    (short / "tokenizer_config.json").write_text('{"model_max_length": 1}')
    value = extract(layer=[1, 2], language_model=str(short)).value
    assert value.record["shards"] == {}
    assert [skip["kind"] for skip in value.record["skipped"]] == ["context_length"] * len(PROBLEMS)
    assert len(value.spans) == 0


def test_stored_tokens_have_the_rows_of_every_sentence(extract: Callable[..., Pass], tmp_path: Path) -> None:
    value = extract(pooling="tokens").value
    for problem_id, shard in value.shards.items():
        pooled = read_shard(Folder(tmp_path), shard)
        assert pooled.offsets is not None
        counts = value.spans.loc[value.spans["problem_id"] == problem_id, "token_count"].to_numpy()
        np.testing.assert_array_equal(np.diff(pooled.offsets), counts)
        assert len(pooled.vectors) == counts.sum()


def test_vertical_scores_take_no_pass_of_their_own_and_are_kept(extract: Callable[..., Pass], tmp_path: Path) -> None:
    together = extract(layer=[1, 2], vertical_attention=VerticalAttention(mode="light"))
    assert together.forwards == len(PROBLEMS)
    spans = together.value.spans
    assert spans["vertical_score"].dtype == np.float32
    assert set(spans["vertical_attention_mode_used"]) == {"light"}
    assert extract(layer=[1, 2], vertical_attention=VerticalAttention(mode="light")).forwards == 0
    (damaged, *_) = sorted(tmp_path.rglob("vertical_scores/**/*.json"))
    damaged.write_text(damaged.read_text().replace("light", "heavy"))
    again = extract(layer=[1, 2], vertical_attention=VerticalAttention(mode="light"))
    assert again.forwards == 1
    assert again.value.spans.equals(spans)
    assert again.value.record == together.value.record


def test_vectors_that_are_stored_are_kept_when_scores_are_asked_for(
    extract: Callable[..., Pass], times: Callable[[], dict[str, int]]
) -> None:
    without = extract(layer=[1, 0])
    before = times()
    done = extract(layer=[1, 0], vertical_attention=VerticalAttention(mode="full"))
    assert done.forwards == len(PROBLEMS)
    assert times() == before
    assert done.to_write == 0
    assert done.value.record == without.value.record
    assert done.value.spans[list(without.value.spans)].equals(without.value.spans)


@pytest.mark.parametrize("options", [{}, {"layer": "all", "storage_dtype": "float16"}, {"pooling": "tokens"}])
def test_the_estimate_covers_what_is_then_written_and_not_much_more(
    extract: Callable[..., Pass], tmp_path: Path, options: dict[str, Any]
) -> None:
    done = extract(**options)
    assert done.estimated == done.to_write
    assert stored_bytes(tmp_path) < done.estimated < 1.35 * stored_bytes(tmp_path)
    assert extract(**options).to_write == 0


def test_what_is_stored_already_needs_no_room(extract: Callable[..., Pass], tmp_path: Path) -> None:
    first = extract(layer=0)
    second = extract(layer=[0, 1], free=first.estimated)
    assert (second.estimated, second.to_write) == (2 * first.estimated, first.estimated)


def test_a_disk_without_room_is_refused_with_both_figures_before_any_forward(
    extract: Callable[..., Pass], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Extractor, "extract", lambda *_, **__: pytest.fail("a forward pass was begun"))
    with pytest.raises(InputError) as caught:
        extract(layer="all", pooling="tokens", free=1536)
    assert "1.50 KiB" in str(caught.value)
    assert "KiB for activations" in caught.value.expected or "MiB for activations" in caught.value.expected
    assert stored_bytes(tmp_path) == 0


def test_free_room_is_that_of_the_disk_also_of_a_folder_that_is_not_there_yet(tmp_path: Path) -> None:
    assert Folder(tmp_path / "not" / "there").free_bytes() == pytest.approx(shutil.disk_usage(tmp_path).free, rel=0.1)


@pytest.mark.parametrize(
    ("n_bytes", "words"),
    [
        (0, "0.00 B"),
        (1023, "1023.00 B"),
        (1536, "1.50 KiB"),
        (728 * 2**20, "728.00 MiB"),
        (1.45 * 2**30, "1.45 GiB"),
        (5000 * 2**40, "5000.00 TiB"),
    ],
)
def test_bytes_are_said_in_the_largest_unit_with_two_decimals(n_bytes: float, words: str) -> None:
    assert in_words(n_bytes) == words
