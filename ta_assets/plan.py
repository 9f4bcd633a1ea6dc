"""What a release would make and read, without making it: ``thought-anchors plan --help``.

Run it where ``release`` would run. It writes nothing, sends no request, and loads no model. Data or a model on the Hub
that were never asked for are therefore named, not counted.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from statistics import mean

import dagster as dg

from ta_assets.assets.expected import why_left_out, why_made
from ta_assets.assets.problems import chosen_ids
from ta_assets.core.campaign.cost import Workload, estimate
from ta_assets.core.campaign.options import prompt_of
from ta_assets.core.errors import InputError
from ta_assets.core.traces.storage_estimate import in_words
from ta_assets.ledger.ledger import Ledger
from ta_assets.ledger.table import ASSETS, FACTS, partitions_of, read_together
from ta_assets.ledger.world import World
from ta_assets.studies.loading import load_studies
from ta_resources.existing_instance import existing_instance
from ta_resources.hub_client import HubFailedError
from ta_resources.language_model.resource import LanguageModelResource
from ta_resources.rollouts.resource import RolloutsResource
from ta_resources.storage.artifacts import ArtifactStore

EXIT_BAD_INPUT = 2
TYPICAL_SHARE, TOKENS_PER_SENTENCE, CHARACTERS_PER_TOKEN = 0.25, 30, 4
"""Of the published rollouts: a trace has a quarter of the tokens that it might have, 30 of them a sentence."""
FRESH, MAKE, LEFT_OUT, UNKNOWN = "up to date", "to make", "left out", "not known"
DESCRIPTION = (
    "Say what a release of the study that TA_STUDY names would make, why, and what it would read; make nothing. Exit "
    "code 0, or 2 when the study cannot be read."
)


@dataclass(frozen=True)
class Step:
    """What a release would do with one partition of an asset."""

    asset: str
    partition: str
    what: str
    """up to date, to make, left out, or not known."""
    why: str


@dataclass(frozen=True)
class Source:
    """Something that a release would read."""

    kind: str
    """data, or language model."""
    of: str
    """Corpus or setting."""
    place: str
    facts: str
    """What is known of it without asking anybody."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    parser = argparse.ArgumentParser(prog="thought-anchors plan", description=DESCRIPTION)
    parser.add_argument("--json", action="store_true", help="one JSON object instead of text")
    options = parser.parse_args(arguments)
    try:
        with offline_world() as world:
            found, read = steps(world), sources(world)
            name = world.studies.selected.name
    except InputError as fault:
        print(fault, file=sys.stderr)
        return EXIT_BAD_INPUT
    if options.json:
        print(json.dumps({"study": name, "steps": [*map(asdict, found)], "reads": [*map(asdict, read)]}, indent=1))
    else:
        print("\n".join(as_text(name, found, read)))
    return 0


def steps(world: World) -> list[Step]:
    """Every partition of every asset of the selected study, in the order in which a release would come to it.

    What is made of something that is to be made is to be made too, unless it comes out as it was; a check may turn red
    on the way, and what would be built on that is left out then.
    """
    found: dict[tuple[str, str], Step] = {}
    read_together(world, world.studies.selected)
    for asset in ASSETS:
        for partition in partitions_of(asset, world.studies.selected):
            found[asset, partition] = _step(world, asset, partition, found)
    return list(found.values())


def _step(world: World, asset: str, partition: str, before: Mapping[tuple[str, str], Step]) -> Step:
    parents = world.ledger.parents(asset, partition)
    changing = [
        f"{step.asset}[{step.partition}]"
        for parent in parents
        if (step := before.get(parent)) and step.what in (MAKE, UNKNOWN)
    ]
    if changing or (FACTS[asset].tells_of_checks and any(step.what == MAKE for step in before.values())):
        more = f" and {len(changing) - 1} more" if len(changing) > 1 else ""
        return Step(asset, partition, MAKE, f"made of {changing[0] if changing else 'what is to be made'}{more}")
    shut = why_left_out(world, asset, partition)
    if shut:
        return Step(asset, partition, LEFT_OUT, shut)
    try:
        reason = why_made(world, asset, partition)
    except (InputError, HubFailedError) as error:
        return Step(asset, partition, UNKNOWN, str(error))
    return Step(asset, partition, MAKE if reason else FRESH, reason or "")


def sources(world: World) -> list[Source]:
    """Data of every setting and language model of every corpus of the selected study."""
    study = world.studies.selected
    found = [source for corpus in study.generated for source in _campaign(world, corpus)]
    for name, setting in study.settings.items():
        if study.generated:
            break  # its data are what the release makes
        source = world.source(setting.corpus)
        place = source.folder or f"dataset {source.repo_id} at {source.revision}"
        found.append(Source("data", name, f"{place}, {source.prefix}", _said(partial(_problems, world, name))))
    for corpus in study.corpora:
        spec = study.extraction_spec(corpus)
        place = spec.language_model if Path(spec.language_model).is_absolute() else f"model {spec.language_model}"
        found.append(Source("language model", corpus, place, _said(partial(_weights, spec.language_model))))
    return found


