"""Requests to the Hub: one policy of retries and timeouts, and content that is what the Hub says it is.

Belongs here: HTTP. Stays out: datasets, listings, folders (``hub_dataset``).

Addresses, session, headers and token are ``huggingface_hub``'s. Its ``list_repo_tree`` and ``hf_hub_download`` are not
used, for what 2.4.0 was seen to do: listing sets no timeout, so a server that stays silent holds the run for ever; a
download asks twice per file (HEAD, GET), retries a 429 at once whatever its ``Retry-After``, repeats inside its own
retries (7 requests and 23 s per attempt at a 503, minutes at a silent server), and a wrong content of the right
size ends in its cache unnoticed.
"""

from __future__ import annotations

import hashlib
import logging
import random
import re
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from time import time
from typing import Any
from urllib.parse import urlsplit

import tenacity

from ta_assets.core.errors import InputError

logger = logging.getLogger(__name__)

LONGEST_WAIT_SECONDS = 300.0
"""No wait is longer, whatever Retry-After says: the Hub counts requests in windows of five minutes."""
DOWNLOADS_PER_CONTENT = 2
_TRANSIENT_STATUS = (408, 429)
_RESET_OF_RATE_LIMIT = re.compile(r"\br\s*=\s*0\s*;\s*t\s*=\s*(\d+)")


@dataclass(frozen=True)
class RetryPolicy:
    """How long to insist."""

    attempts: int = 5
    first_wait_seconds: float = 1.0
    """Doubles with each attempt; up to as much again is added at random, so that workers do not return in step."""
    timeout_seconds: float = 30.0
    """Of connecting and of each silence while reading."""


class HubFailedError(ConnectionError):
    """The Hub could not be reached, kept failing or gave wrong content, until the last attempt."""


class HubRefusedError(Exception):
    """The Hub answered, and trying again cannot help.

    Attributes:
        status: the HTTP status.
        code: the Hub's own ``X-Error-Code`` (``RepoNotFound``, ``RevisionNotFound``, ``EntryNotFound``), or empty.
    """

    def __init__(self, url: str, status: int, code: str) -> None:
        self.status, self.code = status, code
        super().__init__(f"{url} answered {status} {code}".rstrip())


class _TransientError(Exception):
    def __init__(self, reason: str, wait_seconds: float = 0.0) -> None:
        self.wait_seconds = wait_seconds
        super().__init__(reason)


