"""The results of a study as a block of Markdown whose every number knows the artifact that it is of.

Belongs here: what the block says. Stays out: where it is written (``studies.readme_file``).
"""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pandas as pd

from ta_assets.ledger.fingerprint import MADE_FROM
from ta_assets.ledger.table import ASSETS, FACTS, Node
from ta_assets.ledger.world import World
from ta_assets.pages.spans import Line, Span, render, row
from ta_assets.studies.readme_file import readme_path, stored_block
from ta_assets.studies.study import Study
from ta_checks.report.rows import collect_rows

TESTED_ON = {"single": "the test problems of one split", "lopo": "every problem in turn"}
"""By the study's scheme of splits."""
CEILINGS = (
    "The ceiling of the true importances may lie below that of a second campaign: a sentence with few dissimilar "
    "rollouts gets a large estimate by chance in both campaigns, and so repeats its label without being important."
)
EMPTY: Line = ()


def current_block(world: World, name: str) -> list[Line]:
    """The block that the present artifacts and check results of a study give.

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
    left_out = sorted({(row["setting"], row["left_out"]) for row in summary.to_dict("records") if row["left_out"]})
    return [
        _said(
            own,
            f"Is a probe of study `{name}` better than the obvious baseline? Out of fold, over problems, corrected for "
            "all scores that were looked at:",
        ),
        EMPTY,
        *_comparison(own, study, comparisons),
        *(
            (Span(_label_noise(setting, value), ("probe_comparison", setting), setting),)
            for setting, value in comparisons.items()
        ),
        EMPTY,
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
        *((Span(f"Left out: {setting}: {why}", ("aggregate_metrics", setting), setting),) for setting, why in left_out),
        *([EMPTY] if left_out else []),
        *_checks(own, world, study),
        *_origins(own, world, study),
    ]


def block_faults(world: World, name: str) -> list[str]:
    """Where the block in the file is not the one that artifacts and check results give now, line by line.

    Raises:
        InputError: an artifact that the block tells of is missing or damaged.
    """
    study, base = world.studies.by_name[name], world.store.base
    path, stored = readme_path(study, base), stored_block(study, base)
    if stored is None:
        return [f"{path}: it has no block of results of study {name}"]
    current = render(current_block(world, name)).strip("\n")
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


def _comparison(own: Node, study: Study, comparisons: Mapping[str, Mapping[str, Any]]) -> list[Line]:
    from ta_assets.core.markdown import comparison_columns
    from ta_assets.core.results.compare import compared_rows

    headers, rows = comparison_columns(compared_rows(study.settings, comparisons), ["setting"])
    return _table(own, headers, rows, lambda row: (("probe_comparison", row[0]), f"{row[0]}, {row[1]}"))


def _seed_means(own: Node, summary: pd.DataFrame) -> list[Line]:
    columns = [column for column in summary.columns if column.endswith("_mean")]
    rows = [
        [row["setting"], row["model"], row["seeds"], *(_plus_minus(row, column) for column in columns)]
        for row in summary.to_dict("records")
    ]
    headers = ["setting", "model", "seeds", *(column.removesuffix("_mean") for column in columns)]
    return _table(own, headers, rows, lambda row: (("aggregate_metrics", row[0]), f"{row[0]}, {row[1]}"))


def _checks(own: Node, world: World, study: Study) -> list[Line]:
    """How many cells pass each check, of all assets but this one."""
    found = collect_rows(world, study, [asset for asset in ASSETS if not FACTS[asset].tells_of_checks])
    passed = Counter(row.name for row in found if row.verdict.status == "passed")
    total = Counter((row.name, row.severity) for row in found)
    rows = [[check, severity, passed[check], count] for (check, severity), count in sorted(total.items())]
    return _table(own, ["check", "severity", "passed", "of"], rows, lambda row: (own, row[0]))


def _label_noise(setting: str, value: Mapping[str, Any]) -> str:
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