def as_text(study: str, found: Sequence[Step], read: Sequence[Source]) -> list[str]:
    """Lines for a person: counts, what is to be made and why, what would be read."""
    counts = {what: sum(step.what == what for step in found) for what in (MAKE, FRESH, LEFT_OUT, UNKNOWN)}
    said = ", ".join(f"{count} {what}" for what, count in counts.items() if count)
    lines = [f"study {study}: {len(found)} cells, {said}", ""]
    lines += [f"{step.what}: {step.asset}[{step.partition}]: {step.why}" for step in found if step.what != FRESH]
    lines += ["", "would read:"]
    return lines + [f"{one.kind} of {one.of}: {one.place}: {one.facts}" for one in read]


def _said(tell: Callable[[], str]) -> str:
    try:
        return tell()
    except (InputError, HubFailedError) as error:
        return f"not known: {error}"


def _problems(world: World, setting: str) -> str:
    ids, available = chosen_ids(world, setting)
    return f"{len(ids)} of {available} problems"


def _campaign(world: World, corpus: str) -> list[Source]:
    """The questions of a corpus that is made here, and what its rollouts would cost."""
    study = world.studies.by_corpus[corpus]
    questions = partial(study.questions.read, offline=True)
    return [
        Source("questions", corpus, study.questions.place, _said(lambda: f"{len(questions())} questions")),
        Source("rollouts", corpus, study.campaign.engine.kind, _said(partial(_cost, world, corpus))),
    ]


def _cost(world: World, corpus: str) -> str:
    """What a campaign costs in all, what is stored of it already included; sizes are measured where there are traces.

    Raises:
        InputError: the questions cannot be read.
    """
    study = world.studies.by_corpus[corpus]
    asked, questions = study.campaign, study.questions.read(offline=True)
    prompt_tokens = mean(len(prompt_of(asked.prompt, one.question)) for one in questions) / CHARACTERS_PER_TOKEN
    if world.store.exists("base_traces", corpus):
        known = world.store.load("base_traces", corpus).rows
        traces, prompt_tokens = len(known), float(known["prompt_tokens"].mean())
        trace_tokens = float((known["thought_end"] - known["prompt_tokens"]).mean())
        sentences, told = float(known["sentences"].map(lambda text: len(json.loads(text))).mean()), "measured"
    else:
        traces, told = len(questions), "assumed"
        trace_tokens = min(TYPICAL_SHARE * asked.sampling.max_total_tokens, asked.sampling.room(int(prompt_tokens)))
        sentences = min(trace_tokens / TOKENS_PER_SENTENCE, asked.base.most_sentences)
    work = Workload(
        problems=len(questions),
        traces=traces,
        base_tries=asked.base.tries,
        sentences=sentences,
        all_sentences=sentences,
        rollouts=asked.rollouts.rollouts,
        prompt_tokens=prompt_tokens,
        trace_tokens=trace_tokens,
    )
    cost = estimate(work)
    rate = asked.tokens_per_second
    hours = f"{cost.hours(rate):.1f} hours at {rate:g} tokens per second" if rate else "hours: set tokens_per_second"
    sizes = f"{told}: {traces} traces of {trace_tokens:.0f} tokens and {sentences:.0f} sentences"
    most = "at most " if asked.rollouts.kind == "threshold" else ""
    said = f"{most}{cost.rollouts} rollouts, {cost.generated_tokens} tokens generated, {in_words(cost.bytes)} stored"
    return f"{said}, {hours} ({sizes})"


def _weights(place: str) -> str:
    """Bytes of a model folder's weights; of a model on the Hub nothing is asked."""
    folder = Path(place)
    if not folder.is_absolute():
        return "fetched where it is not in the cache"
    if not folder.is_dir():
        raise InputError(place, "language_model", place, "an existing model folder")
    return f"{in_words(sum(path.stat().st_size for path in folder.glob('*.safetensors')))} of weights"


@contextmanager
def offline_world() -> Iterator[World]:
    """Everything that a release looks at, offline; with an instance in memory where there is none yet."""
    studies = load_studies()
    from ta_assets.definitions import defs  # reads the studies when imported, whose faults have been named by now

    try:
        instance = existing_instance(Path(os.environ.get("DAGSTER_HOME") or ".").resolve())
    except InputError:
        instance = dg.DagsterInstance.ephemeral()
    with instance:
        yield World(
            studies,
            ArtifactStore.configured(recovers=False),
            RolloutsResource(offline=True),
            LanguageModelResource(offline=True),
            Ledger(instance, lambda: defs),
        )


if __name__ == "__main__":
    sys.exit(main())
