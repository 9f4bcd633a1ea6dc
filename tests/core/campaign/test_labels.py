"""Labels are the dataset's formulas over the draws, with counts that add up."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import entropy

from ta_assets.core.campaign.labels import counts_of, label_sentences
from ta_assets.core.campaign.prefixes import cut_trace
from ta_assets.core.campaign.records import Completion, FinishReason, Outcome, Rollout
from ta_assets.core.campaign.reuse import Draw
from ta_assets.core.errors import InputError
from ta_assets.core.traces.rollout_counts import COUNT_COLUMNS, rollout_counts

PROMPT = "Prompt: <think>"
SENTENCES = ("First it is so. ", "Then it goes on. ", "In the end it is four.")
TRACE = cut_trace(tuple(map(ord, PROMPT + "".join(SENTENCES))), len(PROMPT), lambda ids: "".join(map(chr, ids)))


def draw(place: int, text: str, answer: str, outcome: Outcome, drawn_at: int | None = None) -> Draw:
    whole = Completion((), text, FinishReason.STOP, 5, 5)
    return Draw(Rollout(0, 0, whole, answer, outcome), place if drawn_at is None else drawn_at)


def group(place: int, **counts: int) -> tuple[list[Draw], np.ndarray]:
    """Draws by flag and answer: ``same_4``, ``other_5``; ``none`` without an answer, ``cut`` truncated, ``lost``."""
    draws, flags = [], []
    for name, count in counts.items():
        kind, _, answer = name.partition("_")
        outcome = {"4": Outcome.RIGHT, "5": Outcome.WRONG, "none": Outcome.NO_ANSWER, "cut": Outcome.TRUNCATED}[answer]
        text = SENTENCES[place] if kind == "same" else f" Some other way of it {name}."
        draws += [draw(place, text, answer if answer in "45" else "", outcome)] * count
        flags += [kind != "same"] * count
    return draws, np.array(flags, dtype=bool)


def labels(**options):
    first, first_flags = group(0, same_4=30, same_5=10, other_4=5, other_5=15, other_none=4, other_cut=6)
    second, second_flags = group(1, same_4=40, other_4=10, other_5=30, other_cut=20)
    third, third_flags = group(2, same_4=50, other_5=50)
    return label_sentences(
        TRACE,
        {0: first, 1: second, 2: third},
        {0: first_flags, 1: second_flags, 2: third_flags},
        stopped=options.get("stopped", False),
    )


def test_the_fields_are_the_published_formulas() -> None:
    first, second, third = labels()
    assert first["accuracy"] == pytest.approx(35 / 60)
    assert first["counterfactual_importance_accuracy"] == pytest.approx(5 / 20 - 50 / 80)
    assert first["resampling_importance_accuracy"] == pytest.approx(50 / 80 - 35 / 60)
    assert first["different_trajectories_fraction"] == pytest.approx(20 / 60)
    assert second["counterfactual_importance_accuracy"] == pytest.approx(10 / 40 - 50 / 100)
    assert third["counterfactual_importance_accuracy"] == 0
    assert first["resampling_importance_kl"] == pytest.approx(entropy([35 / 60, 25 / 60], [50 / 80, 30 / 80]))
    # all of the next sentence, and those of this one with the same sentence
    expected = entropy([5 / 20, 15 / 20], [(50 + 30) / 120, (30 + 10) / 120])
    assert first["counterfactual_importance_kl"] == pytest.approx(expected)
    assert first["overdeterminedness"] == pytest.approx(1 - 5 / 70)


def test_an_answer_that_only_one_group_gives_costs_its_floor() -> None:
    first, flags = group(0, other_4=10, same_5=10)
    second, second_flags = group(1, same_5=10)
    entries = label_sentences(TRACE, {0: first, 1: second}, {0: flags, 1: second_flags}, stopped=False)
    assert entries[0]["counterfactual_importance_kl"] == pytest.approx(math.log(1 / 1e-9))


def test_counts_outcomes_and_bounds_stand_beside_them() -> None:
    first, second, third = labels()
    assert [first[name] for name in COUNT_COLUMNS] == [20, 5, 80, 50]
    assert first["outcomes"] == {"right": 35, "wrong": 25, "no_answer": 4, "truncated": 6, "engine_error": 0}
    assert first["accuracy_bounds"] == [35 / 66, 41 / 66]
    assert first["importance_bounds"] == [pytest.approx(5 / 26 - 70 / 100), pytest.approx(11 / 26 - 50 / 100)]
    low, high = first["interval"]
    assert low < first["counterfactual_importance_accuracy"] < high < 0
    assert not {*COUNT_COLUMNS, "interval"} & {*third}
    assert second["reused"] == 0


def test_an_interval_under_stopping_is_wider() -> None:
    plain, stopped = labels()[0]["interval"], labels(stopped=True)[0]["interval"]
    assert stopped[0] < plain[0] < plain[1] < stopped[1]


def test_a_sentence_that_nobody_sampled_has_no_importance() -> None:
    first, flags = group(0, other_4=10, same_5=10)
    entries = label_sentences(TRACE, {0: first}, {0: flags}, stopped=False)
    assert "accuracy" in entries[0]
    for entry in entries:
        assert "counterfactual_importance_accuracy" not in entry
    assert [entry["chunk"] for entry in entries] == [one.strip() for one in SENTENCES]


def test_stored_counts_are_read_and_not_told_from_fractions() -> None:
    entries = labels()
    found = rollout_counts(entries, 100)
    assert [found[name][0] for name in COUNT_COLUMNS] == [20, 5, 80, 50]
    assert all(np.isnan(found[name][2]) for name in COUNT_COLUMNS)
    for wrong in ({"k_different": 21}, {"n_next": -1}, {"n_next": 1.5}, {"n_different": None}, {"k_next": True}):
        with pytest.raises(InputError, match="four counts"):
            rollout_counts([{**entries[0], **wrong}, *entries[1:]], 100)


def test_counts_of_draws_are_those_of_the_labels() -> None:
    first, flags = group(0, same_4=3, other_5=2, other_none=4)
    second, second_flags = group(1, same_4=1, other_5=6)
    counts = counts_of({0: first, 1: second}, {0: flags, 1: second_flags}, 3)
    assert counts.tolist() == [[2, 0, 7, 1], [6, 0, 0, 0], [0, 0, 0, 0]]


def test_flags_that_do_not_fit_the_draws_are_refused() -> None:
    first, _ = group(0, same_4=3)
    with pytest.raises(ValueError, match="flags"):
        label_sentences(TRACE, {0: first}, {0: np.ones(2, dtype=bool)}, stopped=False)
