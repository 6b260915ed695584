from __future__ import annotations

from pathlib import Path

import pytest

from curation.sources.header_readers import HeaderFile, read_headers
from curation.sources.headers import Header, read_header
from tests.worlds.faulty_reader import crash_or_hang
from tests.worlds.videos import write_video


def read(*uris: str, num_helpers: int, timeout_s: float = 30.0) -> dict[str, Header]:
    files = [HeaderFile(uri) for uri in uris]
    told = read_headers(files, num_helpers=num_helpers, timeout_s=timeout_s, read=crash_or_hang)
    return {Path(file.uri).stem: header for file, header in told}


def test_headers_are_read_by_a_few_processes(tmp_path: Path) -> None:
    paths = [str(write_video(tmp_path / f"{name}.mp4", size=(64, 64), seconds=1)) for name in range(12)]
    headers = read(*paths, num_helpers=2)
    assert {header.duration_s for header in headers.values()} == {1.0}
    readers = {Path(path).with_suffix(".read").read_text() for path in paths}
    assert len(headers) == 12
    assert 1 <= len(readers) <= 2


@pytest.mark.parametrize("num_helpers", [1, 3])
def test_a_crash_or_a_hang_costs_that_files_helper_and_nothing_is_read_twice(tmp_path: Path, num_helpers: int) -> None:
    good = write_video(tmp_path / "good0.mp4", size=(64, 64), seconds=1).read_bytes()
    names = ["good1", "crash", "good2", "hang", "good3", "good4", "good5"]
    for name in names:
        (tmp_path / f"{name}.mp4").write_bytes(good)
    headers = read(*(f"{tmp_path}/{name}.mp4" for name in names), num_helpers=num_helpers, timeout_s=3.0)
    assert headers == {name: Header(1.0) if "good" in name else Header() for name in names}
    assert all(len((tmp_path / f"{name}.read").read_text().split()) == 1 for name in names)


def test_a_store_that_does_not_answer_is_not_the_files_fault() -> None:
    headers = read("s3://bucket/store.mp4", num_helpers=1, timeout_s=1.0)
    assert headers == {"store": Header(fault="the store does not answer")}


def test_no_files_start_no_process() -> None:
    assert not list(read_headers([], num_helpers=4, timeout_s=1.0, read=read_header))
