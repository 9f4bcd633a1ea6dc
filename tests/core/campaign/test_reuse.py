"""A rollout that repeats a sentence, token for token, is one of the next prefix too."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from ta_assets.core.campaign.prefixes import cut_trace
from ta_assets.core.campaign.records import Completion, FinishReason, Outcome, Rollout
from ta_assets.core.campaign.reuse import repeated, with_reused

PROMPT = "Prompt: <think>"
SENTENCES = ("First it is so. ", "Then it goes on. ", "In the end it is four.")


def encode(text: str) -> tuple[int, ...]:
    return tuple(map(ord, text))


def decode(ids) -> str:
    return "".join(map(chr, ids))


TRACE = cut_trace(encode(PROMPT + "".join(SENTENCES)), len(PROMPT), decode)


def rollout(text: str, index: int = 0, *, known: bool = True) -> Rollout:
    whole = Completion(encode(text) if known else (), text, FinishReason.STOP, 10, len(text) + 1)
    return Rollout(index, index, whole, "4", Outcome.RIGHT)


def test_repeated_sentences_are_counted_up_to_the_last_but_one() -> None:
    whole = "".join(SENTENCES)
    assert repeated(encode(whole), TRACE, 0) == 2
    assert repeated(encode(SENTENCES[1] + "No."), TRACE, 1) == 1
    assert repeated(encode(SENTENCES[1]), TRACE, 0) == 0
    assert repeated(encode(SENTENCES[0][:-1]), TRACE, 0) == 0
    assert repeated(encode(SENTENCES[2]), TRACE, 2) == 0


def test_what_is_left_behind_the_repeated_sentences_is_the_draw() -> None:
    draws = with_reused(TRACE, {0: [rollout(SENTENCES[0] + SENTENCES[1] + "So four.")], 1: []}, decode)
    assert [one.rollout.completion.text for one in draws[1]] == [SENTENCES[1] + "So four."]
    assert [one.rollout.completion.text for one in draws[2]] == ["So four."]
    last = draws[2][0].rollout.completion
    gone = len(SENTENCES[0] + SENTENCES[1])
    assert (draws[2][0].drawn_at, last.prompt_tokens) == (0, 10 + gone)
    assert last.generated_tokens == len("So four.") + 1
    assert draws[2][0].rollout.outcome == Outcome.RIGHT


def test_own_draws_come_first_and_nothing_is_reused_when_that_is_off() -> None:
    rollouts = {0: [rollout(SENTENCES[0])], 1: [rollout("Other.", 7)]}
    assert [one.drawn_at for one in with_reused(TRACE, rollouts, decode)[1]] == [1, 0]
    assert [one.drawn_at for one in with_reused(TRACE, rollouts, decode, reuse=False)[1]] == [1]


def test_a_rollout_whose_tokens_nobody_knows_is_only_its_own() -> None:
    assert set(with_reused(TRACE, {0: [rollout(SENTENCES[0], known=False)]}, decode)) == {0}


@given(st.lists(st.sampled_from([*SENTENCES, "Another way. ", "First it"]), max_size=4), st.integers(0, 2))
def test_a_reused_draw_and_what_it_repeats_are_the_rollout(parts: list[str], sentence: int) -> None:
    text = "".join(parts)
    draws = with_reused(TRACE, {sentence: [rollout(text)]}, decode)
    for place, own in draws.items():
        for draw in own:
            assert "".join(SENTENCES[sentence:place]) + draw.rollout.completion.text == text
