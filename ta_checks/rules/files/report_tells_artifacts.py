"""The numbers of a study's page, those that are printed and those that are embedded, are those of the artifacts."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from ta_assets.core.errors import InputError
from ta_assets.ledger.table import Role, with_role
from ta_assets.studies.readme_file import report_path
from ta_checks.evidence import Evidence
from ta_checks.invariant import Invariant
from ta_checks.rules.files.report_html import Page
from ta_checks.rules.files.report_told import Told, of_comparison, of_problems, of_traces
from ta_checks.verdict import Verdict

PLACES = 0.005 + 1e-9
"""Half of the last place of a printed lead."""
LEAD = re.compile(r"[+-]?\d*\.\d+|[+-]\d+")
INTERVAL = ("difference", "low", "high")
FIGURES = ("status", "severity", "observed", "comparison", "threshold", "unit", "n", "message")


def read(evidence: Evidence) -> dict[str, Any]:
    """The page against the verdict, the comparisons, the sentences and the out-of-fold scores that are stored."""
    world, study = evidence.world, evidence.study
    path = report_path(study.name, world.store.local_folder)

    def stored(asset: str, partition: str) -> Any:
        try:
            return world.store.load(asset, partition)
        except InputError:
            return None

    told = {}
    for name, setting in study.settings.items():
        sentences, wanted = stored("sentences", setting.corpus), stored("problem_ids", name)
        inside = None
        if sentences is not None and wanted is not None:
            inside = sentences.take(np.flatnonzero(sentences["problem_id"].isin(wanted).to_numpy()))
        fitted = stored("cv_scores", name)
        told[name] = Told(
            comparison=stored("probe_comparison", name),
            sentences=inside,
            scores=None if fitted is None else fitted.scores,
            nulls=None if fitted is None else fitted.nulls,
        )
    (verdict,) = with_role(Role.VERDICT)
    return {
        "page": path.read_text(encoding="utf-8") if path.is_file() else None,
        "verdict": world.store.load(verdict, study.name),
        "told": told,
    }


def report_tells_artifacts(page: str | None, verdict: Mapping[str, Any], told: Mapping[str, Told]) -> Verdict:
    """Fail on a number, a word or a trace that the artifacts do not give, and on one that is absent.

    Args:
        page: HTML; None when there is no page.
        verdict: as it is stored.
        told: setting -> its artifacts.
    """
    if page is None:
        return Verdict.failed("there is no page: materialize report")
    found = Page(page)
    main, traces = found.main(), found.traces()
    faults = [*_of_verdict(main, verdict), *_of_first_screen(main, found.said, told)]
    n = len(verdict["checks"])
    for setting, of in told.items():
        own = {int(name.rpartition("/")[2]): one for name, one in traces.items() if name.rpartition("/")[0] == setting}
        faults += [f"{setting}: {fault}" for fault in (*of_comparison(main, setting, of), *of_traces(own, of))]
        faults += [f"{setting}: {fault}" for fault in of_problems(main["problems"][setting], of)]
        n += 0 if of.sentences is None else len(of.sentences)
    return Verdict.no_faults(
        faults, n=n, message=f"{n} rows and sentences held against artifacts, {len(faults)} faults"
    )


ROW = Invariant(
    "report_tells_artifacts",
    "report",
    read,
    report_tells_artifacts,
    "The page shows a number, a word or a text that the artifacts do not hold: it is not to be read. Materialize "
    "report; if it stays red, what renders the page is wrong.",
    every_release=True,
)


def _of_verdict(main: Mapping[str, Any], verdict: Mapping[str, Any]) -> Iterator[str]:
    if main["release"]["verdict"] != verdict["verdict"]:
        yield f"the page says {main['release']['verdict']}, the verdict is {verdict['verdict']}"
    shown = {
        (line["name"], line["asset"], cell["partition"]): {**line, **cell}
        for line in main["checks"]["lines"]
        for cells in line["cells"].values()
        for cell in cells
    }
    stored = {(row["name"], row["asset"], row["partition"]): row for row in verdict["checks"]}
    for key in sorted({*shown, *stored}, key=str):
        one, other = shown.get(key), stored.get(key)
        if one is None or other is None or any(one[figure] != other[figure] for figure in FIGURES):
            yield f"{key[0]} of {key[1]}[{key[2]}] is not shown as it was judged"
    red = sum(row["status"] != "passed" for row in verdict["checks"])
    if len(main["alarms"]) != red:
        yield f"{len(main['alarms'])} checks are shown as not passed, {red} are"


def _of_first_screen(main: Mapping[str, Any], said: Sequence[str], told: Mapping[str, Told]) -> Iterator[str]:
    if len(said) != len(told):
        yield f"{len(said)} settings are told of on the first screen, there are {len(told)}"
    for (setting, of), one, text in zip(told.items(), main["settings"], said, strict=False):
        if one["text"] not in text:
            yield f"{setting}: the first screen says {text!r}, embedded is {one['text']!r}"
        rows = {row["name"]: row for row in of.comparison["rows"]} if of.comparison else {}
        if one["row"] is None and not rows:
            continue
        row = rows.get(one["row"])
        if row is None:
            yield f"{setting}: the first screen tells of {one['row']}, which the comparison does not have"
            continue
        values = [row[name] for name in INTERVAL]
        words = one["text"].replace(row["name"], "").replace(row["against"], "")
        printed, wanted = (
            [float(number) for number in LEAD.findall(words)],
            [each for each in values if each is not None],
        )
        close = len(printed) == len(wanted) and np.allclose(printed, wanted, rtol=0, atol=PLACES)
        if not close or [one[name] for name in INTERVAL] != values:
            yield f"{setting}: the first screen prints {printed}, the artifact holds {values}"
        if not one["verdict"].startswith(row["verdict"]):
            yield f"{setting}: the first screen says {one['verdict']!r}, the artifact {row['verdict']!r}"
