"""Servers of files on loopback: one that resumes, and can break off; one that speaks the Hub's protocol, both ways."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import Any

from tests.worlds.served_models import running

LARGE = (".safetensors", ".parquet", ".tar", ".mp4")
"""How the names of files end that the Hub keeps apart from the others."""


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

    with running(Handler) as served.address:
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
    kind: str = "models"
    """`models` or `datasets`."""
    token: str = ""
    """What may write; without one, nobody may."""
    exists: bool = True
    private: bool | None = None
    """As a client asked for when it made the repository."""
    messages: list[str] = field(default_factory=list)
    """Of the commits."""
    objects: dict[str, bytes] = field(default_factory=dict)
    """Large files that were received, by their SHA-256; a commit makes files of them."""
    received: list[str] = field(default_factory=list)
    """SHA-256 of the large files, in the order in which they came."""
    accepts: int | None = None
    """How many large files it takes before it fails."""

    def change(self, repository: str, path: str, data: bytes, authorization: str | None) -> tuple[int, dict[str, Any]]:
        """Status and body for a POST or PUT."""
        if path == "/api/validate-yaml":
            return 200, {"errors": [], "warnings": []}
        if path.startswith("/objects/"):
            return self._take(path.removeprefix("/objects/"), data)
        if not self.token or authorization != f"Bearer {self.token}":
            return 401, {"error": "Invalid username or password."}
        return self._write(repository, path, data)

    def _write(self, repository: str, path: str, data: bytes) -> tuple[int, dict[str, Any]]:
        api, git = f"/api/{self.kind}/{repository}", f"/{self._prefix}{repository}.git"
        if path == "/api/repos/create":
            asked = json.loads(data)
            status = 409 if self.exists else 200
            self.private = asked.get("visibility") == "private" if not self.exists else self.private
            self.exists = True
            return status, {"url": f"{self.address}/{self._prefix}{repository}"}
        if path.startswith(f"{api}/preupload/"):
            return 200, {"files": [self._mode(each["path"]) for each in json.loads(data)["files"]]}
        if path == f"{git}/info/lfs/objects/batch":
            return 200, {"objects": [self._action(each) for each in json.loads(data)["objects"]]}
        if path.startswith(f"{api}/commit/"):
            self._commit([json.loads(line) for line in data.splitlines()])
            commit = hashlib.sha1(data, usedforsecurity=False).hexdigest()
            return 200, {"commitUrl": f"{self.address}/{self._prefix}{repository}/commit/{commit}", "commitOid": commit}
        return 404, {"error": f"no such path: {path}"}

    @property
    def _prefix(self) -> str:
        return "datasets/" if self.kind == "datasets" else ""

    def _take(self, oid: str, data: bytes) -> tuple[int, dict[str, Any]]:
        if self.accepts is not None and len(self.received) >= self.accepts:
            return 400, {"error": "broken off"}
        assert hashlib.sha256(data).hexdigest() == oid
        self.objects[oid] = data
        self.received.append(oid)
        return 200, {}

    def _mode(self, name: str) -> dict[str, Any]:
        mode, oid = "lfs" if name.endswith(LARGE) else "regular", None
        if name in self.files:
            content = self.files[name]
            blob = b"blob %d\0%b" % (len(content), content)
            as_blob = hashlib.sha1(blob, usedforsecurity=False).hexdigest()
            oid = hashlib.sha256(content).hexdigest() if mode == "lfs" else as_blob
        return {"path": name, "uploadMode": mode, "shouldIgnore": False, "oid": oid}

    def _action(self, asked: dict[str, Any]) -> dict[str, Any]:
        known = {"oid": asked["oid"], "size": asked["size"]}
        if asked["oid"] in self.objects:
            return known
        return known | {"actions": {"upload": {"href": f"{self.address}/objects/{asked['oid']}"}}}

    def _commit(self, lines: list[dict[str, Any]]) -> None:
        for line in lines:
            value = line["value"]
            if line["key"] == "header":
                self.messages.append(value["summary"])
            elif line["key"] == "file":
                self.files[value["path"]] = base64.b64decode(value["content"])
            elif line["key"] == "lfsFile":
                self.files[value["path"]] = self.objects[value["oid"]]
            elif line["key"] == "deletedFile":
                del self.files[value["path"]]

    def answer(self, repository: str, path: str, *, with_body: bool) -> tuple[int, dict[str, str], bytes]:
        """Status, headers and body for a path."""
        if not self.exists:
            return 404, {"X-Error-Code": "RepoNotFound"}, b"{}"
        api = f"/api/{self.kind}/{repository}"
        entries = [self._entry(name) for name in self.files]
        if path.startswith(f"{api}/tree/"):
            return 200, {}, json.dumps(entries).encode()
        if path == api or path.startswith(f"{api}/revision/"):
            about = {"id": repository, "sha": self.commit, "private": False, "tags": [], "siblings": entries}
            return 200, {}, json.dumps(about).encode()
        name = path.partition("/resolve/")[2].partition("/")[2]
        if not path.startswith(f"/{self._prefix}{repository}/") or name not in self.files:
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
        if not name.endswith(LARGE):
            return entry
        digest = hashlib.sha256(content).hexdigest()
        return entry | {"lfs": {"oid": digest, "sha256": digest, "size": len(content), "pointerSize": 134}}


class HubHandler(BaseHTTPRequestHandler):
    served: Hub
    repository: str
    protocol_version = "HTTP/1.1"

    def do_HEAD(self) -> None:
        self.answer(with_body=False)

    def do_GET(self) -> None:
        self.answer(with_body=True)

    def do_POST(self) -> None:
        self.change()

    def do_PUT(self) -> None:
        self.change()

    def change(self) -> None:
        data = self._body()
        path, authorization = self.path.partition("?")[0], self.headers.get("Authorization")
        status, said = self.served.change(self.repository, path, data, authorization)
        body = json.dumps(said).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        parts = []
        while size := int(self.rfile.readline(), 16):
            parts.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(parts)

    def answer(self, *, with_body: bool) -> None:
        status, headers, body = self.served.answer(self.repository, self.path.partition("?")[0], with_body=with_body)
        self.send_response(status)
        for header, value in headers.items():
            self.send_header(header, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if with_body:
            self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Stay quiet."""


@contextmanager
def hub(repository: str, files: Mapping[str, bytes], **changes: Any) -> Iterator[Hub]:
    """Serve one repository; files that end as `LARGE` says are large ones, with a checksum."""
    served = Hub(dict(files), **changes)

    handler = type("Handler", (HubHandler,), {"served": served, "repository": repository})
    with running(handler) as served.address:
        yield served
