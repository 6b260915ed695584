"""A proxy of an object store that counts what goes through it."""

from __future__ import annotations

import http.client
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from urllib.parse import urlsplit

from tests.worlds.served_models import Server


@dataclass
class Traffic:
    """What was fetched."""

    address: str = ""
    num_gets: int = 0
    num_bytes: int = 0
    """Bytes in the bodies of the answers to GETs."""
    delay_s: float = 0.0
    """Every answer to a GET waits this long."""
    lock: threading.Lock = field(default_factory=threading.Lock)

    def clear(self) -> None:
        """Begin to count again."""
        self.num_gets = self.num_bytes = 0


@contextmanager
def counted(store: str) -> Iterator[Traffic]:
    """An address that passes everything on to an object store's."""
    traffic, behind = Traffic(), urlsplit(store).netloc

    class Door(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def pass_on(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
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
            self.send_response(answer.status)
            for name, value in answer.getheaders():
                if name.lower() not in ("connection", "transfer-encoding", "content-length", "date", "server"):
                    self.send_header(name, value)
            length = answer.getheader("Content-Length") if self.command == "HEAD" else str(len(content))
            self.send_header("Content-Length", length or "0")
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
