"""Tracking servers for tests: MLflow's own, and one in front of it that fails on request."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit


class Front:
    """A server that passes requests on to MLflow's, and fails as `mode` says.

    Attributes:
        mode: `up`; `down` closes each connection; `broken` answers 500; `full` lets MLflow answer 500 to what writes;
            `lossy` passes each request on and answers 500; `slow` answers nothing for a minute; `closed` answers 401.
        address: Of this server.
        requests: Paths of the requests that were passed on.
    """

    def __init__(self, behind: str | None) -> None:
        self.mode, self.behind, self.requests = "up", behind, list[str]()
        front = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def _serve(self) -> None:
                front._serve(self)

            do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do_HEAD = _serve  # noqa: N815 - the names that http.server calls

            def log_message(self, *_: object) -> None:
                """Print nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.address = f"http://127.0.0.1:{self._server.server_port}"

    @contextmanager
    def running(self) -> Iterator[Front]:
        thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        thread.start()
        try:
            yield self
        finally:
            self._server.shutdown()
            self._server.server_close()
            thread.join()

    def _serve(self, handler: BaseHTTPRequestHandler) -> None:
        mode = self.mode
        if mode == "down":
            handler.close_connection = True
            handler.connection.close()
            return
        body = handler.rfile.read(int(handler.headers.get("Content-Length", 0)))
        if mode == "slow":
            time.sleep(60)
        if mode in ("broken", "slow", "closed"):
            self._answer(handler, 401 if mode == "closed" else 500, b"no")
            return
        status, content = self._passed_on(handler, body)
        if mode == "lossy" and handler.command != "GET":
            status, content = 500, b"lost"
        self._answer(handler, status, content)

    def _passed_on(self, handler: BaseHTTPRequestHandler, body: bytes) -> tuple[int, bytes]:
        assert self.behind is not None
        self.requests.append(f"{handler.command} {handler.path}")
        connection = HTTPConnection(urlsplit(self.behind).netloc, timeout=60)
        headers = {name: value for name, value in handler.headers.items() if name.lower() not in ("host", "connection")}
        connection.request(handler.command, handler.path, body, headers)
        answer = connection.getresponse()
        content = answer.read()
        connection.close()
        return answer.status, content

    def _answer(self, handler: BaseHTTPRequestHandler, status: int, content: bytes) -> None:
        try:
            handler.send_response(status)
            handler.send_header("Content-Length", str(len(content)))
            handler.send_header("Content-Type", "application/json" if content[:1] == b"{" else "text/plain")
            handler.end_headers()
            if handler.command != "HEAD":
                handler.wfile.write(content)
        except OSError:  # the client has gone
            handler.close_connection = True
