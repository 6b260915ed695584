from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import av
import pytest
import s3fs

from curation.media.duration import claimed_duration_s, measured_duration_s
from curation.sources.headers import Header, header_duration, read_header
from curation.sources.small_reads import Sign
from tests.worlds.counting_store import Traffic, counted
from tests.worlds.long_recordings import CONTAINERS, write_recordings
from tests.worlds.served_models import Server


@pytest.fixture(scope="module")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("recordings")
    write_recordings(folder, seconds=60)
    return folder


@pytest.fixture
def door(object_store: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Traffic]:
    """The object store behind a proxy that counts."""
    with counted(object_store) as traffic:
        monkeypatch.setenv("AWS_ENDPOINT_URL", traffic.address)
        s3fs.S3FileSystem.clear_instance_cache()
        store = s3fs.S3FileSystem()
        if not store.exists("headers"):
            store.mkdir("headers")
        yield traffic
    s3fs.S3FileSystem.clear_instance_cache()


def everything_read(path: Path) -> float:
    """Its duration with all that FFmpeg reads when nobody asks it for less."""
    with av.open(str(path), metadata_errors="replace") as container:
        claimed = claimed_duration_s(container)
        return measured_duration_s(container) if claimed is None else claimed


@pytest.mark.parametrize("name", CONTAINERS)
def test_little_of_a_long_file_is_read_wherever_its_index_is(recordings: Path, door: Traffic, name: str) -> None:
    path, uri = recordings / name, f"s3://headers/{name}"
    store = s3fs.S3FileSystem()
    store.put_file(str(path), uri)
    size = path.stat().st_size
    assert size > 30_000_000
    expected = everything_read(path)
    for known in (None, size):
        door.clear()
        assert read_header(uri, known) == Header(expected)
        # A fragmented file says how long it is in each of its fragments, here one every two seconds.
        assert door.num_bytes < (700_000 if "fragment" in name else 600_000)
        assert door.num_gets < (60 if "fragment" in name else 12)
    assert header_duration(str(path)) == expected


def test_signs_frame_every_request(recordings: Path, door: Traffic) -> None:
    s3fs.S3FileSystem().put_file(str(recordings / "matroska.mkv"), "s3://headers/a.mkv")
    signs: list[Sign] = []
    read_header("s3://headers/a.mkv", None, signs.append)
    assert signs == [Sign.ASKS, Sign.HAS_ANSWER] * (len(signs) // 2)
    assert len(signs) >= 4


def test_what_is_not_there_is_the_files_fault(door: Traffic) -> None:
    assert read_header("s3://headers/gone.mp4") == Header()
    assert read_header("s3://headers/gone.mp4", 1000) == Header()
    assert read_header("s3://nowhere/gone.mp4") == Header()
    assert read_header("s3://headers") == Header()


class Denying(BaseHTTPRequestHandler):
    """A store that lets nobody read."""

    def do_GET(self) -> None:
        content = b"<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>"
        self.send_response(403)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    do_HEAD = do_GET

    def log_message(self, *_: object) -> None:
        """Log nothing."""


@pytest.fixture
def denying(object_store: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    server = Server(("127.0.0.1", 0), Denying)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{server.server_port}")
    s3fs.S3FileSystem.clear_instance_cache()
    yield
    server.shutdown()
    server.server_close()
    s3fs.S3FileSystem.clear_instance_cache()


@pytest.mark.parametrize("size", [None, 1000])
def test_a_store_that_denies_access_is_not_the_files_fault(denying: None, size: int | None) -> None:
    header = read_header("s3://headers/a.mp4", size)
    assert header.fault is not None
    assert header.fault.startswith("the store denies access (")
    assert header == Header(fault=header.fault)


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.mp4")
    assert header_duration(str(tmp_path / "pipe.mp4")) is None
