"""The results of a study as a page of Markdown whose every number knows the artifact that it is of.

Belongs here: what the page says, and how much of it the block of a README does. Stays out: where it is written
(``studies.readme_file``).
"""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from ta_assets.ledger.fingerprint import MADE_FROM
from ta_assets.ledger.table import ASSETS, FACTS, Node
from ta_assets.ledger.world import World
from ta_assets.pages.spans import Line, Span, render, row
from ta_assets.studies.readme_file import (
    ALL_OF_IT,
    block_of,
    readme_path,
    results_path,
    stored_block,
    stored_page,
)
from ta_assets.studies.study import Study
from ta_checks.report.rows import collect_rows

TESTED_ON = {"single": "the test problems of one split", "lopo": "every problem in turn"}
"""By the study's scheme of splits."""
CEILINGS = (
    "The ceiling of the true importances may lie below that of a second campaign: a sentence with few dissimilar "
    "rollouts gets a large estimate by chance in both campaigns, and so repeats its label without being important."
)
EMPTY: Line = ()
HEADLINES = {"increment": 1, "probe": 2, "baseline": 1, "diagnosis": 1}
"""Rows of a setting that a README shows: the best of each kind."""


def current_page(world: World, name: str) -> list[Line]:
    """The page that the present artifacts and check results of a study give; the block of the README comes first.

    Raises:
        InputError: an artifact that it tells of is missing or damaged.
    """
    study, own = world.studies.by_name[name], ("readme_block", name)
    summary = world.store.load("scaling_summary", name)
    comparisons = {
        setting: world.store.load("probe_comparison", setting)
        for setting in study.settings
        if world.store.exists("probe_comparison", setting)
    }
    checks = _counted(world, study)
    left_out = sorted({(row["setting"], row["left_out"]) for row in summary.to_dict("records") if row["left_out"]})
    return [
        _said(
            own,
            f"What do activations of study `{name}` add to all that is known without them (`known_and_activations` "
            "against `all_known`), and is a probe alone better than every baseline? Out of fold, over problems. p is "
            "corrected for all scores on activations of a setting; what it must reach, for the settings of the study "
            "and for every look at other problems, is said below. Better also holds among sentences that could be "
            "anchors (at least 4 dissimilar rollouts). It is said of problems of this source, as this model solves "
            "them:",
        ),
        EMPTY,
        *_comparison(own, study, comparisons, headlines_only=True),
        *(
            (Span(_label_noise(setting, value), ("probe_comparison", setting), setting),)
            for setting, value in comparisons.items()
        ),
        *((Span(said, ("probe_comparison", one), one),) for one, said in _offers(study, comparisons)),
        EMPTY,
        *((Span(f"Left out: {setting}: {why}", ("aggregate_metrics", setting), setting),) for setting, why in left_out),
        _said(own, _in_short(study, checks)),
        EMPTY,
        *_origins(own, world, study),
        EMPTY,
        _said(own, ALL_OF_IT),
        EMPTY,
        *_comparison(own, study, comparisons),
        _said(own, CEILINGS),
        EMPTY,
        _said(
            own,
            f"Test metrics of study `{name}`: the predecessor's models on {TESTED_ON[study.splits.scheme]}, mean over "
            "seeds (± standard deviation where a seed matters). The table above holds out every problem in turn, tunes "
            "inside the rest and is the one to believe:",
        ),
        EMPTY,
        *_seed_means(own, summary),
        *_checks(own, checks),
    ]


def block_faults(world: World, name: str) -> list[str]:
    """Where README and page are not what artifacts and check results give now, line by line.

    Raises:
        InputError: an artifact that they tell of is missing or damaged, or a file cannot be read.
    """
    study, base = world.studies.by_name[name], world.store.local_folder
    page = render(current_page(world, name))
    return [
        *_differences(readme_path(study, base), stored_block(study, base), block_of(page), name),
        *_differences(results_path(study, base), stored_page(study, base), page, name),
    ]


def _differences(path: Path, stored: str | None, current: str, name: str) -> list[str]:
    if stored is None:
        return [f"{path}: it has no block of results of study {name}"]
    if stored == current:
        return []
    lines = difflib.unified_diff(stored.splitlines(), current.splitlines(), lineterm="", n=0)
    said = {"-": "the artifacts do not give this line now", "+": "the artifacts give this line, which is not there"}
    differ = [f"{path}: {said[line[0]]}: {line[1:]}" for line in list(lines)[2:] if line[0] in said]
    return differ or [f"{path}: its lines do not end as readme_block ends them"]


def _said(own: Node, text: str) -> Line:
    return (Span(text, own, "text of the block"),)


def _table(
    own: Node,
    headers: Sequence[str],
    rows: Sequence[Sequence[Any]],
    of: Callable[[Sequence[Any]], tuple[Node, str]],
) -> list[Line]:
    """The lines of a table and an empty one; ``of`` gives a row's artifact and its name."""
    from ta_assets.core.markdown import table_cells

    heading, rule, *cells = table_cells(headers, rows)
    lines = [row(heading, own, ["heading of a table"] * len(headers)), row(rule)]
    for values, padded in zip(rows, cells, strict=True):
        node, name = of(values)
        lines.append(row(padded, node, [f"{name}: {column}" for column in headers]))
    return [*lines, EMPTY]


