"""Files that only grow: appended lines are whole, on the disk, and never mixed with another writer's."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from infra.storage.line_files import append_lines, read_lines


def test_lines_are_added_behind_those_that_are_there(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "lines"
    append_lines(path, ["a", "ä"])
    append_lines(path, [])
    append_lines(path, ["c"])
    assert read_lines(path) == ["a", "ä", "c"]
    assert path.read_bytes() == "a\nä\nc\n".encode()


@pytest.mark.parametrize("whole", ["", "first\nsecond\n", "x" * 70_000 + "\n"])
@pytest.mark.parametrize("torn", ['{"half', "y" * 200_000, "\udcc3"])
def test_a_torn_line_is_passed_over_and_cut_off_by_the_next_writer(tmp_path: Path, whole: str, torn: str) -> None:
    path = tmp_path / "lines"
    path.write_bytes((whole + torn).encode(errors="surrogateescape"))
    before = whole.split("\n")[:-1]
    assert read_lines(path) == before
    append_lines(path, ["next"])
    assert read_lines(path) == [*before, "next"]
    assert path.read_bytes() == f"{whole}next\n".encode()


def test_what_the_system_writes_in_pieces_arrives_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = os.write
    monkeypatch.setattr(os, "write", lambda descriptor, data: whole(descriptor, bytes(data)[:3]))
    append_lines(tmp_path / "lines", ["one long line", "another"])
    monkeypatch.undo()
    assert read_lines(tmp_path / "lines") == ["one long line", "another"]


def test_lines_are_on_the_disk_when_it_returns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[bytes] = []
    monkeypatch.setattr(os, "fsync", lambda _: synced.append((tmp_path / "lines").read_bytes()))
    append_lines(tmp_path / "lines", ["a"])
    assert synced == [b"a\n"]


def test_many_writers_at_once_lose_and_mix_nothing(tmp_path: Path) -> None:
    def write(writer: int) -> None:
        for number in range(20):
            append_lines(tmp_path / "lines", [f"{writer} {number} {part}" for part in ("a" * 50, "b" * 50)])

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(write, range(4)))
    lines = read_lines(tmp_path / "lines")
    assert len(set(lines)) == len(lines) == 4 * 20 * 2
    assert all(first[:-50] == second[:-50] for first, second in zip(lines[::2], lines[1::2], strict=True))
