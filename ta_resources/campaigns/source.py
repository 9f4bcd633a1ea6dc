"""Rollouts by their numbers: read where they are stored, sampled and stored where they are not.

Belongs here: what is asked of an engine, in which order, and when it is enough. Stays out: which numbers are wanted
(``run``), layout (``parts``).
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from ta_assets.core.campaign.records import Drawn, FinishReason, Sampling, key_of
from ta_assets.core.campaign.seeds import seed_of
from ta_assets.core.errors import InputError
from ta_resources.campaigns.parts import Parts
from ta_resources.engines.protocol import Engine, EngineUnavailableError, checked, require_room

_log = logging.getLogger(__name__)


class BudgetSpentError(Exception):
    """The tokens that a run may generate are spent; what is stored stays, and a run with more of them goes on there."""


class MissingRolloutsError(Exception):
    """Rollouts are wanted that are not stored, and there is no engine to sample them."""


@dataclass(frozen=True)
class Request:
    """Consecutive rollouts of one prefix: those with numbers in [first, end)."""

    prefix: tuple[int, ...]
    first: int
    end: int


class Source:
    """A store of rollouts and, where new ones may be made, the engine that makes them."""

    def __init__(
        self, parts: Parts, identity: dict, sampling: Sampling, engine: Engine | None, budget: int | None = None
    ) -> None:
        """Hold what is needed.

        Args:
            parts: where rollouts lie.
            identity: the engine's, also where there is none now.
            sampling: how tokens are drawn.
            engine: None to read only.
            budget: tokens that may be generated from now on; batches that were begun may go beyond. None for no limit.

        Raises:
            InputError: a budget that leaves nothing to do.
        """
        if budget is not None and budget < 1:
            raise InputError("generation", "budget", budget, "at least one token, or no budget")
        self.parts, self.sampling, self.engine, self.budget = parts, sampling, engine, budget
        self._identity = dict(identity)
        self._counting = threading.Lock()
        self.generated = 0
        """Tokens that this run has generated."""

    def key(self, prefix: Sequence[int]) -> str:
        """The key of a prefix's rollouts."""
        return key_of(self._identity, prefix, self.sampling)

    def fill(self, requests: Sequence[Request]) -> None:
        """Make sure that the rollouts are stored, each request as one part.

        What another process is making at the moment is left to it, and waited for at the end.

        Raises:
            BudgetSpentError, MissingRolloutsError: see there.
            EngineUnavailableError: the engine is gone, or fails at every rollout of a batch: nothing of it is stored.
            InputError: as ``Engine.sample``.
        """
        workers = 1 if self.engine is None else self.engine.batches_at_once
        for wait in (False, True):
            requests = self._each(requests, wait, min(workers, len(requests)))

    def read(self, prefix: Sequence[int], first: int, end: int) -> list[Drawn]:
        """Stored rollouts, all of them.

        Raises:
            MissingRolloutsError: some are not stored.
            InputError: a part that was changed.
        """
        key = self.key(prefix)
        found = self.parts.read(key, first, end)
        if len(found) != end - first:
            raise MissingRolloutsError(f"{end - first - len(found)} of {end - first} rollouts of key {key[:12]}…")
        return found

    def _each(self, requests: Sequence[Request], wait: bool, workers: int) -> list[Request]:
        """The requests that another process is at."""
        if workers <= 1:
            return [one for one in requests if not self._filled(one, wait=wait)]
        with ThreadPoolExecutor(workers) as pool:
            futures = [pool.submit(self._filled, one, wait=wait) for one in requests]
            try:
                return [one for one, future in zip(requests, futures, strict=True) if not future.result()]
            except BaseException:
                for future in futures:
                    future.cancel()
                raise

    def _filled(self, request: Request, *, wait: bool) -> bool:
        """Whether the request is stored now; False where another process is at it and is not waited for."""
        key = self.key(request.prefix)
        if not self.parts.missing(key, request.first, request.end):
            return True
        if self.engine is None:
            raise MissingRolloutsError(f"rollouts {request.first} to {request.end - 1} of key {key[:12]}…")
        with self.parts.claimed(key, request.first, wait=wait) as ours:
            if not ours:
                return False
            for first, end in self.parts.missing(key, request.first, request.end):
                self.parts.write(key, self._sampled(request.prefix, key, range(first, end)))
        return True

    def _sampled(self, prefix: tuple[int, ...], key: str, numbers: range) -> list[Drawn]:
        assert self.engine is not None
        if self.budget is not None and self.generated >= self.budget:
            raise BudgetSpentError(f"{self.generated} tokens were generated of {self.budget}")
        room, seeds = require_room(prefix, self.sampling), [seed_of(key, one) for one in numbers]
        given = self.engine.sample(prefix, seeds, self.sampling)
        if len(given) != len(seeds):
            raise EngineUnavailableError(f"{len(seeds)} rollouts were asked for, {len(given)} were given")
        found = [checked(one, len(prefix), room, self.engine.decode) for one in given]
        failed = [one.error for one in found if one.finish_reason == FinishReason.ERROR]
        if len(failed) == len(found) > 1:
            raise EngineUnavailableError(f"every one of {len(found)} rollouts failed; the first: {failed[0]}")
        for error in failed:
            _log.warning("a rollout failed, and is recorded as failed: %s", error)
        with self._counting:
            self.generated += sum(one.generated_tokens for one in found)
        return [Drawn(number, seed, one) for number, seed, one in zip(numbers, seeds, found, strict=True)]
