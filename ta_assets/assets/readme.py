"""The block of results in a README: between two marker lines, byte-identical while the results are."""

import difflib
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dagster as dg

from ta_assets.assets.summaries import compared_rows
from ta_assets.core.errors import InputError
from ta_assets.ledger.ledger import Ledger
from ta_assets.ledger.made_from import MADE_FROM, fingerprint, output
from ta_assets.ledger.partitions import ASSETS, Partitions
from ta_assets.ledger.world import World
from ta_assets.studies.study import Study
from ta_checks.report.rows import collect_rows
from ta_resources.language_model.resource import LanguageModelResource
from ta_resources.rollouts.resource import RolloutsResource
from ta_resources.storage.artifacts import ArtifactStore
from ta_resources.storage.atomic import write_file

TESTED_ON = {"single": "the test problems of one split", "lopo": "every problem in turn"}
"""By the study's scheme of splits."""
CEILINGS = (
    "The ceiling of the true importances may lie below that of a second campaign: a sentence with few dissimilar "
    "rollouts gets a large estimate by chance in both campaigns, and so repeats its label without being important."
)


def build(partitions: Partitions, definitions: Callable[[], dg.Definitions]) -> list[dg.AssetsDefinition]:
    """The asset ``readme_block``."""
    studies = partitions.studies

    @dg.asset(
        partitions_def=partitions.study,
        deps=["scaling_summary"],
        code_version="2",
        group_name="results",
    )
    def readme_block(
        context: dg.AssetExecutionContext,
        store: ArtifactStore,
        rollouts: RolloutsResource,
        language_model: LanguageModelResource,
    ) -> dg.Output[str]:
        """The results of a study as Markdown, written between its markers."""
        study = studies.by_name[context.partition_key]
        instance = Ledger(context.instance, definitions)
        block = current_block(World(studies, store, rollouts, language_model, instance), study.name)
        path = readme_path(study, store.base)
        if study.readme is None and not path.exists():
            write_file(path, f"# Results of {study.name}\n\n{_start(study)}\n{_end(study)}\n".encode())
        old = read_readme(path)
        new = with_block(old, study, block, path)
        if new != old:
            write_file(path, new.encode())
        facts = {"path": dg.MetadataValue.path(path), "changed": new != old, "block": dg.MetadataValue.md(block)}
        return output(block, block_made_from(block), facts)

    return [readme_block]


def block_made_from(block: str) -> dict[str, str]:
    """What a block was made from is what it says: checks may turn without any upstream asset changing."""
    return {"block": fingerprint(block)}


def readme_path(study: Study, base: Path) -> Path:
    """The file that holds a study's block.

    Raises:
        InputError: a link leads from the current directory to a file outside it.
    """
    if study.readme is None:
        return base / study.name / "README.md"
    path = Path(study.readme).resolve()
    if not path.is_relative_to(Path.cwd().resolve()):
        raise InputError(study.path, "readme", study.readme, f"a file below the current directory, not {path}")
    return path


def stored_block(study: Study, base: Path) -> str | None:
    """The block as it stands in the file; None when there is no file or no block."""
    path = readme_path(study, base)
    if not path.is_file():
        return None
    try:
        start, end = _positions(read_readme(path), study, path)
    except InputError:
        return None
    return read_readme(path)[start:end].strip("\n")


def read_readme(path: Path) -> str:
    """The text of the file that holds a block.

    Raises:
        InputError: it cannot be read, or is not UTF-8.
    """
    try:
        return path.read_bytes().decode("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(
            path, "file", type(error).__name__, f"a readable UTF-8 file with the study's markers ({error})"
        ) from None


def with_block(text: str, study: Study, block: str, source: Path) -> str:
    """A text with the block of a study replaced; everything outside its markers stays as it is.

    Raises:
        InputError: a marker is missing or doubled, or they are in the wrong order.
    """
    start, end = _positions(text, study, source)
    return f"{text[:start]}\n{block.strip()}\n{text[end:]}"


