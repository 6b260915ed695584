"""A small S3 server on loopback over a folder, which counts requests: `python -m bench.speed.object_store FOLDER`.

It speaks what s3fs asks for: lists with delimiter and continuation, GET with a range, HEAD, PUT, multipart uploads,
DELETE. A bucket is a folder, a key a file below it, so that a hundred thousand objects can be written as files. Listing
them takes one sort; moto, which serves the tests, takes time with the square of their number. It checks no signature
and knows no versions.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import threading
import urllib.request
import uuid
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qs, quote, unquote, urlsplit
from xml.sax.saxutils import escape

from infra.command_line import run_alone

ROOT: Final = Path(__file__).resolve().parents[2]
KEYS_PER_PAGE: Final = 1000
COUNTS: Final = "/-/counts"
"""Path that answers what was counted since it was last asked, as JSON."""
_RANGE: Final = re.compile(r"bytes=(\d*)-(\d*)")
_STARTED: Final = re.compile(r"listening on (\S+)")


@contextmanager
def object_store(folder: Path) -> Iterator[str]:
    """The address of a server of its own process over a folder. Clients of this process and its children use it."""
    from s3fs import S3FileSystem  # noqa: PLC0415 (the server itself does without)

    process = subprocess.Popen(
        [sys.executable, "-m", "bench.speed.object_store", str(folder)], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    try:
        started = _STARTED.match(process.stdout.readline())
        assert started is not None, "the server has ended"
        settings = {
            "AWS_ENDPOINT_URL": started[1],
            "AWS_ACCESS_KEY_ID": "bench",
            "AWS_SECRET_ACCESS_KEY": "bench",
            "AWS_DEFAULT_REGION": "us-east-1",
        }
        before = {name: os.environ.get(name) for name in settings}
        os.environ.update(settings)
        # Clients that this process has already go on asking the server that they were made for.
        S3FileSystem.clear_instance_cache()
        try:
            yield started[1]
        finally:
            S3FileSystem.clear_instance_cache()
            for name, value in before.items():
                os.environ.pop(name) if value is None else os.environ.update({name: value})
    finally:
        process.terminate()
        process.wait()
        process.stdout.close()


def counted(address: str) -> dict[str, int]:
    """Requests by kind (`LIST`, `GET`, …) and `bytes_out`, `bytes_in` since the last call."""
    with urllib.request.urlopen(address + COUNTS) as answer:
        found: dict[str, int] = json.load(answer)
    return found


class _Store:
    """The folder, lists that are under way, and the counts."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.lists: dict[str, list[tuple[str, os.stat_result | None]]] = {}
        self.uploads = Path(folder) / ".uploads"
        self._counts: Counter[str] = Counter()
        self._lock = threading.Lock()

    def count(self, kind: str, *, bytes_in: int = 0, bytes_out: int = 0) -> None:
        with self._lock:
            self._counts.update({kind: 1, "bytes_in": bytes_in, "bytes_out": bytes_out})

    def take_counts(self) -> dict[str, int]:
        with self._lock:
            counts, self._counts = dict(self._counts), Counter()
        return counts

    def path(self, key: str) -> Path:
        return self.folder / key.lstrip("/")

    def page(self, bucket: str, query: dict[str, str]) -> tuple[list[tuple[str, os.stat_result | None]], str | None]:
        """The next keys and common prefixes (those without a stat) of a list, and the token of the page after them."""
        token = query.get("continuation-token")
        name, _, at = token.partition(":") if token else (uuid.uuid4().hex, "", "0")
        if token is None:
            delimited = query.get("delimiter") == "/"
            self.lists[name] = sorted(
                self._below(bucket, query.get("prefix", ""), delimited=delimited), key=lambda each: each[0]
            )
        first, most = int(at), min(int(query.get("max-keys", KEYS_PER_PAGE)), KEYS_PER_PAGE)
        listed = self.lists[name]
        if first + most < len(listed):
            return listed[first : first + most], f"{name}:{first + most}"
        del self.lists[name]
        return listed[first : first + most], None

    def _below(self, bucket: str, prefix: str, *, delimited: bool) -> Iterator[tuple[str, os.stat_result | None]]:
        folder, _, _ = prefix.rpartition("/")
        root = self.folder / bucket
        waiting = [root / folder]
        while waiting:
            place = waiting.pop()
            if not place.is_dir():
                continue
            with os.scandir(place) as entries:
                for entry in entries:
                    key = os.path.relpath(entry.path, root)
                    if entry.is_dir():
                        if not f"{key}/".startswith(prefix):
                            continue
                        if delimited:
                            yield f"{key}/", None
                        else:
                            waiting.append(Path(entry.path))
                    elif key.startswith(prefix) and not entry.name.endswith(".uploading"):
                        yield key, entry.stat()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    store: _Store

    @property
    def key(self) -> str:
        return unquote(urlsplit(self.path).path)

    @property
    def query(self) -> dict[str, str]:
        return {name: values[0] for name, values in parse_qs(urlsplit(self.path).query, keep_blank_values=True).items()}

    def do_GET(self) -> None:
        if self.path == COUNTS:
            self._answer(200, json.dumps(self.store.take_counts()).encode(), kind=None)
        elif "list-type" in self.query:
            self._list()
        elif "location" in self.query:
            self._answer(200, b"<LocationConstraint/>", kind="GET")
        else:
            self._object(with_content=True)

    def do_HEAD(self) -> None:
        self._object(with_content=False)

    def do_PUT(self) -> None:
        body, path = self._body(), self.store.path(self.key)
        if "partNumber" in self.query:
            path = self.store.uploads / self.query["uploadId"] / f"{int(self.query['partNumber']):05d}"
        elif self.key.strip("/").count("/") == 0:
            path.mkdir(parents=True, exist_ok=True)
            return self._answer(200, b"", kind="PUT")
        self._write(path, [body])
        return self._answer(200, b"", {"ETag": f'"{uuid.uuid4().hex}"'}, kind="PUT", bytes_in=len(body))

    def do_POST(self) -> None:
        self._body()
        bucket, _, key = self.key.strip("/").partition("/")
        if "uploads" in self.query:
            name = uuid.uuid4().hex
            (self.store.uploads / name).mkdir(parents=True)
            about = f"<Bucket>{escape(bucket)}</Bucket><Key>{escape(key)}</Key><UploadId>{name}</UploadId>"
            return self._xml("InitiateMultipartUploadResult", about, kind="POST")
        parts = self.store.uploads / self.query["uploadId"]
        self._write(self.store.path(self.key), (part.read_bytes() for part in sorted(parts.iterdir())))
        shutil.rmtree(parts)
        return self._xml("CompleteMultipartUploadResult", f"<Key>{escape(key)}</Key><ETag>1</ETag>", kind="POST")

    def do_DELETE(self) -> None:
        self.store.path(self.key).unlink(missing_ok=True)
        self._answer(204, b"", kind="DELETE")

    def log_message(self, *_: object) -> None:
        """Log nothing."""

    def _write(self, path: Path, contents: Any) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        staged = path.with_name(f"{path.name}.{uuid.uuid4().hex}.uploading")
        with staged.open("wb") as file:
            for content in contents:
                file.write(content)
        staged.replace(path)

    def _body(self) -> bytes:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if "aws-chunked" not in self.headers.get("Content-Encoding", ""):
            return body
        content, at = b"", 0
        while True:
            end = body.index(b"\r\n", at)
            size = int(body[at:end].split(b";")[0], 16)
            if size == 0:
                return content
            content += body[end + 2 : end + 2 + size]
            at = end + 2 + size + 2

    def _list(self) -> None:
        query = self.query
        listed, after = self.store.page(self.key.strip("/"), query)
        keys = [(quote(key), stat) for key, stat in listed]
        told = "".join(
            f"<Contents><Key>{key}</Key><LastModified>2026-01-01T00:00:00.000Z</LastModified><ETag>1</ETag>"
            f"<Size>{stat.st_size}</Size><StorageClass>STANDARD</StorageClass></Contents>"
            if stat is not None
            else f"<CommonPrefixes><Prefix>{key}</Prefix></CommonPrefixes>"
            for key, stat in keys
        )
        more = f"<NextContinuationToken>{after}</NextContinuationToken>" if after else ""
        about = (
            f"<Name>{escape(self.key.strip('/'))}</Name><Prefix>{quote(query.get('prefix', ''))}</Prefix>"
            f"<EncodingType>url</EncodingType><KeyCount>{len(listed)}</KeyCount>"
            f"<IsTruncated>{'true' if after else 'false'}</IsTruncated>{more}"
        )
        self._xml("ListBucketResult", about + told, kind="LIST")

    def _object(self, *, with_content: bool) -> None:
        kind = "GET" if with_content else "HEAD"
        path = self.store.path(self.key)
        if self.key.strip("/").count("/") == 0 and path.is_dir():
            return self._answer(200, b"", kind=kind)
        try:
            with path.open("rb") as file:
                size = os.fstat(file.fileno()).st_size
                headers = {"ETag": '"1"', "Last-Modified": formatdate(0, usegmt=True), "Accept-Ranges": "bytes"}
                asked = _RANGE.fullmatch(self.headers.get("Range", ""))
                if not with_content:
                    return self._answer(200, b"", headers | {"Content-Length": str(size)}, kind=kind)
                if asked is None:
                    return self._answer(200, file.read(), headers, kind=kind)
                start = int(asked[1]) if asked[1] else max(0, size - int(asked[2]))
                end = min(int(asked[2]) + 1, size) if asked[1] and asked[2] else size
                if start >= size:
                    return self._answer(416, b"", kind=kind)
                file.seek(start)
                content = file.read(end - start)
                return self._answer(
                    206, content, headers | {"Content-Range": f"bytes {start}-{end - 1}/{size}"}, kind=kind
                )
        except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
            body = b"" if not with_content else b"<Error><Code>NoSuchKey</Code><Message>no such key</Message></Error>"
            return self._answer(404, body, kind=kind)

    def _xml(self, name: str, content: str, *, kind: str) -> None:
        space = "http://s3.amazonaws.com/doc/2006-03-01/"
        body = f'<?xml version="1.0" encoding="UTF-8"?>\n<{name} xmlns="{space}">{content}</{name}>'
        self._answer(200, body.encode(), {"Content-Type": "application/xml"}, kind=kind)

    def _answer(
        self, status: int, body: bytes, headers: dict[str, str] | None = None, *, kind: str | None, bytes_in: int = 0
    ) -> None:
        if kind is not None:
            self.store.count(kind, bytes_in=bytes_in, bytes_out=len(body))
        self.send_response(status)
        for name, value in ({"Content-Length": str(len(body))} | (headers or {})).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)


class _Server(ThreadingHTTPServer):
    request_queue_size = 128
    daemon_threads = True


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What the command takes."""
    parser.add_argument("folder", type=Path, help="buckets are its folders")


def run(options: argparse.Namespace) -> None:
    """Serve a folder until the process is ended."""
    handler = type("Handler", (_Handler,), {"store": _Store(options.folder)})
    with _Server(("127.0.0.1", 0), handler) as server:
        print(f"listening on http://127.0.0.1:{server.server_port}", flush=True)
        server.serve_forever()


if __name__ == "__main__":
    sys.exit(run_alone("bench.speed.object_store", __doc__, add_arguments))
