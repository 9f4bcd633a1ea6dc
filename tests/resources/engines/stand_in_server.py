"""A server of ``/v1/completions`` on this machine, over real HTTP, with a real engine behind it and planned faults."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from ta_assets.core.campaign.records import Sampling
from ta_resources.engines.protocol import Engine

Fault = Callable[[dict[str, Any], int], Any]
"""Request and its number -> None, an HTTP status (with headers as a tuple), bytes to answer, or a changed answer."""


class StandInServer:
    """``with StandInServer(engine) as server``: it listens at ``server.address``."""

    def __init__(self, engine: Engine, *, ids: str | None = "token_ids", with_end: bool = True) -> None:
        self.engine, self.ids, self.with_end = engine, ids, with_end
        self.requests: list[dict[str, Any]] = []
        self.fault: Fault = lambda request, number: None
        self.change: Callable[[dict[str, Any]], dict[str, Any]] = lambda answer: answer
        self.lock = threading.Lock()

    def __enter__(self) -> StandInServer:
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                with server.lock:
                    server.requests.append(request)
                    number = len(server.requests)
                status, headers, body = server.answer(request, number)
                if status == 0:
                    self.connection.close()
                    return
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.address = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def answer(self, request: dict[str, Any], number: int) -> tuple[int, dict[str, str], bytes]:
        """Status, headers and body."""
        fault = self.fault(request, number)
        if isinstance(fault, int):
            return fault, {}, b"{}"
        if isinstance(fault, tuple):
            return fault[0], fault[1], b"{}"
        if isinstance(fault, bytes):
            return 200, {}, fault
        prompt = request["prompt"]
        ids = self.engine.encode(prompt) if isinstance(prompt, str) else prompt
        sampling = Sampling(
            temperature=request["temperature"],
            top_p=request["top_p"],
            max_total_tokens=len(ids) + request["max_tokens"],
        )
        with self.lock:
            (one,) = self.engine.sample(ids, [request["seed"]], sampling)
        choice: dict[str, Any] = {"text": one.text, "finish_reason": str(one.finish_reason), "index": 0}
        if self.ids is not None:
            ended = self.with_end and one.generated_tokens > len(one.token_ids)
            choice[self.ids] = [*one.token_ids, *[ord("\x00")] * ended]
        usage = {"prompt_tokens": one.prompt_tokens, "completion_tokens": one.generated_tokens}
        return 200, {}, json.dumps(self.change({"choices": [choice], "usage": usage})).encode()
