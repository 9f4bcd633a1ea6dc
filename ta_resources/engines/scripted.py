"""An engine whose every probability is written down: a finite tree of sentences, with importances that are exact.

It carries the proof of everything that is built on rollouts. Belongs here: the tree, drawing from it, what is exactly
true of it, planned failures. Stays out: models. A token is one character.
"""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ta_assets.core.campaign.records import Completion, FinishReason, Sampling
from ta_assets.core.errors import InputError
from ta_resources.engines.protocol import EngineUnavailableError, checked, require_room

END_TOKENS = 1
"""The end of a text is a token, and is counted as one."""
FAILURES = ("timeout", "empty", "endless", "too_many_tokens", "refused", "unavailable")
"""What can be planned: no answer in time; no text at all; no end before the limit; a count of tokens that is not true;
an error of one request; an engine that is gone for one call."""


@dataclass(frozen=True)
class Node:
    """A sentence, and what can follow it."""

    text: str
    """With the whitespace that parts it from what stands behind it."""
    following: tuple[tuple[float, Node], ...] = ()
    """Chances, which sum to 1, and nodes; none for the end of a text. Their texts begin differently."""
    right: bool | None = None
    """At an end: whether the answer is right; None where there is none."""


@dataclass(frozen=True)
class Truth:
    """What is exactly true of one place of a trace."""

    accuracy: float
    """Share of right answers among answered rollouts of this prefix."""
    different: float | None
    """The same among those with another sentence in its place; None where there is no other."""
    share_different: float
    """Of the answered rollouts, those with another sentence."""


@dataclass
class ScriptedEngine:
    """Draws texts from a tree.

    Attributes:
        root: the prompt.
        failures: seed -> one of ``FAILURES``; ``unavailable`` happens once a seed, as a server that comes back.
    """

    root: Node
    failures: Mapping[int, str] = field(default_factory=dict)
    _gone: set[int] = field(default_factory=set)

    @property
    def batches_at_once(self) -> int:
        """One: it computes by itself."""
        return 1

    def identity(self) -> Mapping[str, Any]:
        """The hash of the tree."""
        return {"kind": "scripted", "sha256": _sha256(self.root, {})}

    def encode(self, text: str) -> list[int]:
        """Code points."""
        return [ord(one) for one in text]

    def decode(self, token_ids: Sequence[int]) -> str:
        """Characters."""
        return "".join(map(chr, token_ids))

    def sample(self, prefix_token_ids: Sequence[int], seeds: Sequence[int], sampling: Sampling) -> list[Completion]:
        """One walk down the tree per seed; see ``Engine.sample``."""
        room, prefix = require_room(prefix_token_ids, sampling), self.decode(prefix_token_ids)
        for seed in seeds:
            if self.failures.get(seed) == "unavailable" and seed not in self._gone:
                self._gone.add(seed)
                raise EngineUnavailableError("the scripted engine was told to be gone")
        return [self._one(prefix, seed, room) for seed in seeds]

    def truth(self, prefix: str, sentence: str) -> Truth:
        """What is true behind a prefix, where the trace goes on with ``sentence``; both with their whitespace."""
        node, left = self._at(prefix)
        if left:
            raise InputError("script", "prefix", prefix, "a prefix that ends with a sentence")
        known: dict[int, tuple[float, float]] = {}
        right, answered = _mass(node, known)
        same = [(chance, one) for chance, one in node.following if one.text == sentence]
        other_right, other = (
            whole - sum(chance * _mass(one, known)[part] for chance, one in same)
            for part, whole in enumerate((right, answered))
        )
        return Truth(
            accuracy=right / answered if answered else 0.0,
            different=other_right / other if other > 1e-12 else None,
            share_different=other / answered if answered else 0.0,
        )

    def _one(self, prefix: str, seed: int, room: int) -> Completion:
        n = len(prefix)
        failure = self.failures.get(seed, "")
        if failure in ("timeout", "refused"):
            return Completion.failed(f"the scripted engine was told to fail: {failure}", n)
        node, text = self._at(prefix)
        rng = random.Random(seed)
        while node.following and len(text) <= room:
            node = rng.choices([one for _, one in node.following], [chance for chance, _ in node.following])[0]
            text += node.text
        if failure == "empty":
            text = ""
        if failure == "endless":
            text += " and so on" * (room // len(" and so on") + 1)
        ended = len(text) + END_TOKENS <= room
        text = text if ended else text[:room]
        counted = len(text) + END_TOKENS * ended + (7 if failure == "too_many_tokens" else 0)
        reason = FinishReason.STOP if ended else FinishReason.LENGTH
        return checked(Completion(tuple(self.encode(text)), text, reason, n, counted), n, room, self.decode)

    def _at(self, prefix: str) -> tuple[Node, str]:
        """The last node that a prefix has reached, and what is left of that node's text."""
        node, left = self.root, prefix
        while True:
            if not left.startswith(node.text):
                if node.text.startswith(left):
                    return node, node.text[len(left) :]
                raise InputError("script", "prefix", prefix[-60:], "a text of the tree")
            left = left[len(node.text) :]
            if not left:
                return node, ""
            reached = [one for _, one in node.following if one.text[:1] == left[:1] and _fits(one.text, left)]
            if len(reached) != 1:
                raise InputError("script", "prefix", prefix[-60:], "a text of the tree that tells its place")
            node = reached[0]


def _fits(text: str, left: str) -> bool:
    return left.startswith(text) or text.startswith(left)


def _mass(node: Node, known: dict[int, tuple[float, float]]) -> tuple[float, float]:
    """Chances of a right answer and of any answer below a node; branches may lead to the same node."""
    if id(node) not in known:
        if node.following:
            parts = [(chance, *_mass(one, known)) for chance, one in node.following]
            sums = (sum(chance * right for chance, right, _ in parts), sum(chance * told for chance, _, told in parts))
            known[id(node)] = sums
        else:
            known[id(node)] = float(node.right is True), float(node.right is not None)
    return known[id(node)]


def _sha256(node: Node, known: dict[int, str]) -> str:
    if id(node) not in known:
        content = [node.text, node.right, [[chance, _sha256(one, known)] for chance, one in node.following]]
        known[id(node)] = hashlib.sha256(json.dumps(content).encode()).hexdigest()
    return known[id(node)]
