"""The price before the first token."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ta_assets.core.campaign.cost import Workload, estimate, prefixes_of

ONE = Workload(
    problems=1,
    traces=1,
    base_tries=0,
    sentences=142,
    all_sentences=142,
    rollouts=100,
    prompt_tokens=100,
    trace_tokens=4178,
)


def test_a_problem_of_the_published_size_costs_about_what_the_published_one_did() -> None:
    cost = estimate(ONE)
    assert cost.rollouts == 14_200
    assert cost.generated_tokens == pytest.approx(38e6, rel=0.25)
    assert cost.unshared_prompt_tokens == pytest.approx(33.6e6, rel=0.1)
    assert cost.prompt_tokens < 5_000
    assert cost.hours(4500) == pytest.approx(cost.generated_tokens / 4500 / 3600)


def test_base_tries_and_rollouts_are_counted_apart() -> None:
    tried = estimate(replace(ONE, problems=3, base_tries=40))
    assert tried.rollouts == estimate(ONE).rollouts + 120
    assert tried.generated_tokens == estimate(ONE).generated_tokens + 120 * 4178


def test_scattered_sentences_need_the_next_prefix_each() -> None:
    assert prefixes_of(142, 142) == 142
    assert prefixes_of(1, 142) == pytest.approx(2, abs=0.01)
    assert 24 < prefixes_of(24, 142) <= 48
