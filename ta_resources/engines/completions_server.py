"""A server that speaks ``/v1/completions`` (vLLM, SGLang, llama.cpp), which caches prefixes by itself.

Every rollout is a request of its own with a seed of its own: a server gives equal requests equal texts. Prompts are
sent as token ids, or as text to a server that takes none, and what the server counts is held against what was sent.
Belongs here: HTTP, retries, what a server says. Stays out: starting servers.
"""

from __future__ import annotations

import logging
import random
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Literal
from urllib.parse import urlsplit

import requests
import tenacity

from ta_assets.core.campaign.records import Completion, FinishReason, Sampling
from ta_assets.core.errors import InputError, shown
from ta_resources.engines.of_folder import OfFolder
from ta_resources.engines.protocol import EngineUnavailableError, checked, require_room
from ta_resources.hub_client import wait_asked_for
from ta_resources.language_model.tokenizing import TraceTokenizer

TRANSIENT = (408, 425, 429)
LONGEST_WAIT_SECONDS = 120.0
IDS = ("token_ids", "tokens")
"""Where servers put the ids that they generated; llama.cpp has them in its ``logprobs``, where one asks for those."""
NOTHING_ELSE = {"top_k": -1, "min_p": 0.0, "repetition_penalty": 1.0, "presence_penalty": 0.0, "frequency_penalty": 0.0}
"""Sent with every request: servers have defaults of their own for these, or take those that come with a model."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ServerOptions:
    """Where the server is and how patiently it is asked."""

    address: str
    """``http://host:port`` without the path."""
    model: str
    """As the server calls it."""
    prompt: Literal["tokens", "text"] = "tokens"
    """How prefixes are sent. Text is tokenized by the server, whose tokens at the seam may be others: where it counts
    another number of tokens than were meant, the rollout fails."""
    concurrency: int = 16
    """Requests at a time, of all batches together."""
    attempts: int = 6
    first_wait_seconds: float = 1.0
    """Doubles with each attempt; up to as much again is added at random."""
    connect_seconds: float = 10.0
    read_seconds: float = 1200.0
    """For a whole rollout. One that takes longer is recorded as an engine error, and not drawn again: it would be
    another, shorter one."""
    key: str | None = None
    """Sent as a bearer token."""
    extra: Mapping[str, Any] = field(default_factory=dict)
    """More fields of every request, such as ``top_k``."""


class _TransientError(Exception):
    def __init__(self, reason: str, wait_seconds: float = 0.0) -> None:
        self.wait_seconds = wait_seconds
        super().__init__(reason)


