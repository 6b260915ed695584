"""A proxy of an object store that counts what goes through it, and can let the store seem to fail."""

from __future__ import annotations

import http.client
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from urllib.parse import urlsplit

from tests.worlds.served_models import Server

ANSWERS = {"throttle": (503, "SlowDown"), "deny": (403, "AccessDenied")}
HANG_S = 2.0


@dataclass
class Faults:
    """How a store fails whoever fetches whole objects of some kind, until it has failed often enough."""

    suffix: str
    """Of the objects."""
    kind: str | None = None
    """One of `ANSWERS`, or `hang` (no answer for a while, then none); None for none."""
    num_left: int = 1 << 30
    num_failed: int = 0
    methods: tuple[str, ...] = ("GET",)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def begin(self, kind: str | None, num: int = 1 << 30) -> None:
        """Fail the next requests in this way."""
        with self.lock:
            self.kind, self.num_left, self.num_failed = kind, num, 0

    def of(self, method: str, path: str, *, is_part: bool) -> str | None:
        """How the store fails a request; None if it does not."""
        with self.lock:
            is_meant = method in self.methods and urlsplit(path).path.endswith(self.suffix) and not is_part
            if self.kind is None or not is_meant or self.num_left <= 0:
                return None
            self.num_left -= 1
            self.num_failed += 1
            return self.kind


@dataclass
class Traffic:
    """What was fetched."""

    address: str = ""
    num_gets: int = 0
    num_heads: int = 0
    num_bytes: int = 0
    """Bytes in the bodies of the answers to GETs."""
    delay_s: float = 0.0
    """Every answer to a GET waits this long."""
    lock: threading.Lock = field(default_factory=threading.Lock)

    def clear(self) -> None:
        """Begin to count again."""
        self.num_gets = self.num_heads = self.num_bytes = 0


@contextmanager
def counted(store: str, faults: Faults | None = None) -> Iterator[Traffic]:
    """An address that passes everything on to an object store's, but for what it is to fail."""
    traffic, behind = Traffic(), urlsplit(store).netloc

    class Door(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def pass_on(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            fault = faults and faults.of(self.command, self.path, is_part="Range" in self.headers)
            if fault:
                self.fail(fault)
                return
            connection = http.client.HTTPConnection(behind)
            connection.request(self.command, self.path, body, dict(self.headers.items()))
            answer = connection.getresponse()
            content = answer.read()
            connection.close()
            if self.command == "GET" and "?" not in self.path:
                with traffic.lock:
                    traffic.num_gets += 1
                    traffic.num_bytes += len(content)
                threading.Event().wait(traffic.delay_s)
            if self.command == "HEAD":
                with traffic.lock:
                    traffic.num_heads += 1
            self.send_response(answer.status)
            for name, value in answer.getheaders():
                if name.lower() not in ("connection", "transfer-encoding", "content-length", "date", "server"):
                    self.send_header(name, value)
            length = answer.getheader("Content-Length") if self.command == "HEAD" else str(len(content))
            self.send_header("Content-Length", length or "0")
            self.end_headers()
            self.wfile.write(content)

        def fail(self, fault: str) -> None:
            if fault == "hang":
                threading.Event().wait(HANG_S)
                self.close_connection = True
                return
            status, code = ANSWERS[fault]
            content = f"<Error><Code>{code}</Code><Message>made up</Message></Error>".encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/xml")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = pass_on

        def log_message(self, *_: object) -> None:
            """Log nothing."""

    server = Server(("127.0.0.1", 0), Door)
    traffic.address = f"http://127.0.0.1:{server.server_port}"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield traffic
    server.shutdown()
    server.server_close()
