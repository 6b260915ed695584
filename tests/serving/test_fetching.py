"""URLs of clients, against a server on loopback."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

import pytest

from serving.fetching import fetch

BODY = b"x" * 1000


class Handler(BaseHTTPRequestHandler):
    asked: ClassVar[list[str]] = []

    def do_GET(self) -> None:
        self.asked.append(self.path)
        if self.path.startswith("/to/"):
            self.send_response(302)
            self.send_header("Location", self.path.removeprefix("/to/"))
            self.end_headers()
        elif self.path == "/around":
            self.send_response(302)
            self.send_header("Location", "/around")
            self.end_headers()
        elif self.path == "/never":
            threading.Event().wait(5)
        else:
            self.send_response(200 if self.path == "/file" else 404)
            self.end_headers()
            self.wfile.write(BODY)

    def log_message(self, *_: object) -> None:
        """Says nothing."""


@pytest.fixture
def port() -> Iterator[int]:
    Handler.asked = []
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server.server_address[1]
    server.shutdown()
    server.server_close()


def fetched(url: str, path: Path, *, private: bool = True, max_bytes: int = 1000, timeout_s: float = 60.0) -> bytes:
    asyncio.run(fetch(url, path, max_bytes=max_bytes, private=private, timeout_s=timeout_s))
    return path.read_bytes()


def test_a_file_comes_also_behind_redirects(port: int, tmp_path: Path) -> None:
    assert fetched(f"http://127.0.0.1:{port}/file", tmp_path / "a") == BODY
    assert fetched(f"http://localhost:{port}/to//to//file", tmp_path / "b") == BODY


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "localhost", "127.1", "2130706433", "0x7f000001", "0.0.0.0", "[::1]", "[::ffff:127.0.0.1]"],
)
def test_addresses_that_are_not_public_are_not_asked(port: int, tmp_path: Path, host: str) -> None:
    with pytest.raises(ValueError, match=r"not public|not an address|cannot be fetched"):
        fetched(f"http://{host}:{port}/file", tmp_path / "file", private=False)
    assert Handler.asked == []
    assert not (tmp_path / "file").exists()


@pytest.mark.parametrize("host", ["10.1.2.3", "192.168.0.1", "169.254.169.254", "[fe80::1]", "100.64.0.1", "224.0.0.1"])
def test_private_networks_are_not_asked(tmp_path: Path, host: str) -> None:
    with pytest.raises(ValueError, match="has an address that is not public"):
        fetched(f"http://{host}/file", tmp_path / "file", private=False, timeout_s=5)


def test_bounds_hold(port: int, tmp_path: Path) -> None:
    here = f"http://127.0.0.1:{port}"
    cases = {
        f"{here}/gone": "it answers 404",
        f"{here}/around": "more than 3 redirects",
        f"{here}/to/file:///etc/passwd": "file:///etc/passwd is not an http or https URL",
        "file:///etc/passwd": "is not an http or https URL",
        "ftp://127.0.0.1/file": "is not an http or https URL",
        "http://": "is not an http or https URL",
        "http://127.0.0.1:1/file": "cannot be fetched",
        "http://no-such-host.invalid/": "cannot be fetched",
    }
    for url, message in cases.items():
        with pytest.raises(ValueError, match=message) as refused:
            fetched(url, tmp_path / "file")
        assert "\n" not in str(refused.value)
    with pytest.raises(ValueError, match=r"has more than 0\.000999 MB"):
        fetched(f"{here}/file", tmp_path / "file", max_bytes=999)
    with pytest.raises(ValueError, match=r"did not come within 0\.2 s"):
        fetched(f"{here}/never", tmp_path / "file", timeout_s=0.2)