class CompletionsServer(OfFolder):
    """Samples from a model behind a server; tokens are made and read by the model's own tokenizer."""

    def __init__(self, options: ServerOptions, tokenizer: TraceTokenizer, identity: Mapping[str, Any]) -> None:
        """Hold the settings; no request is sent.

        Args:
            options: where and how.
            tokenizer: that of the served model.
            identity: what decides tokenizer and weights; nobody but the user knows what a server has loaded.

        Raises:
            InputError: an address that is none, or numbers that leave nothing to do.
        """
        parts = urlsplit(options.address)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.username:
            expected = "http://host:port or https://host, without a name or password"
            raise InputError("server", "address", parts.hostname, expected)
        if min(options.concurrency, options.attempts) < 1 or min(options.connect_seconds, options.read_seconds) <= 0:
            raise InputError("server", "options", shown(options), "at least one request, one attempt, and some time")
        said = {**identity, "kind": "server", "model": options.model, "extra": dict(options.extra)}
        super().__init__(tokenizer, said)
        self._options = options
        self._requests = ThreadPoolExecutor(options.concurrency)
        self._url = f"{options.address.rstrip('/')}/v1/completions"

    @property
    def batches_at_once(self) -> int:
        """As many as requests: while the last rollouts of a batch are waited for, others are asked for."""
        return self._options.concurrency

    def close(self) -> None:
        """Send no more requests."""
        self._requests.shutdown(wait=False, cancel_futures=True)

    def sample(self, prefix_token_ids: Sequence[int], seeds: Sequence[int], sampling: Sampling) -> list[Completion]:
        """One completion per seed; see ``Engine.sample``."""
        room, ids = require_room(prefix_token_ids, sampling), [int(one) for one in prefix_token_ids]
        body = {
            "model": self._options.model,
            "prompt": ids if self._options.prompt == "tokens" else self.decode(ids),
            "max_tokens": room,
            "temperature": sampling.temperature,
            "top_p": sampling.top_p,
            **NOTHING_ELSE,
            "n": 1,
            "stream": False,
            "return_token_ids": True,
            **self._options.extra,
        }
        futures = [self._requests.submit(self._one, {**body, "seed": seed}, ids, room) for seed in seeds]
        try:
            return [future.result() for future in futures]
        except BaseException:
            for future in futures:
                future.cancel()
            raise

    def _one(self, body: Mapping[str, Any], ids: list[int], room: int) -> Completion:
        retrying = tenacity.Retrying(
            stop=tenacity.stop_after_attempt(self._options.attempts),
            retry=tenacity.retry_if_exception_type(_TransientError),
            wait=self._wait,
            before_sleep=lambda state: _log.warning(
                "%s: %s; attempt %d of %d, next in %.1f s",
                self._options.model,
                state.outcome.exception() if state.outcome else "",
                state.attempt_number,
                self._options.attempts,
                state.upcoming_sleep,
            ),
            reraise=True,
        )
        try:
            answer = retrying(self._request, body)
        except _TransientError as error:
            tried = f"tried {self._options.attempts} times; last: {error}"
            raise EngineUnavailableError(f"{self._options.model}: {tried}") from error
        if isinstance(answer, str):
            return Completion.failed(answer, len(ids))
        try:
            return self._completion(answer, ids, room)
        except (KeyError, IndexError, TypeError, ValueError) as error:
            return Completion.failed(f"an answer that is none: {type(error).__name__}: {error}", len(ids))

    def _request(self, body: Mapping[str, Any]) -> Mapping[str, Any] | str:
        """The server's answer, or why this one request has none."""
        headers = {"Authorization": f"Bearer {self._options.key}"} if self._options.key else {}
        limits = (self._options.connect_seconds, self._options.read_seconds)
        try:
            response = requests.post(self._url, json=body, headers=headers, timeout=limits, allow_redirects=False)
        except requests.ReadTimeout:
            return f"no answer within {self._options.read_seconds:g} seconds"
        except (requests.ConnectionError, requests.Timeout, requests.exceptions.ChunkedEncodingError) as error:
            raise _TransientError(f"{type(error).__name__}: {error}") from error
        if response.status_code in TRANSIENT or response.status_code >= 500:
            raise _TransientError(f"HTTP {response.status_code}", wait_asked_for(response.headers))
        if response.status_code in (401, 403, 404):
            expected = "a server that serves this model to this key under /v1/completions"
            raise InputError(self._url, "answer", f"HTTP {response.status_code}", expected)
        if response.status_code != 200:
            return f"HTTP {response.status_code}: {response.text[:200]}"
        try:
            return response.json()
        except ValueError:
            return f"an answer that is no JSON: {response.text[:80]!r}"

    def _completion(self, answer: Mapping[str, Any], ids: list[int], room: int) -> Completion:
        """What the server gave, or a failure that says in what it contradicts itself."""
        choice, usage = answer["choices"][0], answer["usage"]
        text, reason = str(choice["text"]), choice["finish_reason"]
        read, generated = int(usage["prompt_tokens"]), int(usage["completion_tokens"])
        if reason not in (FinishReason.STOP, FinishReason.LENGTH):
            return Completion.failed(f"it finished for the reason {shown(reason)}", len(ids))
        own = _ids_of(choice)
        token_ids = () if own is None else self._without_end(own, text)
        if token_ids and self._is_text_of(text, token_ids):
            text = self.decode(token_ids)
        if own is not None and abs(len(own) - generated) > 1:
            return Completion.failed(f"it counts {generated} tokens and gives {len(own)}", len(ids))
        given = Completion(token_ids, text, FinishReason(reason), read, generated)
        return checked(given, len(ids), room, self.decode)

    def _without_end(self, token_ids: tuple[int, ...], text: str) -> tuple[int, ...]:
        """The ids without the one that ended the text, which some servers give and others do not."""
        shorter = token_ids[:-1]
        ended = token_ids and self.decode(token_ids) != text and self.decode(shorter) == text
        return shorter if ended else token_ids

    def _is_text_of(self, text: str, token_ids: Sequence[int]) -> bool:
        """Whether a server's text is that of the ids, where it may leave out special tokens and half a character."""
        texts = (self._tokenizer.decode(token_ids, special=special) for special in (True, False))
        return text.replace("�", "") in [one.replace("�", "") for one in texts]

    def _wait(self, state: tenacity.RetryCallState) -> float:
        backoff = tenacity.wait_exponential(self._options.first_wait_seconds, max=LONGEST_WAIT_SECONDS / 2)(state)
        error = state.outcome.exception() if state.outcome else None
        wish = error.wait_seconds if isinstance(error, _TransientError) else 0.0
        return min(max(backoff, wish) + random.uniform(0, backoff), LONGEST_WAIT_SECONDS)


def _ids_of(choice: Mapping[str, Any]) -> tuple[int, ...] | None:
    """The ids that a server generated; None where it does not tell them."""
    for name in IDS:
        if isinstance(choice.get(name), list):
            return tuple(int(one) for one in choice[name])
    content = (choice.get("logprobs") or {}).get("content")
    if isinstance(content, list) and content and all("id" in one for one in content):
        return tuple(int(one["id"]) for one in content)
    return None
