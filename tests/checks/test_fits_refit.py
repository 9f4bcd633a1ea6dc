"""Folds are fitted again by other code: healthy ones agree, and each weakening of a probe or a rival is named."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from ta_assets.core.crossfit import fit, ridge
from ta_assets.core.crossfit.cross_fitted import cross_fitted
from ta_assets.core.options import InferenceOptions
from ta_assets.core.probes import feature_sets
from ta_assets.core.values import CrossFitted
from ta_checks.rules.refits import own_fits
from ta_checks.rules.refits.fits_refit import fits_refit, read
from ta_checks.rules.refits.own_fits import Part
from ta_checks.verdict import Verdict
from tests.core.made_traces import made_rows, made_vectors

OPTIONS = InferenceOptions.model_construct(permutations=3, seed=0)
ROWS = made_rows(9, n_sentences=12)
BLOCKS = {2: made_vectors(ROWS, 1.0, d=10), 4: made_vectors(ROWS, 0.5, d=10, seed=5)}


def fitted() -> CrossFitted:
    return cross_fitted(ROWS, BLOCKS, OPTIONS)


@pytest.fixture(scope="module")
def healthy() -> CrossFitted:
    return fitted()


def judged(value: CrossFitted, rows: pd.DataFrame = ROWS) -> Verdict:
    store = SimpleNamespace(load=lambda *_: sorted(set(rows["problem_id"])))
    joined = SimpleNamespace(rows=rows, at=BLOCKS.__getitem__)
    world = SimpleNamespace(store=store)
    evidence: Any = SimpleNamespace(value=value, partition="p", world=world, joined=lambda _: joined)
    return fits_refit(**read(evidence))


def test_fits_of_every_score_in_three_folds_agree(healthy: CrossFitted) -> None:
    verdict = judged(healthy)
    assert (verdict.status, verdict.offenders) == ("passed", ())
    unseen = [name for name in healthy.table.names() if name.startswith(("ridge_anchor", "ridge_true"))]
    assert verdict.n == 3 * (len(healthy.table.names()) - len(unseen))
    assert f"{len(unseen)} scores are trained on what rollouts say, and not looked at" in verdict.message
    assert verdict.details["largest_share_of_bound"] < 0.5


def fewer_knots(patch: pytest.MonkeyPatch) -> str:
    patch.setattr(feature_sets, "RELATIVE_KNOTS", 4)
    return "position_spline"


def fewer_components(patch: pytest.MonkeyPatch) -> str:
    patch.setattr(feature_sets, "TEXT_COMPONENTS", 5)
    return "text_tfidf"


def other_texts(patch: pytest.MonkeyPatch) -> str:
    right = feature_sets._text
    patch.setattr(feature_sets, "_text", lambda texts: right(texts[1:] + texts[:1]))
    return "text_tfidf"


def worst_penalty(patch: pytest.MonkeyPatch) -> str:
    def worst(spectrum: Any, target: np.ndarray, groups: np.ndarray) -> tuple[float, float]:
        grid = ridge.penalties(spectrum)
        errors = ridge.left_out_errors(spectrum, target, groups, grid)
        return float(grid[np.argmax(errors)]), float(errors.max())

    patch.setattr(ridge, "best_penalty", worst)
    return "ridge@2"


def trained_on_held_out(patch: pytest.MonkeyPatch) -> str:
    right = fit.folds_of

    def leaking(*given: Any) -> Any:
        for fold in right(*given):
            yield SimpleNamespace(**{**vars(fold), "train": np.arange(len(ROWS))})

    patch.setattr(fit, "folds_of", leaking)
    return "sentence_length"


def later_first(patch: pytest.MonkeyPatch) -> str:
    patch.setattr(fit, "untrained_scores", lambda rows: {"order": rows["chunk_idx"].to_numpy(np.float64)})
    return "order"


FAULTS = (fewer_knots, fewer_components, other_texts, worst_penalty, trained_on_held_out, later_first)


@pytest.mark.parametrize("plant", FAULTS)
def test_a_probe_or_rival_that_is_not_what_it_says_is_named(
    plant: Callable[[pytest.MonkeyPatch], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    named = plant(monkeypatch)
    verdict = judged(fitted())
    assert verdict.status == "failed"
    assert any(offender.startswith(f"{named},") for offender in verdict.offenders), verdict.offenders


def test_turning_the_labels_of_a_held_out_problem_moves_none_of_its_scores_by_a_bit(healthy: CrossFitted) -> None:
    own = ROWS["problem_id"].to_numpy() == 4
    turned = ROWS.assign(anchor=np.where(own, 1 - ROWS["anchor"], ROWS["anchor"]))
    scores = cross_fitted(turned, BLOCKS, OPTIONS).scores
    columns = [name for name in scores.columns if "/" in name]
    pd.testing.assert_frame_equal(scores.loc[own, columns], healthy.scores.loc[own, columns], check_exact=True)
    assert not scores.loc[~own, columns].equals(healthy.scores.loc[~own, columns]), "the others train on them"


def test_a_score_that_nobody_knows_is_a_fault(healthy: CrossFitted) -> None:
    strange = CrossFitted(**{**vars(healthy), "scores": healthy.scores.rename(columns={"order/0": "oracle/0"})})
    verdict = judged(strange)
    assert any("nobody can say how it is fitted" in offender for offender in verdict.offenders)


def test_other_folds_are_drawn_from_other_scores(healthy: CrossFitted) -> None:
    drawn = set()
    for scale in range(1, 9):
        scores = healthy.scores.assign(**{"order/0": healthy.scores["order/0"] * scale})
        value = CrossFitted(**{**vars(healthy), "scores": scores})
        store = SimpleNamespace(load=lambda *_: sorted(set(ROWS["problem_id"])))
        joined = SimpleNamespace(rows=ROWS, at=BLOCKS.__getitem__)
        evidence: Any = SimpleNamespace(
            value=value, partition="p", world=SimpleNamespace(store=store), joined=lambda _, joined=joined: joined
        )
        drawn.add(next(iter(read(evidence)["refits"]))[0])
    assert len(drawn) > 2


def part() -> Part:
    rng = np.random.default_rng(0)
    problems = np.repeat(np.arange(6), 5)
    labels = (rng.random(30) < 0.4).astype(int)
    return Part(rng.normal(size=(30, 4)), rng.normal(size=(3, 4)), labels, labels - 0.4, problems)


def test_errors_left_out_in_closed_form_are_those_of_refits() -> None:
    from sklearn.linear_model import Ridge

    own, penalties = part(), [0.1, 3.0]
    expected = []
    for penalty in penalties:
        total = 0.0
        for problem in range(6):
            kept = own.problems != problem
            model = Ridge(alpha=penalty, fit_intercept=False).fit(own.trained[kept], own.target[kept])
            total += float(((own.target[~kept] - model.predict(own.trained[~kept])) ** 2).sum())
        expected.append(total)
    assert own_fits.left_out_errors(own, penalties) == pytest.approx(expected)


def test_inner_errors_are_the_same_with_more_columns_than_rows() -> None:
    from sklearn.linear_model import Ridge

    own = part()
    for rows in (own.trained, np.hstack([own.trained] * 12)):
        total = 0.0
        for fold in range(5):
            kept = own.inner != fold
            model = Ridge(alpha=1.0, fit_intercept=False).fit(rows[kept], own.target[kept])
            total += float(((own.target[~kept] - model.predict(rows[~kept])) ** 2).sum())
        assert own_fits.inner_error(own, rows) == pytest.approx(total)
