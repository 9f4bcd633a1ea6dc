"""Faults in the activations: what is pooled, from which block, model and text, and what becomes of it on the disk."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from ta_assets.core.traces import pooling, spans
from ta_assets.core.values import PooledProblem
from ta_assets.vectors import corpus_pass as extraction
from ta_resources.language_model import extractor, forward
from ta_resources.storage.artifacts import Activations
from ta_resources.storage.shards import ShardStore, read_shard
from tests.proof.faults import Fault
from tests.proof.faults.planting import edit_json, extract_wrong, make_wrong, replace
from tests.proof.world import CORPUS, World

Pooled = Mapping[int, PooledProblem]
MATCH, SOUND, SPANS, SKIPPED = "activations_match_text", "vectors_are_sound", "span_integrity", "zero_skipped_problems"


def _stored(edit: Callable[[PooledProblem, Pooled], PooledProblem]) -> Callable[[World], None]:
    """Every problem is stored as ``edit`` makes it."""

    def plant(world: World) -> None:
        files = world.store.files

        def rewritten(value: Activations) -> Activations:
            shards = ShardStore(files, "f" * 64)
            pooled = {problem: read_shard(files, shard) for problem, shard in value.shards.items()}
            record = json.loads(json.dumps(value.record))
            for problem, one in pooled.items():
                shard = shards.write(f"shards/planted/{problem}.safetensors", edit(one, pooled))
                record["shards"][str(problem)] = {str(one.block): dataclasses.asdict(shard)}
            return dataclasses.replace(value, record=record)

        make_wrong(world, "activations", CORPUS, rewritten)

    return plant


def _vectors(edit: Callable[[np.ndarray], np.ndarray]) -> Callable[[World], None]:
    return _stored(lambda one, _: dataclasses.replace(one, vectors=edit(one.vectors)))


def _one_cell(value: float) -> Callable[[World], None]:
    """One coordinate of one row of one problem."""

    def edit(one: PooledProblem, pooled: Pooled) -> PooledProblem:
        vectors = one.vectors.copy()
        if one.problem_id == max(pooled):
            vectors[2, 5] = value
        return dataclasses.replace(one, vectors=vectors)

    return _stored(edit)


def next_problem(one: PooledProblem, pooled: Pooled) -> PooledProblem:
    """The rows of another problem, as many as there should be."""
    ordered = sorted(pooled)
    other = pooled[ordered[(ordered.index(one.problem_id) + 1) % len(ordered)]].vectors
    return dataclasses.replace(one, vectors=np.resize(other, one.vectors.shape))


def _shuffled_across(one: PooledProblem, pooled: Pooled) -> PooledProblem:
    """Every row is drawn from all problems."""
    every = np.concatenate([pooled[problem].vectors for problem in sorted(pooled)])
    rows = np.random.default_rng(one.problem_id).choice(len(every), size=len(one.vectors), replace=False)
    return dataclasses.replace(one, vectors=every[rows])


def _position_inside(vectors: np.ndarray) -> np.ndarray:
    leaked = vectors.copy()
    leaked[:, 0] += np.arange(len(vectors)) * float(np.abs(vectors).mean())
    return leaked


def _twice(vectors: np.ndarray) -> np.ndarray:
    doubled = vectors.copy()
    doubled[1::2] = doubled[: 2 * (len(doubled) // 2) : 2]
    return doubled


def _eight_bits(vectors: np.ndarray) -> np.ndarray:
    """Rounded to 8 levels each way of the largest coordinate."""
    step = np.abs(vectors).max() / 8
    return (np.round(vectors / step) * step).astype(vectors.dtype)


def _labels_inside(world: World) -> None:
    table = world.store.load("sentences", CORPUS)
    anchors = {
        problem: own.sort_values("chunk_idx")["anchor"].to_numpy() for problem, own in table.groupby("problem_id")
    }

    def edit(one: PooledProblem, _: Pooled) -> PooledProblem:
        vectors, own = one.vectors.copy(), anchors[one.problem_id]
        vectors[: len(own), -1] = own * float(np.abs(vectors).max())
        return dataclasses.replace(one, vectors=vectors)

    _stored(edit)(world)


def _lose(edit: Callable[[dict[str, Any]], None]) -> Callable[[World], None]:
    def plant(world: World) -> None:
        def lost(value: Activations) -> Activations:
            record = json.loads(json.dumps(value.record))
            edit(record)
            return dataclasses.replace(value, record=record)

        make_wrong(world, "activations", CORPUS, lost)

    return plant


def _index_shifted(world: World) -> None:
    """The table of spans, not the shards, is off by one token."""
    make_wrong(
        world,
        "activations",
        CORPUS,
        lambda value: dataclasses.replace(
            value,
            spans=value.spans.assign(
                token_start=value.spans["token_start"] + 1, token_end=value.spans["token_end"] + 1
            ),
        ),
    )


def _spans(edit: Callable[[np.ndarray, int], np.ndarray]) -> Callable[[World], None]:
    """Alignment gives other token spans; ``edit`` gets them and the number of tokens."""

    def plant(world: World) -> None:
        right = spans.token_spans

        def wrong(characters: np.ndarray, offsets: np.ndarray) -> np.ndarray:
            found = edit(right(characters, offsets).copy(), len(offsets))
            found[:, 0] = np.clip(found[:, 0], 0, len(offsets) - 1)
            found[:, 1] = np.clip(found[:, 1], found[:, 0] + 1, len(offsets))
            return found

        extract_wrong(world, spans, "token_spans", wrong)

    return plant


def _with_prompt(found: np.ndarray, _: int) -> np.ndarray:
    found[0, 0] = 0
    return found


def _from_the_start(found: np.ndarray, _: int) -> np.ndarray:
    """Each sentence with all that came before it."""
    found[:, 0] = found[0, 0]
    return found


def _another_block(shift: int) -> Callable[[World], None]:
    """The hook sits on a neighbouring block; the record says what was asked for."""

    def plant(world: World) -> None:
        right = forward.capture_blocks

        def hooked(model: Any, blocks: Any, keep: Any) -> Any:
            return right(model, [block + shift for block in blocks], lambda block, hidden: keep(block - shift, hidden))

        extract_wrong(world, forward, "capture_blocks", hooked)

    return plant


def _last_token(world: World) -> None:
    extract_wrong(world, pooling.SpanPooler, "_pooled", lambda self, tokens: tokens[-1].float())


def _sum_of_tokens(world: World) -> None:
    extract_wrong(world, pooling.SpanPooler, "_pooled", lambda self, tokens: tokens.float().sum(dim=0))


def _one_token_late(world: World) -> None:
    """Spans are right, but a special token in front moved the hidden states."""
    feed = pooling.SpanPooler.feed
    extract_wrong(world, pooling.SpanPooler, "feed", lambda self, hidden: feed(self, hidden.roll(1, dims=0)))


def _wrong_model_cache(world: World) -> None:
    """The cache's key forgets the model; then the model changes."""
    right = extraction.fingerprint

    def blind(value: Any) -> str:
        return right({key: item for key, item in value.items() if key != "language_model"})

    replace(extraction, "fingerprint", blind)
    world.make("activations", CORPUS)
    change_weights(world, lambda name, tensor: tensor * 1.1)


