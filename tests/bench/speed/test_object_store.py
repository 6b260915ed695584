"""The server of the benchmarks answers s3fs as a store does, and counts."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import s3fs

from bench.speed.object_store import counted, object_store


@pytest.fixture
def store(tmp_path: Path) -> Iterator[tuple[str, s3fs.S3FileSystem]]:
    (tmp_path / "bucket").mkdir()
    with object_store(tmp_path) as address:
        yield address, s3fs.S3FileSystem(endpoint_url=address, skip_instance_cache=True)


def test_what_is_written_is_read_in_whole_and_in_part_and_gone_when_deleted(
    store: tuple[str, s3fs.S3FileSystem],
) -> None:
    address, fs = store
    fs.pipe_file("bucket/a b/ä&<.bin", bytes(range(256)))
    assert fs.cat_file("bucket/a b/ä&<.bin") == bytes(range(256))
    assert fs.cat_file("bucket/a b/ä&<.bin", start=10, end=20) == bytes(range(10, 20))
    assert fs.cat_file("bucket/a b/ä&<.bin", start=-6) == bytes(range(250, 256))
    counts = counted(address)
    assert (counts["PUT"], counts["GET"], counts["bytes_in"]) == (1, 3, 256)
    assert counts["bytes_out"] >= 256 + 10 + 6
    fs.invalidate_cache()
    assert fs.info("bucket/a b/ä&<.bin")["size"] == 256
    fs.rm_file("bucket/a b/ä&<.bin")
    fs.invalidate_cache()
    with pytest.raises(FileNotFoundError):
        fs.cat_file("bucket/a b/ä&<.bin")
    assert not fs.exists("bucket/a b/ä&<.bin")


def test_thousands_of_keys_are_listed_page_by_page(tmp_path: Path, store: tuple[str, s3fs.S3FileSystem]) -> None:
    address, fs = store
    folder = tmp_path / "bucket" / "run" / "shards"
    (folder / "_ledger").mkdir(parents=True)
    (folder / "_ledger" / "part").write_bytes(b"x")
    for number in range(2500):
        (folder / f"soul-{number:05d}.parquet").write_bytes(b"x" * (number % 7))
    counted(address)
    listed = fs.ls("bucket/run/shards", detail=True)
    assert [entry["name"] for entry in listed if entry["type"] == "directory"] == ["bucket/run/shards/_ledger"]
    sizes = {entry["name"].rpartition("/")[2]: entry["size"] for entry in listed if entry["type"] == "file"}
    assert sizes == {f"soul-{number:05d}.parquet": number % 7 for number in range(2500)}
    assert counted(address)["LIST"] == 3
    assert len(fs.find("bucket/run")) == 2501


def test_a_large_file_comes_in_parts(tmp_path: Path, store: tuple[str, s3fs.S3FileSystem]) -> None:
    _, fs = store
    content = bytes(range(256)) * 50_000
    with fs.open("bucket/large", "wb", block_size=5 << 20) as file:
        file.write(content)
    assert (tmp_path / "bucket" / "large").read_bytes() == content
