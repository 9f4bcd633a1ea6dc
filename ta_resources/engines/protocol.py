"""What a campaign asks of an engine, and how an engine says that it is not there.

Belongs here: the protocol, its errors, what every engine checks. Stays out: single engines.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from ta_assets.core.campaign.records import Completion, FinishReason, Sampling
from ta_assets.core.errors import InputError


class EngineUnavailableError(ConnectionError):
    """The engine as a whole does not answer: nothing is recorded, and a campaign goes on from there when it does."""


class Engine(Protocol):
    """A source of completions.

    The completion of a seed depends on prefix, seed and sampling alone (up to the rounding of a batch), never on what
    else is sampled with it. A rollout that fails by itself is a completion with ``finish_reason`` error, and is never
    drawn again; an engine that fails as a whole raises ``EngineUnavailableError``.
    """

    @property
    def batches_at_once(self) -> int:
        """How many calls of ``sample`` may run at once; an engine that computes by itself takes one."""
        ...

    def identity(self) -> Mapping[str, Any]:
        """What decides model and tokenizer, JSON-able: no path, no address, no device."""
        ...

    def encode(self, text: str) -> list[int]:
        """Token ids of a text, without special tokens that are not written in it."""
        ...

    def decode(self, token_ids: Sequence[int]) -> str:
        """The text of token ids, special tokens included."""
        ...

    def sample(self, prefix_token_ids: Sequence[int], seeds: Sequence[int], sampling: Sampling) -> list[Completion]:
        """One completion per seed, in their order.

        Raises:
            InputError: there is no room for a token behind the prefix, or it has no token.
            EngineUnavailableError: see there.
        """
        ...


def require_room(prefix_token_ids: Sequence[int], sampling: Sampling) -> int:
    """How many tokens a rollout of this prefix may have; at least 1.

    Raises:
        InputError: none, or the prefix is empty.
    """
    if not len(prefix_token_ids):
        raise InputError("prefix", "tokens", 0, "at least one: a model goes on from something")
    room = sampling.room(len(prefix_token_ids))
    if room < 1:
        expected = f"more than the {len(prefix_token_ids)} tokens of a prefix, so that a rollout has room"
        raise InputError("sampling", "max_total_tokens", sampling.max_total_tokens, expected)
    return room


def checked(
    completion: Completion, prefix_tokens: int, room: int, decode: Callable[[Sequence[int]], str]
) -> Completion:
    """The completion, or where it contradicts itself or what was asked, a failed one that says in what.

    Args:
        completion: what an engine gave.
        prefix_tokens: how many tokens it was to read.
        room: how many it might generate.
        decode: the engine's.
    """
    if completion.finish_reason == FinishReason.ERROR:
        return completion
    text, ids, generated = completion.text, completion.token_ids, completion.generated_tokens
    ended = completion.finish_reason == FinishReason.STOP
    faults = (
        (completion.prompt_tokens != prefix_tokens, f"it read {completion.prompt_tokens} tokens of {prefix_tokens}"),
        (not 0 <= generated <= room, f"it generated {generated} tokens of at most {room}"),
        (not ended and generated < room, f"it was cut off at {generated} of {room} tokens"),
        (bool(ids) and not 0 <= generated - len(ids) <= ended, f"it counts {generated} tokens and gives {len(ids)}"),
        (bool(text) and not generated, f"no tokens, but a text of {len(text)} characters"),
        (bool(ids) and decode(ids) != text, "its text is not that of its tokens"),
    )
    found = [words for wrong, words in faults if wrong]
    return Completion.failed("; ".join(found), prefix_tokens) if found else completion