def _wrong_text_cache(world: World) -> None:
    """The cache's key forgets the text; then the prompts change."""
    replace(ShardStore, "name", lambda self, problem_id, text, sentences: f"shards/blind/{problem_id}.safetensors")
    world.make("activations", CORPUS)
    for folder in world.problems(CORPUS):
        edit_json(
            folder / "base_solution.json", lambda content: {**content, "full_cot": "Hint: 7. " + content["full_cot"]}
        )
    world.forget()


def change_weights(world: World, edit: Callable[[str, np.ndarray], np.ndarray]) -> None:
    """Rewrite the weights of the world's model."""
    from safetensors.numpy import load_file, save_file

    path = world.model / "model.safetensors"
    save_file({name: edit(name, one) for name, one in load_file(path).items()}, path, metadata={"format": "pt"})
    world.forget()


def _collapsed_model(world: World) -> None:
    """The embeddings of all tokens are nearly the same, so every hidden state is."""

    def edit(name: str, tensor: np.ndarray) -> np.ndarray:
        if not name.endswith("embed_tokens.weight"):
            return tensor
        noise = np.random.default_rng(0).normal(size=tensor.shape) * np.abs(tensor).mean()
        return (np.abs(tensor).mean() * 10 + 0.001 * noise).astype(tensor.dtype)

    change_weights(world, edit)


def _overflow(world: World) -> None:
    """Half precision without a look at what did not fit."""
    import torch

    def storable(loaded: Any, job: Any, block: int, pooled: Any) -> np.ndarray:
        return (pooled * 1e5).to(torch.float16).cpu().numpy()

    world.change_study(extraction={"storage_dtype": "float16"})
    extract_wrong(world, forward, "_storable", storable)


def _too_large_for_storage(world: World) -> None:
    """A model with coordinates beyond half precision."""
    world.change_study(extraction={"storage_dtype": "float16"})
    change_weights(world, lambda name, tensor: tensor * 1e8 if name.endswith("embed_tokens.weight") else tensor)


