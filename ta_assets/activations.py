"""The activations of a corpus: every sentence's pooled vector, written problem by problem."""

import dataclasses
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import dagster as dg
import numpy as np
import pandas as pd
from pydantic import Field

from ta_assets import runs
from ta_assets.core.values import PooledProblem, Problem, Skip
from ta_assets.partitions import Partitions
from ta_assets.plots import markdown_table
from ta_assets.problems import union
from ta_assets.provenance import World, extraction_options, fingerprint, output
from ta_resources.language_model import Extractor, LanguageModelResource
from ta_resources.rollouts import RolloutsResource
from ta_resources.shards import Shard, ShardStore
from ta_resources.storage import Activations, ArtifactStore

GPU_POOL = "gpu"


class ActivationsConfig(dg.Config):
    """How a corpus is extracted."""

    reuse: bool = Field(
        default=True,
        description="Take vectors that an earlier run already stored for the same model, block, dtype and text. "
        "Turn it off to compute everything again, for example after activations_match_text failed.",
    )


def build(partitions: Partitions) -> list[dg.AssetsDefinition]:
    """The asset ``activations``."""
    studies = partitions.studies

    @dg.asset(
        partitions_def=partitions.corpus,
        ins={
            "problem_ids": dg.AssetIn(partition_mapping=partitions.setting_to_corpus, metadata={"collect": True}),
        },
        pool=GPU_POOL,
        code_version="1",
        group_name="activations",
    )
    def activations(
        context: dg.AssetExecutionContext,
        config: ActivationsConfig,
        problem_ids: dict[str, list[int]],
        rollouts: RolloutsResource,
        language_model: LanguageModelResource,
        store: ArtifactStore,
    ) -> dg.Output[Activations]:
        """Mean of the residual stream over each sentence's tokens, of all sentences of a corpus.

        Depends on texts and extraction options only, never on labels or splits. Written problem by problem, so a
        killed run goes on where it stopped; what could not be extracted is recorded as skipped.
        """
        corpus = context.partition_key
        study = studies.by_corpus[corpus]
        spec = study.extraction_spec(corpus)
        made_from = World(studies, rollouts, language_model).made_from("activations", corpus)
        problems = rollouts.load_problems(study.source(corpus), union(problem_ids))
        # a killed process must not keep the pool's one slot for ever
        context.instance.add_run_tags(context.run_id, runs.owner_tags())
        with language_model.open(spec) as extractor:
            # resolved, not requested: "auto" means another dtype on another device
            resolved = {
                **extraction_options(spec),
                "language_model": made_from["language_model"],
                "layer": extractor.block,
                "dtype": extractor.dtype,
            }
            shards = ShardStore(store.base, fingerprint(resolved))
            extraction = CorpusExtraction(extractor, shards, config.reuse, context.log.info)
            value = extraction.run(problems, resolved)
            facts = {"device": extractor.device_name, "block": extractor.block, "d_model": extractor.d_model}
        return output(value, made_from, {**facts, **_facts(value)})

    return [activations]


@dataclasses.dataclass(frozen=True)
class CorpusExtraction:
    """One pass over a corpus: stored problems are taken, the others go through the language model."""

    extractor: Extractor
    shards: ShardStore
    reuse: bool
    log: Callable[[str], None]

    def run(self, problems: Iterator[Problem], resolved: dict[str, Any]) -> Activations:
        """Extract, store and index every problem; memory does not grow with their number but for the spans."""
        names: dict[int, str] = {}
        entries: dict[int, tuple[Shard, pd.DataFrame, int]] = {}
        skipped: list[Skip] = []
        n_reused = 0

        def missing() -> Iterator[tuple[int, str, Sequence[str]]]:
            nonlocal n_reused
            for problem in problems:
                name = self.shards.name(problem.problem_id, problem.trace_text, problem.sentences)
                found = self.shards.find(name) if self.reuse else None
                if found is None:
                    names[problem.problem_id] = name
                    yield problem.problem_id, problem.trace_text, problem.sentences
                else:
                    n_reused += 1
                    shard, pooled = found
                    entries[problem.problem_id] = (shard, _spans(pooled), pooled.n_tokens)

        for result in self.extractor.extract(missing(), log=self.log):
            if isinstance(result, Skip):
                self.log(f"problem {result.problem_id} skipped ({result.kind}): {result.reason}")
                skipped.append(result)
            else:
                shard = self.shards.write(names.pop(result.problem_id), result)
                entries[result.problem_id] = (shard, _spans(result), result.n_tokens)
        if n_reused:
            self.log(f"{n_reused} problems taken from the store")
        return _indexed(entries, skipped, self.extractor, resolved)


def _indexed(
    entries: dict[int, tuple[Shard, pd.DataFrame, int]],
    skipped: list[Skip],
    extractor: Extractor,
    resolved: dict[str, Any],
) -> Activations:
    ordered = sorted(entries)
    frames = [entries[problem_id][1] for problem_id in ordered]
    spans = pd.concat(frames, ignore_index=True) if frames else _span_rows(0, np.zeros((0, 2), np.int64))
    return Activations(
        spans=spans,
        record={
            "extraction": resolved,
            "block": extractor.block,
            "d_model": extractor.d_model,
            "shards": {str(problem_id): dataclasses.asdict(entries[problem_id][0]) for problem_id in ordered},
            "tokens": {str(problem_id): entries[problem_id][2] for problem_id in ordered},
            "skipped": [dataclasses.asdict(skip) for skip in sorted(skipped, key=lambda skip: skip.problem_id)],
        },
    )


def _spans(pooled: PooledProblem) -> pd.DataFrame:
    return _span_rows(pooled.problem_id, pooled.token_spans)


def _span_rows(problem_id: int, token_spans: np.ndarray) -> pd.DataFrame:
    starts, ends = token_spans.astype(np.int64).T
    return pd.DataFrame(
        {
            "problem_id": np.full(len(starts), problem_id, np.int64),
            "chunk_idx": np.arange(len(starts), dtype=np.int64),
            "token_start": starts,
            "token_end": ends,
            "token_count": ends - starts,
        }
    )


def _facts(value: Activations) -> dict[str, object]:
    skips = pd.DataFrame(value.record["skipped"], columns=pd.Index(["problem_id", "kind", "reason"]))
    return {
        "problems": len(value.record["shards"]),
        "sentences": len(value.spans),
        "tokens": sum(value.record["tokens"].values()),
        "skipped": len(skips),
        "skipped_kinds": dict(Counter(skips["kind"])),
        "skipped_problems": dg.MetadataValue.md(markdown_table(skips)),
    }
