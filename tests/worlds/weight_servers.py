"""Servers of files on loopback: one that resumes, and can break off; one that speaks the Hub's protocol."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import Any

from tests.worlds.served_models import Server


@dataclass
class Shelf:
    """Files that are served, and how."""

    files: dict[str, bytes]
    """By path, which begins with a slash."""
    address: str = ""
    asked: list[tuple[str, str | None]] = field(default_factory=list)
    """Path and `Range` of every GET."""
    breaks_after: list[int] = field(default_factory=list)
    """Each GET takes the first of these: so many bytes are sent, and then the connection is closed."""
    statuses: list[int] = field(default_factory=list)
    """Each GET takes the first of these and is answered with it."""
    tagged: bool = True
    """Whether answers have a strong `ETag`."""

    def tag(self, path: str) -> str:
        return f'"{hashlib.sha256(self.files[path]).hexdigest()[:12]}"'


@contextmanager
def shelf(files: Mapping[str, bytes]) -> Iterator[Shelf]:
    """Serve files, with ranges as RFC 9110 has them."""
    served = Shelf(dict(files))

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            served.asked.append((self.path, self.headers.get("Range")))
            if served.statuses:
                self.send_error(served.statuses.pop(0))
                return
            if self.path not in served.files:
                self.send_error(404)
                return
            whole, tag, first = served.files[self.path], served.tag(self.path), 0
            if self.headers.get("Range") and self.headers.get("If-Range", tag) == tag:
                first = int(self.headers["Range"].removeprefix("bytes=").partition("-")[0])
                self.send_response(206)
                self.send_header("Content-Range", f"bytes {first}-{len(whole) - 1}/{len(whole)}")
            else:
                self.send_response(200)
            if served.tagged:
                self.send_header("ETag", tag)
            self.send_header("Content-Length", str(len(whole) - first))
            self.end_headers()
            end = first + served.breaks_after.pop(0) if served.breaks_after else len(whole)
            self.wfile.write(whole[first:end])

        def log_message(self, *_: object) -> None:
            """Stay quiet."""

    with _running(Handler) as served.address:
        yield served


@dataclass
class Hub:
    """A repository of a Hub."""

    files: dict[str, bytes]
    """By name."""
    address: str = ""
    commit: str = "a" * 40
    damaged: set[str] = field(default_factory=set)
    """Names of files whose content is sent with another byte at its end."""
    sent: list[str] = field(default_factory=list)

    def answer(self, repository: str, path: str, *, with_body: bool) -> tuple[int, dict[str, str], bytes]:
        """Status, headers and body for a path."""
        api = f"/api/models/{repository}"
        entries = [self._entry(name) for name in self.files]
        if path.startswith(f"{api}/tree/"):
            return 200, {}, json.dumps(entries).encode()
        if path == api or path.startswith(f"{api}/revision/"):
            about = {"id": repository, "sha": self.commit, "private": False, "tags": [], "siblings": entries}
            return 200, {}, json.dumps(about).encode()
        name = path.partition("/resolve/")[2].partition("/")[2]
        if not path.startswith(f"/{repository}/") or name not in self.files:
            return 404, {"X-Error-Code": "EntryNotFound" if name else "RepoNotFound"}, b"{}"
        if with_body:
            self.sent.append(name)
        content = self.files[name]
        headers = {"ETag": f'"{hashlib.sha256(content).hexdigest()}"', "X-Repo-Commit": self.commit}
        return 200, headers, content[:-1] + bytes([content[-1] ^ 1]) if name in self.damaged else content

    def _entry(self, name: str) -> dict[str, Any]:
        content = self.files[name]
        id_ = hashlib.sha1(content, usedforsecurity=False).hexdigest()
        entry = {"rfilename": name, "path": name, "type": "file", "size": len(content), "oid": id_, "blobId": id_}
        if not name.endswith(".safetensors"):
            return entry
        digest = hashlib.sha256(content).hexdigest()
        return entry | {"lfs": {"oid": digest, "sha256": digest, "size": len(content), "pointerSize": 134}}


@contextmanager
def hub(repository: str, files: Mapping[str, bytes]) -> Iterator[Hub]:
    """Serve one repository; files that end in `.safetensors` are large ones, with a checksum."""
    served = Hub(dict(files))

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_HEAD(self) -> None:
            self.answer(with_body=False)

        def do_GET(self) -> None:
            self.answer(with_body=True)

        def answer(self, *, with_body: bool) -> None:
            status, headers, body = served.answer(repository, self.path.partition("?")[0], with_body=with_body)
            self.send_response(status)
            for header, value in headers.items():
                self.send_header(header, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if with_body:
                self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Stay quiet."""

    with _running(Handler) as served.address:
        yield served


@contextmanager
def _running(handler: type[BaseHTTPRequestHandler]) -> Iterator[str]:
    server = Server(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
