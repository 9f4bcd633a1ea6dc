"""One pass of the language model over a corpus: what is stored is taken, the rest is computed, nothing is lost.

Belongs here: the order of reading, computing and storing. Stays out: Dagster, the language model itself, what is kept
of a problem (``extraction_index.py``).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

from ta_assets.core.errors import InputError
from ta_assets.core.traces.spans import UnalignedSentence
from ta_assets.core.traces.storage_estimate import StorageEstimate, block_bytes, in_words
from ta_assets.core.values import CorpusSource, PooledProblem, Problem, Skip
from ta_assets.ledger.fingerprint import fingerprint
from ta_assets.vectors.corpus_index import Entry, MissingNames, MissingTexts, indexed
from ta_resources.language_model.extractor import Extractor
from ta_resources.rollouts.resource import RolloutsResource
from ta_resources.storage.artifacts import Activations
from ta_resources.storage.files import Files
from ta_resources.storage.shards import ShardStore
from ta_resources.storage.vertical_scores import VerticalScoreStore


def resolved_options(
    options: Mapping[str, Any], language_model: Mapping[str, Any], extractor: Extractor
) -> dict[str, Any]:
    """What decides the numbers; not as requested, because "auto" means another dtype on another device."""
    return {
        **options,
        "language_model": language_model,
        "layer": extractor.block if len(extractor.blocks) == 1 else list(extractor.blocks),
        "dtype": extractor.dtype,
    }


@dataclasses.dataclass(frozen=True)
class CorpusExtraction:
    """One pass over a corpus: stored problems are taken, the others go through the language model."""

    source: CorpusSource
    rollouts: RolloutsResource
    shards: Mapping[int, ShardStore]
    """Block -> where its shards lie; the primary block first."""
    vertical: VerticalScoreStore | None
    """Where vertical scores lie; None when they are off."""
    reuse: bool
    log: Callable[[str], None]

    @classmethod
    def of(
        cls,
        source: CorpusSource,
        rollouts: RolloutsResource,
        files: Files,
        resolved: Mapping[str, Any],
        *,
        reuse: bool,
        log: Callable[[str], None],
    ) -> CorpusExtraction:
        """Files are addressed by what decides them: one store a block, so whoever needs this block shares its shard.

        Args:
            source: the corpus.
            rollouts: reads it.
            files: where all artifacts lie.
            resolved: as ``resolved_options`` gives it.
            reuse: take what is stored.
            log: receives progress.
        """
        layer = resolved["layer"]
        blocks = layer if isinstance(layer, list) else [layer]
        vectors = {key: value for key, value in resolved.items() if key != "vertical_attention"}
        shards = {block: ShardStore(files, fingerprint({**vectors, "layer": block})) for block in blocks}
        vertical = None
        if "vertical_attention" in resolved:
            named = ("language_model", "dtype", "bos", "vertical_attention")
            deciding = {key: resolved[key] for key in named if key in resolved}
            vertical = VerticalScoreStore(files, fingerprint({**deciding, "layer": blocks[0]}))
        return cls(source, rollouts, shards, vertical, reuse, log)

    def plan(self, extractor: Extractor, problem_ids: list[int]) -> Plan:
        """What is stored, what must be computed, and how much room that takes.

        Reads every problem once, so that a malformed one is reported before any forward pass.

        Raises:
            InputError: no problem can be read, or the disk has no room for what must be computed.
        """
        plan = Plan({}, {}, [], StorageEstimate(0, 0))
        total = missing = 0
        for problem_id, problem in self.rollouts.read_problems(self.source, problem_ids):
            if isinstance(problem, InputError):
                if len(plan.skipped) + 1 == len(problem_ids):
                    raise problem
                plan.skipped.append(Skip(problem_id, "unusable", str(problem)))
                continue
            names, entry = self._stored(problem)
            n_rows = entry.n_rows or rows_to_store(problem, extractor)
            one = block_bytes(len(problem.sentences), n_rows, extractor.d_model * extractor.storage_bytes)
            total, missing = total + one * len(self.shards), missing + one * len(names.shards)
            plan.entries[problem.problem_id] = entry
            if names.any:
                plan.missing[problem.problem_id] = names
        complete = len(plan.entries) - len(plan.missing)
        if complete:
            self.log(f"{complete} of {len(problem_ids)} problems taken from the store")
        self._require_room(missing)
        return dataclasses.replace(plan, estimate=StorageEstimate(total, missing))

    def run(self, extractor: Extractor, plan: Plan, resolved: dict[str, Any]) -> Activations:
        """Extract, store and index every problem; memory does not grow with their number but for the spans."""
        entries, skipped = dict(plan.entries), list(plan.skipped)
        for skip in skipped:
            self.log(f"problem {skip.problem_id} skipped ({skip.kind}): {skip.reason}")
        texts = MissingTexts(self.rollouts, self.source, list(plan.missing))
        wanted = {problem_id: names.wanted() for problem_id, names in plan.missing.items()}
        for result in extractor.extract(texts, wanted=wanted, log=self.log):
            problem_id, names = result.problem_id, plan.missing[result.problem_id]
            if isinstance(result, Skip):
                self.log(f"problem {problem_id} skipped ({result.kind}): {result.reason}")
                skipped.append(result)
                del entries[problem_id]  # a problem has all of its blocks or none
            elif isinstance(result, PooledProblem):
                shard = self.shards[result.block].write(names.shards[result.block], result)
                entries[problem_id] = entries[problem_id].with_block(shard, result)
            elif self.vertical is not None and names.vertical is not None:
                self.vertical.write(names.vertical, result)
                entries[problem_id] = entries[problem_id].with_vertical(result)
        return indexed(entries, skipped, extractor, resolved)

    def _stored(self, problem: Problem) -> tuple[MissingNames, Entry]:
        """Names of the files that a problem lacks, and what is stored of it."""
        what = (problem.problem_id, problem.trace_text, problem.sentences)
        entry, names = Entry(), MissingNames({})
        for block, shards in self.shards.items():
            name = shards.name(*what)
            found = shards.find(name) if self.reuse else None
            if found is None:
                names.shards[block] = name
            else:
                entry = entry.with_block(*found)
        if self.vertical is None:
            return names, entry
        name = self.vertical.name(*what)
        scores = self.vertical.find(name) if self.reuse else None
        return dataclasses.replace(names, vertical=name if scores is None else None), entry.with_vertical(scores)

    def _require_room(self, missing: int) -> None:
        files = next(iter(self.shards.values())).files
        free = files.free_bytes()
        if free is not None and missing > free:
            expected = f"{in_words(missing)} for activations that are still to be written; free some, or extract less"
            raise InputError(files.place(""), "free space on the disk", in_words(free), expected)


@dataclasses.dataclass(frozen=True)
class Plan:
    """What an extraction will do."""

    entries: dict[int, Entry]
    """Problem id -> what is stored of it."""
    missing: dict[int, MissingNames]
    """Problem id -> what must be computed; problems that lack nothing are left out."""
    skipped: list[Skip]
    """Problems whose files cannot be used."""
    estimate: StorageEstimate


def rows_to_store(problem: Problem, extractor: Extractor) -> int:
    """Vectors that a problem will have at each block, by the tokenizer alone; none when it will be skipped."""
    if extractor.pooling != "tokens":
        return len(problem.sentences)
    if not problem.sentences:
        return 0
    try:
        spans = extractor.tokenizer.align(problem.trace_text, problem.sentences).token_spans
    except UnalignedSentence:
        return 0
    return int((spans[:, 1] - spans[:, 0]).sum())
