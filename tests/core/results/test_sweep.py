"""Scores of configurations without the test problems, and p-values that know how many were tried."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.stats import spearmanr
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score
from sklearn.preprocessing import StandardScaler

from ta_assets.core.options import ProbeOptions
from ta_assets.core.probes.models import ProbeData, fit_scores
from ta_assets.core.results.sweep import cross_validated, leaderboard

OPTIONS = ProbeOptions(mlp_hidden=4, mlp_max_iter=5)


@pytest.fixture(scope="module")
def data() -> ProbeData:
    rng = np.random.default_rng(0)
    n_problems, n_sentences = 7, 15
    n = n_problems * n_sentences
    index, problem = np.tile(np.arange(n_sentences), n_problems), np.repeat(np.arange(n_problems), n_sentences)
    importance = rng.normal(size=n)
    rows = pd.DataFrame(
        {
            "problem_id": problem,
            "chunk_idx": index,
            "num_chunks": n_sentences,
            "chunk_text": [f"word{i % 9}" for i in range(n)],
            "function_tag": rng.choice(["plan", "compute"], n),
            "anchor": (np.abs(importance) > 1.2).astype(int),
            "importance_signed": importance,
            "importance_score": np.abs(importance),
            "relative_position": (index / (n_sentences - 1)).astype(np.float32),
            "token_count": rng.integers(3, 30, n),
            "split": np.array(["train"] * 4 + ["val"] + ["test"] * 2)[problem],
        }
    )
    vectors = rng.normal(size=(n, 6)).astype(np.float32)
    vectors[:, 0] += np.abs(importance)
    return ProbeData.of(rows, vectors)


def test_each_problem_outside_the_test_is_scored_by_a_probe_that_did_not_see_it(data: ProbeData) -> None:
    found = cross_validated(data, OPTIONS, "linear_probe")
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    assert (found["metric"], found["problems"]) == ("average_precision", [0, 1, 2, 3, 4])
    assert data.vectors is not None
    groups, anchors = data.rows["problem_id"].to_numpy(), data.rows["anchor"].to_numpy()
    for problem, value in zip(found["problems"], found["probe"], strict=True):
        train, out = (groups != problem) & (groups < 5), groups == problem
        scaler = StandardScaler().fit(data.vectors[train])
        model = LogisticRegression(class_weight="balanced", max_iter=1000)
        model.fit(scaler.transform(data.vectors[train]), anchors[train])
        scores = model.predict_proba(scaler.transform(data.vectors[out]))[:, 1].astype(np.float32)
        assert value == pytest.approx(average_precision_score(anchors[out], scores))


def test_test_problems_change_nothing(data: ProbeData) -> None:
    assert data.vectors is not None
    test = (data.rows["split"] == "test").to_numpy()
    rows = data.rows.assign(anchor=np.where(test, 1 - data.rows["anchor"], data.rows["anchor"]))
    spoiled = ProbeData.of(rows, np.where(test[:, None], 99, data.vectors).astype(np.float32))
    assert cross_validated(spoiled, OPTIONS, "linear_probe") == cross_validated(data, OPTIONS, "linear_probe")


def test_a_continuous_target_with_residuals_is_scored_by_ranks_within_its_fold(data: ProbeData) -> None:
    options = OPTIONS.model_copy(update={"target": "importance_abs"})
    plain = cross_validated(data, options, "position_baseline")
    assert plain["metric"] == "spearman"
    assert len(plain["baseline"]) == len(plain["probe"]) == 5
    left = cross_validated(data, options.model_copy(update={"residualize_against": "position"}), "linear_probe")
    assert left["problems"] == plain["problems"]
    assert np.mean(left["probe"]) > 0.3, "what the vectors say is not explained by position"


def test_a_problem_of_one_class_has_no_score(data: ProbeData) -> None:
    rows = data.rows.assign(anchor=data.rows["anchor"].where(data.rows["problem_id"] != 2, 0))
    found = cross_validated(ProbeData.of(rows, data.vectors), OPTIONS, "linear_probe")
    assert [value is None for value in found["probe"]] == [False, False, True, False, False]


def cell(key: str, target: str, probe: list[float | None], problems: list[int], layer: int | str) -> dict[str, Any]:
    metric = "average_precision" if target == "anchor_binary" else "spearman"
    return {
        "key": key, "setting": "small", "target": target, "metric": metric, "factors": {"layer": layer},
        "problems": problems, "probe": probe, "baseline": [0.1] * len(problems),
    }  # fmt: skip


def test_the_leaderboard_ranks_within_a_target_and_aligns_problems() -> None:
    cells = [
        cell("a", "anchor_binary", [0.2, 0.3], [1, 2], layer=1),
        cell("b", "anchor_binary", [0.4, None, 0.6], [2, 3, 4], layer="mid"),
        cell("c", "importance_abs", [0.9, 0.9], [1, 2], layer=1),
    ]
    table = leaderboard(cells, permutations=50)
    assert table[["key", "rank"]].to_numpy().tolist() == [["b", 1], ["a", 2], ["c", 1]]
    assert table["n_problems"].tolist() == [2, 2, 2]
    assert table["score"].tolist() == pytest.approx([0.5, 0.25, 0.9])
    assert table["difference"].tolist() == pytest.approx([0.4, 0.15, 0.8])
    assert table["layer"].tolist() == ["mid", "1", "1"]
    assert table["t"].tolist()[:2] == pytest.approx([0.4 / 0.1 / np.sqrt(3), 3.0 / np.sqrt(3)]), "1 training problem"
    # four problems in all, so sixteen patterns: b reaches its t in the four that keep both of its signs
    assert table["p"].tolist() == pytest.approx([4 / 16] * 3)
    assert (table["adjusted_p"] >= table["p"]).all()
    assert table.equals(leaderboard(cells, permutations=50)), "the same cells, the same table"
    with pytest.raises(ValueError, match="no configuration"):
        leaderboard([])


def test_the_rival_knows_words_of_the_sentence_before_and_a_probe_that_knows_no_more_is_not_ahead() -> None:
    rng, n_problems, m = np.random.default_rng(1), 14, 14
    words = rng.integers(0, 2, (n_problems, m))
    told = np.hstack([np.zeros((n_problems, 1)), words[:, :-1]])
    rows = pd.DataFrame(
        {
            "problem_id": np.repeat(np.arange(n_problems), m),
            "chunk_idx": np.tile(np.arange(m), n_problems),
            "num_chunks": m,
            "chunk_text": [f"the {'left' if word else 'right'} one" for word in words.ravel()],
            "function_tag": "plan",
            "anchor": told.astype(int).ravel(),
            "importance_signed": told.ravel(),
            "importance_score": np.abs(told).ravel(),
            "relative_position": np.tile(np.arange(m) / (m - 1), n_problems),
            "token_count": 3,
            "split": np.array(["train"] * 10 + ["val"] * 2 + ["test"] * 2)[np.repeat(np.arange(n_problems), m)],
        }
    )
    vectors = (told.ravel()[:, None] + 2 * rng.normal(size=(len(rows), 6))).astype(np.float32)
    found = cross_validated(ProbeData.of(rows, vectors), OPTIONS, "linear_probe")
    known, probe = (np.mean([one for one in found[name] if one is not None]) for name in ("baseline", "probe"))
    assert known > 0.95 > probe


def test_ranks_within_a_problem_are_scipys(data: ProbeData) -> None:
    options = OPTIONS.model_copy(update={"target": "importance_signed"})
    found = cross_validated(data, options, "position_baseline")
    groups = data.rows["problem_id"].to_numpy()
    train = (groups != 0) & (groups < 5)
    scores = fit_scores("position_baseline", replace(data, train=train), options).scores
    wanted = spearmanr(scores[groups == 0], data.rows["importance_signed"].to_numpy()[groups == 0])[0]
    assert found["probe"][0] == pytest.approx(wanted)


def test_the_best_of_three_layers_that_learned_nothing_is_rarely_called_better() -> None:
    rng, n, wrong, runs = np.random.default_rng(0), 12, 0, 200
    for _ in range(runs):
        # leads of what was learned of nothing: each pair of problems is counted from both sides
        pairs = rng.normal(size=(3, n, n)) + rng.normal(size=(n, n))
        leads = ((pairs + pairs.transpose(0, 2, 1)).sum(axis=2) - 2 * pairs[:, range(n), range(n)]) / n
        cells = [cell(str(k), "anchor_binary", [0.1 + 0.01 * v for v in leads[k]], list(range(n)), k) for k in range(3)]
        wrong += leaderboard(cells, permutations=300)["adjusted_p"].min() <= 0.05
    assert wrong / runs <= 0.09  # P(more | 5 %) < 1 %
