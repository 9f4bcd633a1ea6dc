"""Pages of made-up artifacts: no release is needed to look at one.

The study and its texts are the embedded ones, of a few problems; scores are drawn, and compared as a release would.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any, cast

import numpy as np
import pandas as pd

from ta_assets.core.crossfit.fit import TRAINED_BASELINES, UNTRAINED
from ta_assets.core.errors import InputError
from ta_assets.core.score_columns import ScoreTable
from ta_assets.core.traces.labels import label_problems
from ta_assets.core.values import CrossFitted, Problem
from ta_assets.ledger.ledger import Materialization
from ta_assets.ledger.world import World
from ta_assets.pages.report.content import Content
from ta_assets.studies.loading import load_studies
from ta_assets.studies.study import Study
from ta_checks.report.report import CheckRow, ReleaseReport
from ta_checks.table import INVARIANTS
from ta_checks.verdict import Verdict
from ta_resources.rollouts.resource import RolloutsResource

N_PROBLEMS = 8
RIVAL = "text_tfidf"
SHA = "a" * 64
Edit = Callable[[Problem], Problem]


@dataclasses.dataclass
class Store:
    """Values by asset and partition."""

    local_folder: Path
    values: dict[tuple[str, str], Any]

    def load(self, asset: str, partition: str) -> Any:
        """One value."""
        if (asset, partition) not in self.values:
            raise InputError(asset, partition, None, "an artifact")
        return self.values[asset, partition]

    def exists(self, asset: str, partition: str) -> bool:
        """Whether there is one."""
        return (asset, partition) in self.values

    def hashes(self, asset: str, partition: str) -> dict[str, str]:
        """One file."""
        return {f"{asset}/{partition}/value.json": SHA} if self.exists(asset, partition) else {}


class Rollouts:
    """The embedded rollouts with other texts."""

    def __init__(self, edit: Edit) -> None:
        self.edit, self.of = edit, RolloutsResource()

    def read_problems(self, source: Any, problem_ids: Sequence[int]) -> Any:
        """The wanted problems."""
        return ((one, self.edit(self.of.load_problem(source, one))) for one in problem_ids)

    def kept_rollouts(self, *given: Any) -> int:
        """As the embedded ones."""
        return self.of.kept_rollouts(*given)

    def load_rollouts(self, *given: Any) -> Any:
        """As the embedded ones."""
        return self.of.load_rollouts(*given)


class Ledger:
    """Every artifact was made at one time, of nothing."""

    def materialization(self, asset: str, partition: str) -> Materialization:
        """The same of all."""
        files = {f"{asset}/{partition}/value.json": SHA}
        made_from = {"source": {"sha256": SHA}, "text": "of an option"}
        return Materialization(1, "run", 0.0, {"files": files, "made_from": made_from, "code_sha256": SHA}, SHA)

    def parents(self, asset: str, partition: str) -> list[tuple[str, str]]:
        """A short way to the data."""
        return [("problem_ids", partition)] if asset == "probe_comparison" else []

    def code_version(self, asset: str) -> str:
        """The same of all."""
        return "1"


def world_of(folder: Path, edit: Edit = lambda problem: problem, red: Sequence[CheckRow] = ()) -> tuple[World, Study]:
    """A world whose page can be made.

    Args:
        folder: of its artifacts; need not exist.
        edit: of every problem.
        red: rows of the verdict beside those that pass.
    """
    studies = load_studies("embedded")
    study = studies.selected
    values: dict[tuple[str, str], Any] = {("release_verdict", study.name): _verdict(study, red)}
    rollouts = Rollouts(edit)
    for name, setting in study.settings.items():
        made = _artifacts(name)
        values |= made
        problems = rollouts.read_problems(study.source(setting.corpus), made["problem_ids", name])
        values["sentences", setting.corpus] = label_problems([problem for _, problem in problems], study.labels)
    _keep(folder / study.name, study, red)
    world = World(studies, cast(Any, Store(folder, values)), cast(Any, rollouts), cast(Any, None), cast(Any, Ledger()))
    return world, study


@cache
def _artifacts(setting: str) -> dict[tuple[str, str], Any]:
    """What no text decides, made once: problems, scores and comparison."""
    study = load_studies("embedded").selected
    source, rollouts = study.source(study.settings[setting].corpus), RolloutsResource()
    chosen = sorted(rollouts.list_problem_ids(source), key=lambda one: (one != 10, one))[:N_PROBLEMS]
    rows = label_problems(rollouts.load_problems(source, chosen), study.labels)
    fitted = _fitted(rows, len(setting))
    return {
        ("problem_ids", setting): sorted(chosen),
        ("cv_scores", setting): fitted,
        ("probe_comparison", setting): _compared(fitted),
    }


def large(small: Content, problems: int, sentences: int) -> Content:
    """The same page with so many problems of so many sentences in its first setting."""
    setting = next(iter(small.traces))
    one = max(small.traces[setting].values(), key=lambda trace: len(trace["text"]))
    times = -(-sentences // len(one["text"]))
    lists = {key: (value * times)[:sentences] for key, value in one.items() if isinstance(value, list)}
    scores = {name: (value * times)[:sentences] for name, value in one["scores"].items()}
    trace = {**one, **lists, "scores": scores, "replaced": {}}
    trace["text"] = [f"{text} Therefore the value that was found before is used again here." for text in trace["text"]]
    entry = small.main["problems"][setting][0]
    index = [{**entry, "id": number, "n": sentences} for number in range(problems)]
    main = {**small.main, "problems": {**small.main["problems"], setting: index}}
    return Content(main, {**small.traces, setting: dict.fromkeys(range(problems), trace)})


def _compared(fitted: CrossFitted) -> dict[str, Any]:
    """A comparison with a row for each score, by made-up leads."""
    rows = []
    for at, name in enumerate(fitted.table.names()):
        baseline = name in (*UNTRAINED, *TRAINED_BASELINES)
        lead = -0.05 if baseline else 0.17 - 0.01 * at
        interval = {"low": lead - 0.1, "high": lead + 0.1, "ap_low": 0.4, "ap_high": 0.9}
        share = {"share_of_ceiling": 0.5, "share_low": 0.3, "share_high": 0.7}
        verdict = {"verdict": "better", "reason": f"than {RIVAL}", "p": 0.01, "level": 0.02}
        head = {"name": name, "kind": "baseline" if baseline else "probe", "against": "chance" if baseline else RIVAL}
        power = {"deviation": 0.26, "needed": 41}
        rows.append({**head, "average_precision": 0.6, "difference": lead, **interval, **share, **verdict, **power})
    rows.sort(key=lambda row: row["kind"] != "probe")
    return {"n_problems": N_PROBLEMS, "chance": 0.3, "ceiling": {"oracle": 0.95, "repeat": 0.9}, "rows": rows}


def _fitted(rows: pd.DataFrame, seed: int) -> CrossFitted:
    rng = np.random.default_rng(seed)
    anchor, n = rows["anchor"].to_numpy(), len(rows)
    blocks = {f"ridge@{block}": 0.5 + 0.3 * block for block in (1, 2, 3)}
    strength = {**dict.fromkeys((*UNTRAINED, *TRAINED_BASELINES), 0.2), RIVAL: 0.6, "lda": 1.8, **blocks}
    scores = {name: (rng.normal(size=n) + size * anchor)[None] for name, size in strength.items()}
    scores["order"] = -rows["chunk_idx"].to_numpy(np.float64)[None]
    hypotheses = (*(f"{one}|0" for one in blocks), "lda")
    names = [f"{scheme}/{name}" for scheme in ("shuffled", "stratified") for name in hypotheses]
    nulls = pd.DataFrame({name: np.r_[0.6 + 0.02 * at, rng.normal(0.35, 0.04, 50)] for at, name in enumerate(names)})
    ids = sorted(set(rows["problem_id"].tolist()))
    record = {"scheme": "leave_one_problem_out", "repeats": [[[one] for one in ids]], "fewest_train": len(ids) - 1,
              "blocks": [1, 2, 3], "choices": {}}  # fmt: skip
    frame = ScoreTable.of_scores(rows, scores).frame
    return CrossFitted(scores=frame, nulls=nulls, without=pd.DataFrame(), record=record)


def _verdict(study: Study, red: Sequence[CheckRow]) -> dict[str, Any]:
    passed = Verdict.judge(0, "<=", 0, unit="faults", n=7, message="looked at")
    rows = [
        CheckRow(one.name, one.asset, next(iter(study.settings)), one.severity, passed)
        for one in INVARIANTS
        if one.asset != "report"
    ]
    return ReleaseReport(study.name, (*red, *rows), {}, {"git": {"commit": "c" * 40, "clean": True}}).to_json()


def _keep(folder: Path, study: Study, red: Sequence[CheckRow]) -> None:
    for day in (1, 2):
        place = folder / "releases" / f"2026010{day}T000000Z-cccccccccccc-0000000{day}"
        place.mkdir(parents=True, exist_ok=True)
        about = {"ended": f"2026-01-0{day}T00:00:00+00:00", "verdict": "OK", "commit": "c" * 40}
        (place / "release.json").write_text(json.dumps(about), encoding="utf-8")
        (place / "verdict.json").write_text(json.dumps(_verdict(study, red)), encoding="utf-8")