class HubClient:
    """Requests to one endpoint; holds no state but its settings and may be shared by threads."""

    def __init__(self, endpoint: str | None, policy: RetryPolicy) -> None:
        """Hold the settings; no request is sent.

        Raises:
            InputError: as ``checked_endpoint``.
        """
        self.endpoint = checked_endpoint(endpoint)
        self.policy = policy

    def get_json(self, url: str, *, what: str, query: str = "") -> tuple[Any, str | None]:
        """The parsed answer, and the address of its next page.

        Raises:
            HubFailedError, HubRefusedError: see there.
            InputError: the answer is not JSON, as when a proxy's log-in page answers in the Hub's place.
        """
        response = self._request("GET", f"{url}?{query}" if query else url, what)
        try:
            return response.json(), response.links.get("next", {}).get("url")
        except (ValueError, RecursionError) as error:
            expected = "JSON from a Hub: check endpoint, HF_ENDPOINT and any proxy"
            raise InputError(url, "answer", response.text[:80], expected) from error

    def get_content(self, url: str, *, what: str) -> bytes:
        """The content of a file, compared with the hash under which the Hub holds it; fetched anew once if it differs.

        Raises:
            HubFailedError, HubRefusedError: see there; the former also for content that stays wrong.
        """
        name = None
        for attempt in range(1, DOWNLOADS_PER_CONTENT + 1):
            response = self._request("GET", url, what)
            name = _content_name(response) or _content_name(self._request("HEAD", url, what))
            if name is None:
                logger.warning("%s: the Hub gives no hash to compare the content with", what)
                return response.content
            if name == _hash_like(name, response.content):
                return response.content
            logger.warning("%s: the content is not %s (download %d)", what, name, attempt)
        raise HubFailedError(
            f"{what}: its content differed from the Hub's hash {name} in each of {DOWNLOADS_PER_CONTENT} downloads "
            f"({url}); a proxy or mirror may be changing it"
        )

    def _request(self, method: str, url: str, what: str) -> Any:
        retrying = tenacity.Retrying(
            stop=tenacity.stop_after_attempt(self.policy.attempts),
            retry=tenacity.retry_if_exception_type(_TransientError),
            wait=self._wait,
            before_sleep=lambda state: logger.warning(
                "%s: %s; attempt %d of %d, next in %.1f s",
                what,
                state.outcome.exception() if state.outcome else "",
                state.attempt_number,
                self.policy.attempts,
                state.upcoming_sleep,
            ),
            reraise=True,
        )
        try:
            return retrying(self._request_once, method, url)
        except _TransientError as error:
            raise HubFailedError(f"{what}: tried {self.policy.attempts} times ({url}); last: {error}") from error

    def _request_once(self, method: str, url: str) -> Any:
        from huggingface_hub.errors import HfHubHTTPError, OfflineModeIsEnabled
        from huggingface_hub.utils import build_hf_headers, get_session

        # The HTTP library below huggingface_hub differs by version; the base of all its errors is found through it.
        http_errors: Any = next(base for base in HfHubHTTPError.__mro__ if base.__name__ == "HTTPError")
        # Uncompressed, because ETag and length are those of the file itself.
        headers = build_hf_headers(library_name="thought-anchor-probes", headers={"Accept-Encoding": "identity"})
        follow = method == "GET"  # a large file's hash is on the redirect, not where it leads
        timeout = self.policy.timeout_seconds
        try:
            response = get_session().request(method, url, headers=headers, timeout=timeout, follow_redirects=follow)
        except OfflineModeIsEnabled as error:
            raise HubFailedError("HF_HUB_OFFLINE is set: no request is sent") from error
        except (http_errors, OSError) as error:
            raise _TransientError(f"{type(error).__name__}: {error}") from error
        status = response.status_code
        if status in _TRANSIENT_STATUS or status >= 500:
            raise _TransientError(f"HTTP {status}", wait_asked_for(response.headers))
        if status >= 400:
            raise HubRefusedError(url, status, response.headers.get("X-Error-Code", ""))
        return response

    def _wait(self, state: tenacity.RetryCallState) -> float:
        backoff = tenacity.wait_exponential(self.policy.first_wait_seconds, max=LONGEST_WAIT_SECONDS / 2)(state)
        error = state.outcome.exception() if state.outcome else None
        wish = error.wait_seconds if isinstance(error, _TransientError) else 0.0
        # What the server asks for is a least wait: workers that were told the same second must not return in step.
        return min(max(backoff, wish) + random.uniform(0, backoff), LONGEST_WAIT_SECONDS)


def checked_endpoint(endpoint: str | None) -> str:
    """The address of the Hub without a slash at its end: the given one, else ``HF_ENDPOINT``, else the public one.

    Raises:
        InputError: no address of http or https, or one with a name or password in it, which would be in every message
            and every log that names the address; what may be a secret is not shown.
    """
    from huggingface_hub import constants

    address = (endpoint or constants.ENDPOINT).rstrip("/")
    before, _, host = address.rpartition("@")
    try:
        parts = urlsplit(address)
    except ValueError:
        parts = urlsplit("")
    usable = parts.scheme in ("http", "https") and bool(parts.hostname)
    if before and (not usable or "@" in parts.netloc):
        expected = "an address without a name or password (HF_ENDPOINT, endpoint); HF_TOKEN is where a token belongs"
        raise InputError("Hub", "endpoint", f"…@{host}", expected)
    if not usable:
        raise InputError("Hub", "endpoint", address, "an address that starts with https:// or http:// (HF_ENDPOINT)")
    return address


def wait_asked_for(headers: Mapping[str, str]) -> float:
    """Seconds to wait by ``Retry-After`` (seconds or a date) or by the Hub's ``RateLimit`` (``r=0;t=55``); else 0."""
    wish = headers.get("Retry-After", "").strip()
    if wish.isdecimal():
        return float(wish)
    if wish:
        try:
            return max(parsedate_to_datetime(wish).timestamp() - time(), 0.0)
        except ValueError:
            return 0.0
    limit = _RESET_OF_RATE_LIMIT.search(headers.get("RateLimit", ""))
    return float(limit[1]) if limit else 0.0


def _content_name(response: Any) -> str | None:
    """The hash under which the Hub holds a file: SHA-256 of a large file, git's blob SHA-1 of another."""
    answers = [*response.history, response]
    # A large file's own ETag, given by the storage after the redirect, is another hash: the link's comes first.
    linked = [answer.headers.get("X-Linked-ETag") for answer in answers]
    for tag in [*linked, response.headers.get("ETag")]:
        name = (tag or "").removeprefix("W/").strip('"').lower()
        if re.fullmatch("[0-9a-f]{40}|[0-9a-f]{64}", name):
            return name
    return None


def _hash_like(name: str, content: bytes) -> str:
    if len(name) == 64:
        return hashlib.sha256(content).hexdigest()
    return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()
