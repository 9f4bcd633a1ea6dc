"""A Hub on this machine: the endpoints that the project calls, answered from memory, with real network failures.

Belongs here: HTTP. Stays out: anything that knows how the project calls it.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import socket
import struct
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit


@dataclass(frozen=True)
class Fault:
    """What goes wrong with a request."""

    kind: str
    """One of status, reset, truncated, corrupted, unframed (cut off without a length), silent."""
    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Request:
    """One request that reached the server."""

    method: str
    path: str
    headers: dict[str, str]


@dataclass
class HubStandIn:
    """One dataset and one model, each at one commit; ``with HubStandIn(...) as hub`` serves it on ``hub.endpoint``."""

    repo_id: str = "someone/rollouts"
    commit: str = "a" * 40
    revisions: set[str] = field(default_factory=lambda: {"main"})
    files: dict[str, bytes] = field(default_factory=dict)
    model_id: str = "someone/tiny"
    model_files: dict[str, bytes] = field(default_factory=dict)
    large: set[str] = field(default_factory=set)
    """Paths that are served as LFS: a redirect to ``storage`` with the SHA-256 in its headers."""
    storage: str | None = None
    """Address that large files are redirected to; this server when None."""
    extra_entries: list[dict[str, Any]] = field(default_factory=list)
    bodies: dict[str, bytes] = field(default_factory=dict)
    """Part of a path -> what is answered there in place of the truth."""
    page_size: int = 1000
    next_page: str | None = None
    """Query of the page that every page names as its next one."""
    headerless_get: bool = False
    """Content comes without an ETag, which only HEAD tells."""
    requests: list[Request] = field(default_factory=list)
    faults: list[tuple[str, Fault]] = field(default_factory=list)

    def __enter__(self) -> HubStandIn:
        self._released = threading.Event()
        self._lock = threading.Lock()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"hub": self}))
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        self._alive = True
        return self

    def __exit__(self, *_: object) -> None:
        self.die()

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def die(self) -> None:
        """Refuse every connection from now on."""
        self._released.set()
        if self._alive:
            self._alive = False
            self._server.shutdown()
            self._server.server_close()

    def fail(
        self, part_of_path: str, kind: str, *, status: int = 0, headers: dict[str, str] | None = None, times: int = 1
    ) -> None:
        """The next ``times`` requests whose path contains ``part_of_path`` go wrong."""
        self.faults += [(part_of_path, Fault(kind, status, headers or {}))] * times

    def paths(self, part: str = "", *, method: str = "GET") -> list[str]:
        """Paths of the requests so far that contain ``part``."""
        return [request.path for request in self.requests if part in request.path and request.method == method]

    def next_fault(self, path: str) -> Fault | None:
        with self._lock:
            for place, (part, fault) in enumerate(self.faults):
                if part in path:
                    del self.faults[place]
                    return fault
        return None

    def wait_until_dead(self) -> None:
        self._released.wait(30)

    def children(self, prefix: str) -> list[dict[str, Any]]:
        """The entries directly below ``prefix``, as the Hub lists them."""
        below = [path[len(prefix) + 1 :] for path in self.files if path.startswith(f"{prefix}/")]
        folders = sorted({name.split("/")[0] for name in below if "/" in name})
        plain = sorted(name for name in below if "/" not in name)
        return [
            *({"type": "directory", "oid": "0" * 40, "size": 0, "path": f"{prefix}/{name}"} for name in folders),
            *({"type": "file", "oid": "0" * 40, "size": 1, "path": f"{prefix}/{name}"} for name in plain),
            *self.extra_entries,
        ]


def git_blob_hash(content: bytes) -> str:
    """What git calls the content."""
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


class _Handler(BaseHTTPRequestHandler):
    hub: HubStandIn

    def log_message(self, format: str, *args: object) -> None:
        """Tests read ``hub.requests`` instead."""

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        self.hub.requests.append(Request(self.command, self.path, dict(self.headers)))
        self.fault = self.hub.next_fault(self.path)
        kind = self.fault.kind if self.fault else None
        if self.fault and kind == "status":
            return self._answer(self.fault.status, b"no", self.fault.headers)
        if kind == "silent":
            return self.hub.wait_until_dead()
        if kind == "reset":
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            return os.close(self.connection.detach())
        for part, body in self.hub.bodies.items():
            if part in self.path:
                return self._content(body)
        return self._route(urlsplit(self.path))

    def _route(self, url: Any) -> None:
        api, data = f"/api/datasets/{self.hub.repo_id}/", f"/datasets/{self.hub.repo_id}/resolve/"
        if url.path.startswith(f"{api}revision/"):
            return self._revision(unquote(url.path[len(api) + len("revision/") :]))
        if url.path.startswith(f"{api}tree/{self.hub.commit}/"):
            return self._tree(unquote(url.path.rsplit("/", 1)[1]), parse_qs(url.query))
        if url.path.startswith(f"{data}{self.hub.commit}/"):
            return self._file(self.hub.files, unquote(url.path[len(data) + 41 :]))
        revision, _, name = url.path.removeprefix(f"/{self.hub.model_id}/resolve/").partition("/")
        if revision in {*self.hub.revisions, self.hub.commit} and self.hub.model_files:
            return self._file(self.hub.model_files, unquote(name))
        if url.path.startswith("/storage/"):
            wanted = url.path.removeprefix("/storage/")
            return self._content(next(c for c in self.hub.files.values() if hashlib.sha256(c).hexdigest() == wanted))
        return self._answer(401, b"{}", {"X-Error-Code": "RepoNotFound"})

    def _revision(self, revision: str) -> None:
        if revision not in self.hub.revisions | {self.hub.commit}:
            return self._answer(404, b"{}", {"X-Error-Code": "RevisionNotFound"})
        return self._content(json.dumps({"id": self.hub.repo_id, "sha": self.hub.commit}).encode())

    def _tree(self, prefix: str, query: dict[str, list[str]]) -> None:
        entries = self.hub.children(prefix)
        if not entries:
            return self._answer(404, b"{}", {"X-Error-Code": "EntryNotFound"})
        start = int(query.get("cursor", ["0"])[0])
        end = start + self.hub.page_size
        page = self.path.split("?")[0]
        following = f"cursor={end}" if end < len(entries) else self.hub.next_page
        link = {"Link": f'<{self.hub.endpoint}{page}?{following}>; rel="next"'} if following else {}
        return self._content(json.dumps(entries[start:end]).encode(), link)

    def _file(self, files: dict[str, bytes], path: str) -> None:
        content, headers = files.get(path), {"X-Repo-Commit": self.hub.commit}
        if content is None:
            return self._answer(404, b"{}", {"X-Error-Code": "EntryNotFound", **headers})
        if path in self.hub.large:
            sha256 = hashlib.sha256(content).hexdigest()
            headers |= {"X-Linked-ETag": f'"{sha256}"', "X-Linked-Size": str(len(content))}
            headers["Location"] = f"{self.hub.storage or self.hub.endpoint}/storage/{sha256}"
            return self._answer(302, b"", headers)
        if self.command == "HEAD" or not self.hub.headerless_get:
            headers["ETag"] = f'"{git_blob_hash(content)}"'
        return self._content(content, headers)

    def _content(self, content: bytes, headers: dict[str, str] | None = None) -> None:
        kind = self.fault.kind if self.fault else None
        if kind == "corrupted":
            content = content[:-2] + bytes([content[-2] ^ 1]) + content[-1:]
        self._answer(200, content, headers, cut=kind in ("truncated", "unframed"), framed=kind != "unframed")

    def _answer(
        self, status: int, body: bytes, headers: dict[str, str] | None = None, *, cut: bool = False, framed: bool = True
    ) -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        if framed:
            self.send_header("Content-Length", str(len(body)))
        with contextlib.suppress(OSError):
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body[: len(body) // 2] if cut else body)
