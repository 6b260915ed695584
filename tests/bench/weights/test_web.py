from __future__ import annotations

import hashlib
import io
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from bench.weights import web
from bench.weights.source import Content, NotFetchedError, WebFile, WebWeights
from tests.worlds.weight_servers import Shelf, shelf

BODY = np.random.default_rng(0).bytes(300_000)


def content(data: bytes) -> Content:
    return Content(size=len(data), sha256=hashlib.sha256(data).hexdigest())


def plain(address: str, data: bytes = BODY) -> WebWeights:
    return WebWeights(
        url=f"{address}/net.model", licence="free", download=content(data),
        files=(WebFile(path="deep/net.model", content=content(data)),),
    )  # fmt: skip


def zipped(**files: bytes) -> bytes:
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w") as archive:
        for name, data in files.items():
            archive.writestr(name.replace("__", "/"), data)
    return sink.getvalue()


def fetch(weights: WebWeights, models: Path, mirror: str | None = None) -> list[int]:
    """How much was told to be there, step by step."""
    told: list[int] = []
    web.fetch(weights, models, lambda done, _: told.append(done), mirror=mirror)
    return told


def left(models: Path) -> list[str]:
    return sorted(path.relative_to(models).as_posix() for path in models.rglob("*") if path.is_file())


@pytest.fixture
def server() -> Iterator[Shelf]:
    with shelf({"/net.model": BODY}) as served:
        yield served


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(web, "PAUSES_S", (0.0, 0.0))


def test_a_file_comes_into_its_place_and_nothing_is_left_beside_it(server: Shelf, tmp_path: Path) -> None:
    weights = plain(server.address)
    assert not weights.are_there(tmp_path)
    assert fetch(weights, tmp_path)[-1] == len(BODY)
    assert (tmp_path / "deep" / "net.model").read_bytes() == BODY
    assert left(tmp_path) == ["deep/net.model"]
    assert weights.are_there(tmp_path)


def test_a_download_that_breaks_off_goes_on_where_it_was(server: Shelf, tmp_path: Path) -> None:
    server.breaks_after = [100_000, 50_000]
    fetch(plain(server.address), tmp_path)
    assert (tmp_path / "deep" / "net.model").read_bytes() == BODY
    assert [range_ for _, range_ in server.asked] == [None, "bytes=100000-", "bytes=150000-"]


def test_the_next_command_goes_on_too(server: Shelf, tmp_path: Path) -> None:
    server.breaks_after = [120_000, 0, 0, 0, 0]
    with pytest.raises(NotFetchedError, match=r"breaks off \(it ended after 120,000 of 300,000 bytes\)"):
        fetch(plain(server.address), tmp_path)
    assert left(tmp_path) == [".net.model.part", ".net.model.part.etag"]
    server.breaks_after, server.asked = [], []
    fetch(plain(server.address), tmp_path)
    assert server.asked == [("/net.model", "bytes=120000-")]
    assert left(tmp_path) == ["deep/net.model"]


def test_a_file_that_has_changed_meanwhile_begins_anew(server: Shelf, tmp_path: Path) -> None:
    server.breaks_after = [120_000, 0, 0, 0, 0]
    with pytest.raises(NotFetchedError):
        fetch(plain(server.address), tmp_path)
    newer = BODY[::-1]
    server.files["/net.model"], server.breaks_after = newer, []
    fetch(plain(server.address, newer), tmp_path)
    assert (tmp_path / "deep" / "net.model").read_bytes() == newer


def test_without_a_tag_nothing_is_pieced_together(server: Shelf, tmp_path: Path) -> None:
    server.tagged, server.breaks_after = False, [100_000]
    fetch(plain(server.address), tmp_path)
    assert [range_ for _, range_ in server.asked] == [None, None]
    assert (tmp_path / "deep" / "net.model").read_bytes() == BODY


def test_a_busy_server_is_asked_again_and_a_refusal_is_final(server: Shelf, tmp_path: Path) -> None:
    server.statuses = [503, 429]
    fetch(plain(server.address), tmp_path)
    assert len(server.asked) == 3
    server.asked.clear()
    server.statuses = [403]
    with pytest.raises(NotFetchedError, match="answers 403 Forbidden"):
        fetch(plain(server.address), tmp_path)
    assert len(server.asked) == 1
    server.statuses = [503] * 9
    with pytest.raises(NotFetchedError, match="answers 503"):
        fetch(plain(server.address), tmp_path / "other")


@pytest.mark.parametrize("other", [BODY[:-1] + b"?", BODY + b"more", BODY[:-7]])
def test_another_file_is_not_taken_and_not_kept(tmp_path: Path, other: bytes) -> None:
    with shelf({"/net.model": other}) as server, pytest.raises(NotFetchedError, match=r"is another file|breaks off"):
        fetch(plain(server.address), tmp_path)
    assert "deep/net.model" not in left(tmp_path)


def test_an_address_that_does_not_answer_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(NotFetchedError, match=r"^127\.0\.0\.1:9 cannot be reached \(Connection refused\)$"):
        fetch(plain("http://127.0.0.1:9"), tmp_path)
    with pytest.raises(NotFetchedError, match=r"^no-such-host\.invalid cannot be reached"):
        fetch(plain("http://no-such-host.invalid"), tmp_path)


def pack(address: str, archive: bytes, **files: bytes) -> WebWeights:
    members = tuple(
        WebFile(path=f"pack/{name}.onnx", member=f"{name}.onnx", content=content(data)) for name, data in files.items()
    )
    return WebWeights(url=f"{address}/pack.zip", licence="free", download=content(archive), files=members)


@pytest.mark.parametrize("folder", ["", "buffalo__"])
def test_the_files_of_a_zip_come_into_their_places(tmp_path: Path, folder: str) -> None:
    archive = zipped(**{f"{folder}a.onnx": b"first", f"{folder}b.onnx": b"second", "other.onnx": b"third"})
    with shelf({"/pack.zip": archive}) as server:
        fetch(pack(server.address, archive, a=b"first", b=b"second"), tmp_path)
    assert left(tmp_path) == ["pack/a.onnx", "pack/b.onnx"]
    assert (tmp_path / "pack" / "b.onnx").read_bytes() == b"second"


def test_a_zip_without_its_file_or_with_another_one_is_told(tmp_path: Path) -> None:
    archive = zipped(**{"a.onnx": b"first"})
    with shelf({"/pack.zip": archive, "/net.zip": b"no zip"}) as server:
        with pytest.raises(NotFetchedError, match=r"holds b\.onnx 0 times"):
            fetch(pack(server.address, archive, b=b"second"), tmp_path)
        with pytest.raises(NotFetchedError, match=r"pack/a\.onnx is another file than expected"):
            fetch(pack(server.address, archive, a=b"fir?t"), tmp_path)
        server.files["/pack.zip"] = b"no zip at all"
        with pytest.raises(NotFetchedError, match="is no zip"):
            fetch(pack(server.address, b"no zip at all", a=b"first"), tmp_path)
    assert "pack/a.onnx" not in left(tmp_path)


def test_a_mirror_takes_the_authors_place(server: Shelf, tmp_path: Path) -> None:
    fetch(plain("http://127.0.0.1:9"), tmp_path, mirror=f"{server.address}/")
    assert left(tmp_path) == ["deep/net.model"]
