"""A local HTTP server whose answers a test decides."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass(frozen=True)
class Asked:
    path: str
    body: Any
    """The decoded body; None for a GET."""
    authorization: str | None


@dataclass(frozen=True)
class Answer:
    body: Any
    """The body: bytes are sent unchanged, anything else as JSON."""
    status: int = 200
    type: str = "application/json"


class Server(ThreadingHTTPServer):
    request_queue_size = 128
    """With the five of the library, some of many who ask at once would have to try again a second later."""


@contextmanager
def running(handler: type[BaseHTTPRequestHandler], port: int = 0) -> Iterator[str]:
    """The address of a server, without a slash at its end; port 0 is any free one."""
    server = Server(("127.0.0.1", port), handler)
    # Shutting down waits for one poll, which is half a second by default.
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


@contextmanager
def serving(respond: Callable[[Asked], Answer], port: int = 0) -> Iterator[str]:
    """The address of a server of JSON; see `running`."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.respond(None)

        def do_POST(self) -> None:
            self.respond(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))

        def respond(self, body: Any) -> None:
            answer = respond(Asked(self.path, body, self.headers["Authorization"]))
            data = answer.body if isinstance(answer.body, bytes) else json.dumps(answer.body).encode()
            self.send_response(answer.status)
            self.send_header("Content-Type", answer.type)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            try:
                self.wfile.write(data)
            except (BrokenPipeError, ConnectionResetError):
                """The client was killed meanwhile."""

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
            """Stay quiet."""

    with running(Handler, port) as address:
        yield address
