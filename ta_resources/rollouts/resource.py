"""Where problems come from: one resource over a dataset on the Hub and a local folder of the same layout.

Belongs here: configuration, choosing the reader, reading ahead. Stays out: HTTP and files (``hub_dataset``,
``local_folder``), the dataset's format (``problem_files``), which problems a setting takes (``ta_assets``).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import Protocol

import dagster as dg
from pydantic import Field, PrivateAttr

from ta_assets.core.errors import InputError
from ta_assets.core.traces.label_recomputation import Rollout
from ta_assets.core.values import CorpusSource, Problem
from ta_resources.hub_client import HubClient, RetryPolicy
from ta_resources.rollouts.hub_dataset import HubDataset
from ta_resources.rollouts.local_folder import LocalFolder
from ta_resources.rollouts.problem_files import FILE_NAMES, RawProblem, UnusableProblem, parse_problem
from ta_resources.rollouts.rollout_files import parse_rollouts, rollouts_name


class ProblemReader(Protocol):
    """One corpus, wherever it lies; the methods may be called from several threads."""

    def list_problem_ids(self, *, refresh: bool = False) -> list[int]:
        """Sorted, unique ids."""
        ...

    def read(self, problem_id: int, names: Sequence[str] = FILE_NAMES) -> RawProblem:
        """Files of a problem."""
        ...

    def is_kept(self, problem_id: int, name: str) -> bool:
        """Whether a file of a problem can be read without asking anybody."""
        ...

    def identity(self) -> dict[str, str]:
        """What the data is, for fingerprints; never where it lies on this machine."""
        ...


class RolloutsResource(dg.ConfigurableResource):
    """Problems with their traces, in the layout of ``uzaymacar/math-rollouts``."""

    download_dir: str = Field(
        default="artifacts/downloads",
        description="Folder that keeps what is fetched from the Hub, relative to the current directory.",
    )
    endpoint: str | None = Field(
        default=None, description="Address of the Hub; by default HF_ENDPOINT or the public one."
    )
    workers: int = Field(default=4, ge=1, le=32, description="Problems that are fetched at a time.")
    attempts: int = Field(
        default=5, ge=1, description="How often a request is sent at HTTP 408, 429, 5xx, timeouts and lost connections."
    )
    first_wait_seconds: float = Field(
        default=1.0,
        ge=0,
        description="Wait before the second attempt; doubles with each, with jitter, and is at least Retry-After.",
    )
    timeout: float = Field(
        default=30.0, gt=0, description="Seconds until a silent connection counts as lost; connecting and each read."
    )
    offline: bool = Field(
        default=False,
        description="Send no request: only what was fetched before is used. HF_HUB_OFFLINE=1 does it too.",
    )

    _readers: dict[CorpusSource, ProblemReader] = PrivateAttr(default_factory=dict)

    def list_problem_ids(self, source: CorpusSource, *, refresh: bool = False) -> list[int]:
        """Sorted, unique ids of the corpus' problems, from a listing of its folders: below them lie a million files.

        Args:
            source: the corpus.
            refresh: resolve the revision and list anew; without it, a listing kept from before is used. A folder is
                read anew each time.

        Raises:
            InputError: the source does not exist, may not be read or has no problems.
            HubFailedError: the Hub failed to the last attempt and no listing is kept.
        """
        return self._reader(source).list_problem_ids(refresh=refresh)

    def load_problem(self, source: CorpusSource, problem_id: int) -> Problem:
        """One problem, validated.

        Raises:
            InputError: the problem is absent, or a file is not what it should be; names file, field and value.
            HubFailedError: as ``list_problem_ids``.
        """
        return parse_problem(self._reader(source).read(problem_id))

    def load_problems(self, source: CorpusSource, problem_ids: Iterable[int]) -> Iterator[Problem]:
        """The problems in the given order.

        Raises:
            InputError, HubFailedError: as ``load_problem``, when the problem's turn comes; the rest is not fetched.
        """
        for _, problem in self.read_problems(source, problem_ids):
            if isinstance(problem, UnusableProblem):
                raise problem
            yield problem

    def read_problems(
        self, source: CorpusSource, problem_ids: Iterable[int]
    ) -> Iterator[tuple[int, Problem | UnusableProblem]]:
        """Every id in the given order with its problem, or with why its own files are none.

        At most ``2 * workers`` are held or on their way ahead of the caller.

        Raises:
            InputError, HubFailedError: what is wrong with no single problem, when its turn comes; the rest is not
                fetched.
        """
        remaining = iter(problem_ids)
        reader = self._reader(source)
        pool = ThreadPoolExecutor(self.workers, thread_name_prefix="rollouts")
        ahead: deque[tuple[int, Future[RawProblem]]] = deque()

        def submit(n: int) -> None:
            ahead.extend((one, pool.submit(reader.read, one)) for one in islice(remaining, n))

        try:
            submit(2 * self.workers)
            while ahead:
                problem_id, future = ahead.popleft()
                try:
                    found: Problem | UnusableProblem = parse_problem(future.result())
                except UnusableProblem as error:
                    found = error
                submit(1)
                yield problem_id, found
        finally:
            pool.shutdown(wait=True, cancel_futures=True)

    def load_rollouts(self, source: CorpusSource, problem_id: int, folders: Sequence[int]) -> list[tuple[Rollout, ...]]:
        """Of every sentence of a problem, in order, the rollouts that reached an answer.

        From the Hub exactly the files ``chunk_{number}/solutions.json`` are fetched, each once.

        Args:
            source: the corpus.
            problem_id: the problem.
            folders: number of each sentence's folder, as ``Problem.folders`` has it.

        Raises:
            UnusableProblem: a file is absent or not what it should be; names file, field and value.
            InputError, HubFailedError: as ``list_problem_ids``.
        """
        reader, names = self._reader(source), [rollouts_name(number) for number in folders]
        with ThreadPoolExecutor(self.workers, thread_name_prefix="rollouts") as pool:
            raws = list(pool.map(lambda name: reader.read(problem_id, [name]), names))
        return [
            parse_rollouts(f"{raw.source}/{name}", raw.contents[name]) for raw, name in zip(raws, names, strict=True)
        ]

    def kept_rollouts(self, source: CorpusSource, problem_id: int, folders: Sequence[int]) -> int:
        """How many of a problem's files of rollouts are on this machine; sends no request beyond the listing's.

        Raises:
            InputError, HubFailedError: as ``list_problem_ids``.
        """
        return sum(self._reader(source).is_kept(problem_id, rollouts_name(number)) for number in folders)

    def identity(self, source: CorpusSource) -> dict[str, str]:
        """What the data is, for fingerprints.

        Hub: ``repo_id``, ``prefix`` and the resolved ``commit`` (40 hexadecimal digits). Folder: ``prefix`` and
        ``sha256`` over the sorted names and content hashes of all its problems' files.

        Raises:
            InputError, HubFailedError: as ``list_problem_ids``.
        """
        return self._reader(source).identity()

    def _reader(self, source: CorpusSource) -> ProblemReader:
        if source not in self._readers:
            self._readers[source] = self._new_reader(source)
        return self._readers[source]

    def _new_reader(self, source: CorpusSource) -> ProblemReader:
        if (source.folder is None) == (source.repo_id is None):
            found = {"repo_id": source.repo_id, "folder": source.folder}
            raise InputError("dataset", "repo_id, folder", found, "exactly one of the two")
        if source.folder is not None:
            return LocalFolder(source)
        policy = RetryPolicy(self.attempts, self.first_wait_seconds, self.timeout)
        client = HubClient(self.endpoint, policy)
        return HubDataset(source, client, Path(self.download_dir).resolve(), offline=self.offline)
