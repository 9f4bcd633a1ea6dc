"""A network is trained again: the right one agrees, one that saw other rows, labels or another seed does not."""

from __future__ import annotations

import dataclasses
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from ta_assets.core.options import ProbeOptions
from ta_assets.core.probes.models import ProbeData, fit_scores
from ta_checks.rules.cells.network_refits import network_refits, read
from ta_checks.verdict import Verdict
from tests.core.made_traces import made_rows, made_vectors

OPTIONS = ProbeOptions(mlp_hidden=16, mlp_max_iter=200)
ROWS = made_rows(12, n_sentences=12)
PARTS = np.where(ROWS["problem_id"] <= 8, "train", np.where(ROWS["problem_id"] <= 10, "val", "test"))
DATA = ProbeData(ROWS.assign(split=PARTS), made_vectors(ROWS, 3.0), PARTS == "train")
KEPT = np.flatnonzero(PARTS != "train")


def judged(data: ProbeData, seed: int, options: ProbeOptions = OPTIONS) -> Verdict:
    """The verdict on stored scores of a network that was trained on ``data``; the seed of the cell is the drawn one."""
    scores = fit_scores("mlp_probe", data, options, seed).scores
    predictions = ROWS[["problem_id", "chunk_idx"]].assign(score_mlp_probe=scores).take(KEPT)
    found = []
    for number in range(5):
        evidence: Any = SimpleNamespace(
            study=SimpleNamespace(probe_options=OPTIONS, seeds=5),
            world=SimpleNamespace(store=SimpleNamespace(hashes=lambda *_: {"a": "b"})),
            cell=SimpleNamespace(setting="s", seed=number),
            fold_rows={None: SimpleNamespace(rows=DATA.rows, vectors=DATA.vectors)},
            value=SimpleNamespace(predictions=predictions),
        )
        found.append(network_refits(**read(evidence)))
    (looked,) = [verdict for verdict in found if verdict.n]
    assert all(verdict.passed and "was drawn" in verdict.message for verdict in found if verdict is not looked)
    return looked


def test_the_network_of_the_drawn_seed_agrees_to_the_digit() -> None:
    verdict = judged(DATA, drawn())
    assert (verdict.status, verdict.n) == ("passed", len(KEPT))
    assert isinstance(verdict.observed, float)
    assert verdict.observed < 1e-4


def drawn() -> int:
    """The seed that is looked at."""
    evidence: Any = SimpleNamespace(
        study=SimpleNamespace(probe_options=OPTIONS, seeds=5),
        world=SimpleNamespace(store=SimpleNamespace(hashes=lambda *_: {"a": "b"})),
        cell=SimpleNamespace(setting="s", seed=-1),
    )
    return read(evidence)["drawn"]


@pytest.mark.parametrize("fault", ["all rows", "other labels", "other vectors", "another seed"])
def test_a_network_that_was_trained_otherwise_does_not_agree(fault: str) -> None:
    anchors = ROWS["anchor"].to_numpy()
    data = {
        "all rows": dataclasses.replace(DATA, train=np.ones(len(ROWS), dtype=bool)),
        "other labels": dataclasses.replace(DATA, rows=DATA.rows.assign(anchor=np.roll(anchors, 1))),
        "other vectors": dataclasses.replace(DATA, vectors=np.roll(DATA.vectors, 1, axis=0)),  # type: ignore[arg-type]
        "another seed": DATA,
    }[fault]
    verdict = judged(data, drawn() + (fault == "another seed"))
    assert verdict.status == "failed", verdict.message


def test_scores_that_are_no_numbers_fail_and_a_study_without_a_network_says_so() -> None:
    assert network_refits(np.array([np.nan]), np.array([1.0]), 0).status == "failed"
    absent = network_refits(None, None, None)
    assert (absent.passed, absent.n, absent.message) == (True, 0, "not evaluated because the study has no such network")
