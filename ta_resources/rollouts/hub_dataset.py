"""Problems of a dataset on the Hub, fetched file by file and kept, so that a later run needs no network.

Belongs here: which commit, which problems, which files, and where they are kept. Stays out: requests and retries
(``hub_client``), what the files mean (``problem_files``).

    {download_dir}/{owner}--{name}/
        revisions/{revision}/commit.json        the commit that the revision was resolved to
        revisions/{revision}/listings/{prefix}.json
                                                the problems below a prefix, and the commit that they were listed at
        {commit}/{prefix}/problem_N/*.json      the dataset's own layout: usable as ``dataset.folder`` elsewhere

What is kept is used until a refresh is asked for: a moving ``main`` changes no numbers unasked, and all corpora that a
study adds later come from the same commit.
"""

from __future__ import annotations

import json
import logging
import re
import threading
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from ta_assets.core.errors import InputError
from ta_assets.core.values import CorpusSource
from ta_resources.hub_client import HubClient, HubFailedError, HubRefusedError
from ta_resources.rollouts.problem_files import (
    FILE_NAMES,
    RawProblem,
    UnusableProblem,
    check_prefix,
    folder_name,
    problem_id_of,
)
from ta_resources.storage.atomic import write_file

logger = logging.getLogger(__name__)

_COMMIT = re.compile("[0-9a-f]{40}")
_FAILED: dict[tuple[str, str], str] = {}
"""Address of a dataset and revision -> how asking for its commit or a listing failed. Every corpus and every cell asks
anew, and where there is no network each would wait through all attempts for the same answer."""


@dataclass(frozen=True)
class Listing:
    """The problems of one prefix at one commit, as kept on disk."""

    repo_id: str
    revision: str
    prefix: str
    commit: str
    problem_ids: list[int]