def _comparison(
    own: Node, study: Study, comparisons: Mapping[str, Mapping[str, Any]], *, headlines_only: bool = False
) -> list[Line]:
    from ta_assets.core.comparison.compare import compared_rows
    from ta_assets.core.markdown import comparison_columns

    compared = compared_rows(study.settings, comparisons)
    headers, rows = comparison_columns(_headlines(compared) if headlines_only else compared, ["setting"])
    return _table(own, headers, rows, lambda row: (("probe_comparison", row[0]), f"{row[0]}, {row[1]}"))


def _headlines(rows: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The best findings of each kind and setting; rows are sorted already, what activations add first."""
    seen: Counter[tuple[str, str]] = Counter()
    chosen = []
    for one in rows:
        if one["twin_of"] is not None:
            continue
        seen[one["setting"], one["kind"]] += 1
        if seen[one["setting"], one["kind"]] <= HEADLINES[one["kind"]]:
            chosen.append(one)
    return chosen


def _seed_means(own: Node, summary: pd.DataFrame) -> list[Line]:
    columns = [column for column in summary.columns if column.endswith("_mean")]
    rows = [
        [row["setting"], row["model"], row["seeds"], *(_plus_minus(row, column) for column in columns)]
        for row in summary.to_dict("records")
    ]
    headers = ["setting", "model", "seeds", *(column.removesuffix("_mean") for column in columns)]
    return _table(own, headers, rows, lambda row: (("aggregate_metrics", row[0]), f"{row[0]}, {row[1]}"))


def _counted(world: World, study: Study) -> list[list[Any]]:
    """Check, severity, and how many cells pass it of how many, of all assets but this one."""
    found = collect_rows(world, study, [asset for asset in ASSETS if not FACTS[asset].tells_of_checks])
    passed = Counter(row.name for row in found if row.verdict.status == "passed")
    total = Counter((row.name, row.severity) for row in found)
    return [[check, severity, passed[check], count] for (check, severity), count in sorted(total.items())]


def _checks(own: Node, counted: Sequence[Sequence[Any]]) -> list[Line]:
    return _table(own, ["check", "severity", "passed", "of"], counted, lambda row: (own, row[0]))


def _in_short(study: Study, counted: Sequence[Sequence[Any]]) -> str:
    passed, total = sum(row[2] for row in counted), sum(row[3] for row in counted)
    return (
        f"{passed} of {total} checks passed. All scores, means over seeds and every check: "
        f"`{results_path(study, Path('artifacts'))}`, written with this block."
    )


def _label_noise(setting: str, value: Mapping[str, Any]) -> str:
    """What the labels of a setting allow."""
    support, ceiling = value["support"], value["ceiling"]
    start = f"- {setting}: {value['n_problems']} problems, {_spent(value)}; chance {value['chance']:.3f}"
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


def _offers(study: Study, comparisons: Mapping[str, Mapping[str, Any]]) -> list[tuple[str, str]]:
    """Of each setting whose rollouts are made here and that leaves something open, how to make more problems."""
    if study.generation is None:
        return []
    said = study.generation.questions
    place = said.file or f"{said.repo_id}/{said.path}"
    more = f"add questions to `{place}`" if said.first is None else f"raise `generation.questions.first`, {said.first}"
    return [
        (
            setting,
            f"- {setting}: `TA_STUDY={study.name} dagster job execute -j release` makes more problems; {more} first. "
            f"What was drawn is kept; it will be look {len(value['looks']) + 1}, at which p must reach less",
        )
        for setting, value in comparisons.items()
        if any("needs" in row["verdict"] for row in value["rows"])
    ]


def _spent(value: Mapping[str, Any]) -> str:
    """What p-values must reach, and why."""
    looks = [str(look["problems"]) for look in value["looks"]]
    earlier = f" after looks at {', '.join(looks[:-1])} problems" if len(looks) > 1 else ""
    settings = f" in {value['settings']} settings" if value["settings"] > 1 else ""
    return f"claims at p ≤ {value['level']:.2g} (look {len(looks)}{earlier}{settings})"


def _origins(own: Node, world: World, study: Study) -> list[Line]:
    lines = [_said(own, "Made from:")]
    for corpus in study.corpora:
        made = world.ledger.materialization("activations", corpus)
        if made is None:
            text = f"- {corpus}: no activations"
        else:
            source, model = (made.metadata[MADE_FROM][key] for key in ("source", "language_model"))
            facts = ", ".join(
                f"{key} {made.metadata[key]}" for key in ("problems", "sentences", "skipped", "block", "d_model")
            )
            text = f"- {corpus}: data {_identity(source)}; language model {_identity(model)}; {facts}"
        lines.append((Span(text, ("activations", corpus), corpus),))
    return lines


def _identity(record: Mapping[str, Any]) -> str:
    return " ".join(f"{key} `{value}`" for key, value in sorted(record.items()))


def _plus_minus(row: Mapping[Any, Any], column: str) -> str:
    mean, std = row[column], row[f"{column.removesuffix('_mean')}_std"]
    return f"{mean:.4f} ± {std:.4f}" if row["depends_on_seed"] else f"{mean:.4f}"