def current_block(world: World, name: str) -> str:
    """The block that the present artifacts and check results of a study give."""
    from ta_assets.core.markdown import comparison_table, table

    study = world.studies.by_name[name]
    summary = world.store.load("scaling_summary", name)
    rows = collect_rows(world, study, [asset for asset in ASSETS if asset != "readme_block"])
    passed = Counter(row.name for row in rows if row.verdict.status == "passed")
    total = Counter((row.name, row.severity) for row in rows)
    numbers = [column for column in summary.columns if column.endswith("_mean")]
    results = [
        [row["setting"], row["model"], row["seeds"], *(_plus_minus(row, column) for column in numbers)]
        for row in summary.to_dict("records")
    ]
    left_out = sorted({f"{row['setting']}: {row['left_out']}" for row in summary.to_dict("records") if row["left_out"]})
    comparisons = {
        setting: world.store.load("probe_comparison", setting)
        for setting in study.settings
        if world.store.exists("probe_comparison", setting)
    }
    lines = [
        f"What do activations of study `{name}` add to all that is known without them (`known_and_activations` against "
        "`all_known`), and is a probe alone better than every baseline? Out of fold, over problems, corrected for all "
        "scores on activations within a setting, not over settings. Better also holds among sentences that could be "
        "anchors (at least 4 dissimilar rollouts). It is said of problems of this source, as this model solves them:",
        "",
        comparison_table(compared_rows(study.settings, comparisons), ["setting"]),
        *(_label_noise(setting, value) for setting, value in comparisons.items()),
        "",
        CEILINGS,
        "",
        f"Test metrics of study `{name}`: the predecessor's models on {TESTED_ON[study.splits.scheme]}, mean over "
        "seeds (± standard deviation where a seed matters). The table above holds out every problem in turn, tunes "
        "inside the rest and is the one to believe:",
        "",
        table(["setting", "model", "seeds", *(column.removesuffix("_mean") for column in numbers)], results),
        *(f"Left out: {line}" for line in left_out),
        *([""] if left_out else []),
        table(
            ["check", "severity", "passed", "of"],
            [[check, severity, passed[check], count] for (check, severity), count in sorted(total.items())],
        ),
        *_origins(world, study),
    ]
    return "\n".join(lines)


def block_faults(world: World, name: str) -> list[str]:
    """Where the block in the file is not the one that artifacts and check results give now, line by line.

    Raises:
        InputError: an artifact that the block tells of is missing or damaged.
    """
    study, base = world.studies.by_name[name], world.store.base
    path, stored = readme_path(study, base), stored_block(study, base)
    if stored is None:
        return [f"{path}: it has no block of results of study {name}"]
    current = current_block(world, name).strip("\n")
    if stored == current:
        return []
    lines = difflib.unified_diff(stored.splitlines(), current.splitlines(), lineterm="", n=0)
    said = {"-": "the artifacts do not give this line now", "+": "the artifacts give this line, which is not there"}
    differ = [f"{path}: {said[line[0]]}: {line[1:]}" for line in list(lines)[2:] if line[0] in said]
    return differ or [f"{path}: its lines do not end as readme_block ends them"]


def _label_noise(setting: str, value: dict[str, Any]) -> str:
    """What the labels of a setting allow."""
    support, ceiling = value["support"], value["ceiling"]
    start = f"- {setting}: {value['n_problems']} problems, chance {value['chance']:.3f}"
    if support is None or ceiling is None:
        return f"{start}; the data does not tell the rollouts behind its labels"
    drawn = f"{ceiling['problems']} problems"
    if support["unknown"]:
        drawn += f" (the rollouts of {support['unknown']} sentences are not known)"
    return (
        f"{start}; {support['significant_anchors']:.0%} of {support['anchors']} anchors have Fisher p < .05, "
        f"{support['surviving_anchors']:.0%} survive a false discovery rate of 10 %; noise ceiling "
        f"{ceiling['oracle']:.3f} (true importances), {ceiling['repeat']:.3f} (a second campaign), of {drawn}"
    )


def _origins(world: World, study: Study) -> list[str]:
    lines = ["Made from:"]
    for corpus in study.corpora:
        made = world.ledger.materialization("activations", corpus)
        if made is None:
            lines.append(f"- {corpus}: no activations")
            continue
        source, model = (made.metadata[MADE_FROM][key] for key in ("source", "language_model"))
        facts = ", ".join(
            f"{key} {made.metadata[key]}" for key in ("problems", "sentences", "skipped", "block", "d_model")
        )
        lines.append(f"- {corpus}: data {_identity(source)}; language model {_identity(model)}; {facts}")
    return lines


def _identity(record: dict[str, Any]) -> str:
    return " ".join(f"{key} `{value}`" for key, value in sorted(record.items()))


def _plus_minus(row: dict[Any, Any], column: str) -> str:
    mean, std = row[column], row[f"{column.removesuffix('_mean')}_std"]
    return f"{mean:.4f} ± {std:.4f}" if row["depends_on_seed"] else f"{mean:.4f}"


def _start(study: Study) -> str:
    return f"<!-- TA_RESULTS_START {study.name} -->"


def _end(study: Study) -> str:
    return f"<!-- TA_RESULTS_END {study.name} -->"


def _positions(text: str, study: Study, source: Path) -> tuple[int, int]:
    for marker in (_start(study), _end(study)):
        if text.count(marker) != 1:
            raise InputError(source, marker, f"{text.count(marker)} times", "the marker exactly once")
    start, end = text.index(_start(study)) + len(_start(study)), text.index(_end(study))
    if end < start:
        raise InputError(source, _end(study), "before the start marker", "the end marker after it")
    return start, end