class HubDataset:
    """One corpus of a dataset on the Hub."""

    def __init__(self, source: CorpusSource, client: HubClient, download_dir: Path, *, offline: bool = False) -> None:
        from huggingface_hub import constants

        self._repo_id = _checked_repo_id(source.repo_id or "")
        self._prefix, self._revision = source.prefix, source.revision
        check_prefix(self._prefix)
        if self._revision in ("", ".", ".."):
            raise InputError(self._repo_id, "revision", self._revision, "a branch, a tag or a commit")
        self._name = f"dataset {self._repo_id} on {client.endpoint}, revision {self._revision}, prefix {self._prefix}"
        self._client = client
        self._offline = offline or constants.HF_HUB_OFFLINE
        self._api = f"{client.endpoint}/api/datasets/{self._repo_id}"
        self._root = download_dir / self._repo_id.replace("/", "--")
        self._records = self._root / "revisions" / quote(self._revision, safe="")
        self._listing_path = self._records / "listings" / f"{quote(self._prefix, safe='')}.json"
        self._listing: Listing | None = None
        self._lock = threading.Lock()

    def list_problem_ids(self, *, refresh: bool = False) -> list[int]:
        """Sorted ids; from disk if they were listed before, unless ``refresh``.

        Raises:
            InputError: no such dataset, revision or prefix, no leave to read it, or offline with nothing kept.
            HubFailedError: the Hub failed and nothing is kept.
        """
        return list(self._known_listing(refresh=refresh).problem_ids)

    def identity(self) -> dict[str, str]:
        """``repo_id``, ``prefix`` and the ``commit`` that the revision was resolved to.

        Raises:
            InputError, HubFailedError: as ``list_problem_ids``.
        """
        return {"repo_id": self._repo_id, "prefix": self._prefix, "commit": self._known_listing().commit}

    def read(self, problem_id: int, names: Sequence[str] = FILE_NAMES) -> RawProblem:
        """Files of a problem, by default the three that every problem has; each fetched unless it is kept.

        Raises:
            InputError: the listing has no such problem; a file is absent, or not kept and offline.
            HubFailedError: the Hub failed; what was fetched before is kept.
        """
        listing = self._known_listing()
        if problem_id not in listing.problem_ids:
            raise InputError(self._name, "problem", problem_id, "a problem of the listing")
        folder = self._folder(listing, problem_id)
        contents = {name: self._content(listing.commit, folder / name) for name in names}
        return RawProblem(problem_id, str(folder), contents)

    def is_kept(self, problem_id: int, name: str) -> bool:
        """Whether a file of a problem was fetched before."""
        return (self._folder(self._known_listing(), problem_id) / name).is_file()

    def _folder(self, listing: Listing, problem_id: int) -> Path:
        return self._root / listing.commit / self._prefix / folder_name(problem_id)

    def _known_listing(self, *, refresh: bool = False) -> Listing:
        with self._lock:
            if self._listing is None or refresh:
                self._listing = self._find_listing(refresh=refresh)
            return self._listing

    def _find_listing(self, *, refresh: bool) -> Listing:
        kept = self._kept_listing()
        if kept and (self._offline or not refresh):
            logger.info("%s: %d problems at the kept commit %s", self._name, len(kept.problem_ids), kept.commit)
            return kept
        if self._offline:
            expected = "problems that were listed before: run once with the network (offline: false)"
            raise InputError(self._name, "listing", "absent", expected)
        question = self._api, self._revision
        try:
            if question in _FAILED and not refresh:
                raise HubFailedError(_FAILED[question])
            listing = self._ask_for_listing(refresh=refresh)
            _FAILED.pop(question, None)
        except HubFailedError as error:
            if kept is None:
                _FAILED[question] = str(error)
                raise self._with_comfort(error) from error
            logger.warning("%s; going on with the listing kept from commit %s", error, kept.commit)
            return kept
        _write_record(self._listing_path, asdict(listing))
        return listing

    def _ask_for_listing(self, *, refresh: bool) -> Listing:
        try:
            commit = self._resolve(refresh=refresh)
            url = f"{self._api}/tree/{commit}/{quote(self._prefix, safe='')}"
            ids = set()
            query: str | None = "recursive=False&expand=False"
            asked: set[str] = set()
            while query is not None:
                if query in asked:
                    raise InputError(self._name, "listing", query, "each page once, not pages in a circle")
                asked.add(query)
                page, following = self._client.get_json(url, what=f"listing of {self._name}", query=query)
                ids |= {found for entry in _entries(url, page) if (found := self._problem_of(entry)) is not None}
                # Only the cursor is taken from the next address: a mirror may name the original host in it.
                query = following.partition("?")[2] if following else None
        except HubRefusedError as error:
            raise self._refusal(error) from error
        if not ids:
            raise InputError(self._name, "prefix", self._prefix, "a folder with problem_N folders")
        return Listing(self._repo_id, self._revision, self._prefix, commit, sorted(ids))

    def _resolve(self, *, refresh: bool) -> str:
        """The commit of the revision: itself, or the one recorded, or asked for and recorded."""
        if _COMMIT.fullmatch(self._revision):
            return self._revision
        record = self._records / "commit.json"
        recorded = _read_record(record).get("commit")
        if not refresh and isinstance(recorded, str) and _COMMIT.fullmatch(recorded):
            return recorded
        # Without the query the answer names every file of the dataset.
        url = f"{self._api}/revision/{quote(self._revision, safe='')}"
        answer, _ = self._client.get_json(url, what=f"commit of {self._name}", query="expand=sha")
        commit = answer.get("sha") if isinstance(answer, dict) else None
        if not isinstance(commit, str) or not _COMMIT.fullmatch(commit):
            raise InputError(url, "sha", commit, "a commit of 40 hexadecimal digits")
        _write_record(record, {"repo_id": self._repo_id, "revision": self._revision, "commit": commit})
        return commit

    def _problem_of(self, entry: dict[str, Any]) -> int | None:
        """The id of an entry of the listing; None for other folders and for files."""
        path = entry["path"]
        start, _, name = path.rpartition("/")
        if start != self._prefix or name in ("", ".", "..") or "\\" in path:
            raise InputError(self._name, "listing", path, f"an entry directly below {self._prefix}")
        return problem_id_of(self._name, name) if entry.get("type") == "directory" else None

    def _content(self, commit: str, path: Path) -> bytes:
        try:
            return path.read_bytes()
        except FileNotFoundError as error:
            if self._offline:
                expected = "a file that was downloaded before: run once with the network (offline: false)"
                raise InputError(path, "file", "absent", expected) from error
        from huggingface_hub import hf_hub_url

        name = path.relative_to(self._root / commit).as_posix()
        url = hf_hub_url(self._repo_id, name, repo_type="dataset", revision=commit, endpoint=self._client.endpoint)
        try:
            content = self._client.get_content(url, what=name)
        except HubFailedError as error:
            raise self._with_comfort(error) from error
        except HubRefusedError as error:
            raise self._refusal(error, file=name) from error
        write_file(path, content)
        return content

    def _kept_listing(self) -> Listing | None:
        record = _read_record(self._listing_path)
        try:
            listing = Listing(**record)
            whole = all(type(problem_id) is int for problem_id in listing.problem_ids)
            if whole and listing.problem_ids and _COMMIT.fullmatch(listing.commit):
                return listing
        except TypeError:
            pass
        if record:
            logger.warning("%s is not a listing and is not used", self._listing_path)
        return None

    def _with_comfort(self, error: HubFailedError) -> HubFailedError:
        return HubFailedError(
            f"{error}. What was downloaded stays in {self._root}: run again when {self._client.endpoint} answers."
        )

    def _refusal(self, error: HubRefusedError, *, file: str | None = None) -> InputError:
        if error.status in (401, 403) or error.code == "RepoNotFound":
            token = (
                "for a private or gated one, its terms accepted on its page and HF_TOKEN set to a token that reads it"
            )
            return InputError(self._name, "repo_id", self._repo_id, f"a dataset that you may read; {token} ({error})")
        if error.code == "RevisionNotFound":
            expected = f"a branch, tag or commit of the dataset; if its history was rewritten, list anew ({error})"
            return InputError(self._name, "revision", self._revision, expected)
        if file is not None:
            # a file that the dataset does not have is the problem's fault; whatever else is wrong may be anybody's
            kind = UnusableProblem if error.status == 404 else InputError
            return kind(self._name, "file", file, f"a file that can be downloaded ({error})")
        return InputError(self._name, "prefix", self._prefix, f"a folder of the dataset at this revision ({error})")


def _checked_repo_id(repo_id: str) -> str:
    from huggingface_hub.errors import HFValidationError
    from huggingface_hub.utils import validate_repo_id

    try:
        validate_repo_id(repo_id)
    except HFValidationError as error:
        raise InputError("dataset", "repo_id", repo_id, f"owner/name ({error})") from error
    return repo_id


def _entries(url: str, page: Any) -> list[dict[str, Any]]:
    if not isinstance(page, list) or not all(isinstance(e, dict) and isinstance(e.get("path"), str) for e in page):
        raise InputError(url, "answer", page, "a list of entries, each with a path")
    return page


def _read_record(path: Path) -> dict[str, Any]:
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return record if isinstance(record, dict) else {}


def _write_record(path: Path, record: dict[str, Any]) -> None:
    write_file(path, (json.dumps(record, indent=2, sort_keys=True) + "\n").encode())
