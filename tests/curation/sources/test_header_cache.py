from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import s3fs

from curation.sources.header_cache import MAX_PARTS, HeaderCache
from curation.sources.header_readers import HeaderFile
from curation.sources.headers import Header

A = HeaderFile("s3://in/a.mp4", 100, "tag")


def keep(run: object, *read: tuple[HeaderFile, Header]) -> None:
    cache = HeaderCache(str(run))
    for file, header in read:
        cache.add(file, header)
    cache.close()


def found(run: object, *files: HeaderFile) -> list[float | None]:
    """Durations; None where a header is not known."""
    known, durations = HeaderCache(str(run)).find(files)
    return [duration if is_known else None for is_known, duration in zip(known, durations, strict=True)]


def parts(run: Path) -> list[Path]:
    return sorted((run / "plan").iterdir())


def test_a_header_is_known_while_size_and_stamp_are_as_listed(tmp_path: Path) -> None:
    assert found(tmp_path, A) == [None]
    keep(tmp_path, (A, Header(7.0)))
    changed = [HeaderFile(A.uri, 101, "tag"), HeaderFile(A.uri, 100, "other"), HeaderFile("s3://in/b.mp4", 100, "tag")]
    assert found(tmp_path, A, *changed) == [7.0, None, None, None]
    assert found(tmp_path, HeaderFile(A.uri)) == [7.0], "a manifest has names alone"
    keep(tmp_path, (changed[0], Header(8.0)))
    assert found(tmp_path, A, changed[0]) == [None, 8.0]
    assert found(tmp_path) == []


def test_a_file_named_by_a_manifest_is_known_by_its_name(tmp_path: Path) -> None:
    named = HeaderFile("/in/a.mp4")
    keep(tmp_path, (named, Header(7.0)))
    assert found(tmp_path, named) == [7.0]
    assert found(tmp_path, HeaderFile("/in/a.mp4", 100, "tag")) == [None]


def test_what_cannot_be_read_is_kept_and_what_cannot_be_reached_is_not(tmp_path: Path) -> None:
    named = HeaderFile("/in/broken.mp4")
    keep(tmp_path, (A, Header()), (named, Header()), (HeaderFile("b", 1, "tag"), Header(fault="SlowDown")))
    (duration,) = found(tmp_path, A)
    assert duration is not None
    assert math.isnan(duration)
    # Nothing would tell that the file has been mended.
    assert found(tmp_path, named, HeaderFile("b", 1, "tag")) == [None, None]


def test_many_parts_become_one_and_the_last_word_counts(tmp_path: Path) -> None:
    for number in range(MAX_PARTS + 1):
        keep(tmp_path, (A, Header(float(number))), (HeaderFile(str(number), 1, "t"), Header(1.0)))
    assert len(parts(tmp_path)) == 1
    others = [HeaderFile(str(number), 1, "t") for number in range(MAX_PARTS + 1)]
    assert found(tmp_path, A, *others) == [float(MAX_PARTS), *[1.0] * len(others)]


def test_a_merge_that_was_cut_off_does_no_harm(tmp_path: Path) -> None:
    for number in range(3):
        keep(tmp_path, (A, Header(float(number))))
    first, *_ = parts(tmp_path)
    before = first.read_bytes()
    for number in range(3, MAX_PARTS + 1):
        keep(tmp_path, (A, Header(float(number))))
    first.write_bytes(before)
    assert found(tmp_path, A) == [float(MAX_PARTS)]


def test_a_damaged_part_is_told_and_read_again(tmp_path: Path) -> None:
    keep(tmp_path, (A, Header(7.0)))
    (part,) = parts(tmp_path)
    part.write_bytes(part.read_bytes()[:-20])
    notes: list[str] = []
    cache = HeaderCache(str(tmp_path), notes.append)
    known, _ = cache.find([A])
    assert not known.any()
    assert "is damaged, so its headers are read again" in notes[0]
    cache.add(A, Header(7.0))
    cache.close()
    assert found(tmp_path, A) == [7.0]


def test_where_nothing_can_be_written_a_note_says_so(tmp_path: Path) -> None:
    (tmp_path / "plan").write_text("a file stands in the way")
    notes: list[str] = []

    def plan(files: Sequence[HeaderFile]) -> None:
        cache = HeaderCache(str(tmp_path), notes.append)
        for file in files:
            cache.add(file, Header(7.0))
            cache.flush()

    plan([A, HeaderFile("b", 1, "t")])
    assert len(notes) == 1
    assert "headers cannot be kept in" in notes[0]


def test_a_cache_in_a_store(object_store: str) -> None:
    store = s3fs.S3FileSystem()
    if not store.exists("cached"):
        store.mkdir("cached")
    keep("s3://cached/run", (A, Header(7.0)))
    assert found("s3://cached/run", A) == [7.0]