def _too_long(world: World) -> None:
    """A trace that the model cannot read."""
    folder = world.problems(CORPUS)[-1]
    edit_json(
        folder / "base_solution.json",
        lambda content: {**content, "full_cot": content["full_cot"] + " and so on" * 2000},
    )


def _sentence_elsewhere(world: World) -> None:
    """A sentence of the labels does not occur in its trace."""
    folder = world.problems(CORPUS)[-1]
    edit_json(
        folder / "chunks_labeled.json",
        lambda chunks: [
            {**chunk, "chunk": "Nobody ever said this."} if index == 1 else chunk for index, chunk in enumerate(chunks)
        ],
    )


def _out_of_memory(world: World) -> None:
    """Reading one problem takes more memory than there is, whenever it is tried again."""
    healthy = extractor.read
    victim = max(int(folder.name.rpartition("_")[2]) for folder in world.problems(CORPUS))

    def read(loaded: Any, job: Any, size: int) -> Any:
        if job.problem_id == victim:
            raise RuntimeError("out of memory")
        return healthy(loaded, job, size)

    replace(extractor, "read", read)
    # else the next try takes what was stored before there was too little memory
    (world.store.local_folder / world.store.load("activations", CORPUS).shards[victim].file).unlink()
    world.make("activations", CORPUS, {"reuse": False})


FAULTS = (
    *(
        Fault(name, MATCH, "activations", plant)
        for name, plant in (
            ("rows are in reverse order within a problem", _vectors(lambda v: v[::-1].copy())),
            ("rows are shifted by one sentence", _vectors(lambda v: np.roll(v, 1, axis=0))),
            ("rows are shuffled across problems", _stored(_shuffled_across)),
            ("rows are those of the next problem", _stored(next_problem)),
            ("the position leaks into the vectors", _vectors(_position_inside)),
            ("the labels leak into the vectors", _labels_inside),
            ("vectors are scaled by one percent and a half", _vectors(lambda v: v * np.float32(1.015))),
            ("vectors are rounded to a few levels", _vectors(_eight_bits)),
            ("the hook is on the block below", _another_block(-1)),
            ("the last token is taken for the mean", _last_token),
            ("tokens are summed up, not averaged", _sum_of_tokens),
            ("hidden states are one token late", _one_token_late),
            ("vectors are those of the model before it changed", _wrong_model_cache),
            ("vectors are those of the prompts before they changed", _wrong_text_cache),
        )
    ),
    *(
        # such a shard is refused by whoever reads it, so the check cannot be evaluated
        Fault(name, SOUND, "activations", plant, status="errored")
        for name, plant in (
            ("a NaN in one row", _one_cell(float("nan"))),
            ("an infinity in one row", _one_cell(float("inf"))),
            ("half precision overflows", _overflow),
            ("a problem has a vector too few", _vectors(lambda v: v[:-1].copy())),
        )
    ),
    *(
        Fault(name, SOUND, "activations", plant)
        for name, plant in (
            ("all vectors are the same", _vectors(np.ones_like)),
            ("all vectors are zero", _vectors(np.zeros_like)),
            ("every other row repeats the one before", _vectors(_twice)),
            ("vectors are stored in half precision against the study", _vectors(lambda v: v.astype(np.float16))),
            ("vectors have lost half of their width", _vectors(lambda v: v[:, : v.shape[1] // 2].copy())),
        )
    ),
    *(
        Fault(name, SPANS, "activations", plant)
        for name, plant in (
            ("the prompt is part of the first sentence", _spans(_with_prompt)),
            ("every sentence begins with the first", _spans(_from_the_start)),
            ("spans are one token late", _spans(lambda found, _: found + 1)),
            ("spans are one token early", _spans(lambda found, _: found - 1)),
            ("the last token of every sentence is dropped", _spans(lambda found, _: found - np.array([0, 1]))),
            ("the first token of every sentence is dropped", _spans(lambda found, _: found + np.array([1, 0]))),
            ("every sentence takes the token before it", _spans(lambda found, _: found - np.array([1, 0]))),
            ("every sentence takes the token behind it", _spans(lambda found, _: found + np.array([0, 1]))),
            ("the index of spans is off by one token", _index_shifted),
        )
    ),
    *(
        Fault(name, SKIPPED, "activations", plant)
        for name, plant in (
            ("a problem is lost without a word", _lose(lambda record: record["shards"].popitem())),
            ("a trace is longer than the model's context", _too_long),
            ("a sentence does not occur in its trace", _sentence_elsewhere),
            ("coordinates do not fit half precision", _too_large_for_storage),
            ("a problem runs out of memory at every try", _out_of_memory),
        )
    ),
    Fault("the model's embeddings have collapsed", "overfit_memorization", "probe_metrics", _collapsed_model),
)
