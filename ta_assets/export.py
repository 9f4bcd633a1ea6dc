"""A corpus that was made here in the whole layout of the published dataset: ``thought-anchors export --help``.

The artifact of ``labels`` is that layout already, without rollouts. This adds ``chunk_N/solutions.json`` of every
sentence, which the dataset's own tools and notebooks read, and which lets another study take the folder as its
``dataset.folder``. Nothing is drawn.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from ta_assets.assets.campaigns.drawing import judgement_of, source_of, tasks_of
from ta_assets.core.campaign.corpus.published import rollout_files
from ta_assets.core.errors import InputError
from ta_assets.ledger.world import World
from ta_assets.plan import offline_world
from ta_resources.campaigns.run import run_trace
from ta_resources.campaigns.source import MissingRolloutsError
from ta_resources.rollouts.problem_files import folder_name
from ta_resources.storage.atomic import write_file

EXIT_BAD_INPUT = 2
DESCRIPTION = (
    "Write a corpus of the study that TA_STUDY names, whose rollouts were made here, in the layout of "
    "uzaymacar/math-rollouts with the rollouts of every sentence. Exit code 0, or 2 when it cannot be read."
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    parser = argparse.ArgumentParser(prog="thought-anchors export", description=DESCRIPTION)
    parser.add_argument("corpus", help="a corpus of the study, such as scratch_correct")
    parser.add_argument("folder", type=Path, help="where to write; files of the same names are replaced")
    options = parser.parse_args(arguments)
    try:
        with offline_world() as world:
            written = export(world, options.corpus, options.folder)
    except (InputError, MissingRolloutsError) as fault:
        print(fault, file=sys.stderr)
        return EXIT_BAD_INPUT
    print(f"{written} files below {options.folder}")
    return 0


def export(world: World, corpus: str, folder: Path) -> int:
    """Write a corpus, and return how many files it has.

    Raises:
        InputError: the study does not make it, it was not made yet, or the folder may not be written.
        MissingRolloutsError: files of rollouts are gone.
    """
    study = world.studies.selected
    if corpus not in study.generated:
        expected = f"one of {', '.join(study.generated)}" if study.generated else "a study with a section generation"
        raise InputError(study.path, "corpus", corpus, expected)
    layout, base = world.store.load("labels", corpus).layout, world.store.load("base_traces", corpus)
    files = dict(layout)
    tokenizer = world.language_model.tokenizer(study.extraction_spec(corpus))
    source, prefix = source_of(world, study, base.record["engine"], None), study.source(corpus).prefix
    with judgement_of(study, tokenizer.decode) as judgement:
        for trace, task in tasks_of(study, base):
            place = f"{prefix}/{folder_name(trace.question.problem_id)}"
            if f"{place}/problem.json" not in layout:
                continue  # it has no labels, which a check says
            draws = run_trace(source, task, study.campaign.rollouts, judgement).draws
            files |= {f"{place}/{name}": text for name, text in rollout_files(trace, draws, tokenizer.decode).items()}
    for name, text in files.items():
        write_file(folder / name, text.encode())
    return len(files)


if __name__ == "__main__":
    sys.exit(main())
