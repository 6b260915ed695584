"""The commit rule: what has a Parquet file is there, and nothing else."""

from __future__ import annotations

import io
import tarfile
import tempfile
from contextlib import nullcontext
from pathlib import Path

import fsspec
import numpy as np
import pytest
import s3fs

from infra.config import ConfigError
from infra.storage.commits import CommitDirectory, TakenOverError, staged_tar
from tests.worlds.small_disk import small_disk


@pytest.mark.parametrize("length", [1, 90, 99, 100, 101, 128])
def test_offsets_point_at_the_contents_whatever_the_length_of_names(tmp_path: Path, length: int) -> None:
    path = tmp_path / "bucket" / "a.tar"
    names = [f"{index}{'k' * (length - 1)}.json" for index in range(3)] + ["ä" * (length // 2) + ".json"]
    contents = [bytes([index]) * size for index, size in enumerate((0, 511, 512, 5000))]
    with staged_tar(str(path)) as tar:
        offsets = [tar.add(name, content) for name, content in zip(names, contents, strict=True)]
    data = path.read_bytes()
    assert [data[offset : offset + len(c)] for offset, c in zip(offsets, contents, strict=True)] == contents
    with tarfile.open(path) as tar_file:
        assert tar_file.getnames() == names
        assert [member.offset_data for member in tar_file] == offsets


def test_a_tar_that_is_not_finished_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(TypeError), staged_tar(str(tmp_path / "a.tar")) as tar:
        tar.add("a", "not bytes")  # type: ignore[arg-type]
    assert not list(tmp_path.iterdir())


def committed(path: str) -> CommitDirectory:
    directory = CommitDirectory(path)
    directory.open_session("one")
    with staged_tar(f"{path}/5x32x32/soul-a.tar") as tar:
        tar.add("x", b"1")
    directory.commit("soul-a", [{"key": "x", "value": 1}, {"key": "y", "other": "z"}], "one")
    return directory


def test_rows_come_back_and_missing_columns_are_null(tmp_path: Path) -> None:
    directory = committed(str(tmp_path))
    directory.commit("soul-b", [], "one")
    directory.commit("soul-c", [{"key": "w", "late": 2.5}], "one")
    assert directory.names() == ["soul-a", "soul-b", "soul-c"]
    rows = directory.index().to_pylist()
    assert [row["shard"] for row in rows] == ["soul-a", "soul-a", "soul-c"]
    assert [row["late"] for row in rows] == [None, None, 2.5]
    assert directory.index(["value"]).to_pylist()[:2] == [{"value": 1}, {"value": None}]
    assert directory.rows_of("soul-b").num_rows == 0


def test_columns_are_those_asked_for(tmp_path: Path) -> None:
    directory = committed(f"{tmp_path}/")
    assert directory.path == str(tmp_path)
    assert directory.index().column_names == ["key", "value", "other", "shard"]
    assert directory.index(["other", "shard", "absent"]).to_pylist() == [
        {"other": None, "shard": "soul-a"},
        {"other": "z", "shard": "soul-a"},
    ]
    assert directory.rows_of("soul-a").to_pylist() == [
        {"key": "x", "value": 1, "other": None},
        {"key": "y", "value": None, "other": "z"},
    ]
    assert directory.rows_of("soul-a", ["value", "absent"]).to_pylist() == [{"value": 1}, {"value": None}]


def test_whole_numbers_and_fractions_go_together_and_texts_and_numbers_do_not(tmp_path: Path) -> None:
    directory = committed(str(tmp_path))
    directory.commit("soul-b", [{"value": 0.5}], "one")
    assert directory.index(["value"])["value"].to_pylist() == [1.0, None, 0.5]
    directory.commit("soul-c", [{"value": "text"}], "one")
    with pytest.raises(ConfigError, match=f"^the commits in {tmp_path} do not go together: ."):
        directory.index()


def test_a_session_holds_until_the_next(tmp_path: Path) -> None:
    directory = committed(str(tmp_path))
    directory.check_session("one")
    directory.open_session("two")
    assert (tmp_path / "_session").read_bytes() == b"two"
    directory.check_session("two")
    with pytest.raises(TakenOverError, match=f"^another run has started on {tmp_path}$"):
        directory.check_session("one")


def test_opening_leaves_what_is_committed_or_not_of_a_job(tmp_path: Path) -> None:
    directory = committed(str(tmp_path))
    kept = ["soul-a.tar", "notes.txt", "soul-b.tar.gz", "5x32x32/notes.txt", "a/b/soul-b.tar"]
    for name in kept:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    assert directory.open_session("two") == 0
    assert {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*.*")} == {
        *kept,
        *("soul-a.parquet", "5x32x32/soul-a.tar"),
    }


def test_a_tar_is_staged_beside_its_place_and_then_readable_by_all(tmp_path: Path) -> None:
    path = tmp_path / "new" / "folder" / "a.tar"
    with staged_tar(str(path)) as tar:
        (staged,) = path.parent.iterdir()
        assert (staged.name[:6], staged.suffix) == (".soul-", ".tmp")
        assert tar.add("x", b"1") == tarfile.BLOCKSIZE
    assert list(path.parent.iterdir()) == [path]
    assert path.stat().st_mode & 0o777 == 0o644
    with staged_tar(str(path)) as tar:
        tar.add("y", b"2")
    with tarfile.open(path) as file:
        assert file.getnames() == ["y"]


@pytest.mark.parametrize("fails", [False, True])
def test_a_remote_tar_is_staged_in_the_temporary_directory_and_leaves_nothing_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fails: bool
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    memory, place = fsspec.filesystem("memory"), f"/{tmp_path.name}/a.tar"
    with pytest.raises(TypeError) if fails else nullcontext(), staged_tar(f"memory:/{place}") as tar:
        (staged,) = tmp_path.iterdir()
        assert (staged.name[:6], staged.suffix) == (".soul-", ".tmp")
        tar.add("x", 1 if fails else b"1")  # type: ignore[arg-type]
    assert not list(tmp_path.iterdir())
    assert memory.exists(place) is not fails
    if not fails:
        with tarfile.open(fileobj=io.BytesIO(memory.cat_file(place))) as file:
            assert file.getnames() == ["x"]


def test_an_empty_directory_has_an_empty_index(tmp_path: Path) -> None:
    assert CommitDirectory(str(tmp_path / "none")).index().num_rows == 0


def test_opening_removes_uncommitted_tars_at_both_levels(tmp_path: Path) -> None:
    directory = committed(str(tmp_path))
    for name in ("soul-orphan.tar", "5x32x32/soul-orphan.tar", "9x32x32/soul-b.tar", "5x32x32/.soul-1.tmp"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    assert directory.open_session("two") == 4
    assert sorted(path.name for path in tmp_path.rglob("*.*")) == ["soul-a.parquet", "soul-a.tar"]


def test_a_run_that_was_taken_over_commits_nothing(tmp_path: Path) -> None:
    directory = committed(str(tmp_path))
    directory.open_session("two")
    with pytest.raises(TakenOverError):
        directory.commit("soul-b", [{"key": "x"}], "one")
    assert directory.names() == ["soul-a"]


def test_on_object_storage_too(object_store: str) -> None:
    store = s3fs.S3FileSystem()
    store.mkdirs("commits", exist_ok=True)
    for name in ("soul-orphan.tar", "5x32x32/soul-orphan.tar"):
        store.pipe_file(f"commits/run/{name}", b"left over")
    directory = committed("s3://commits/run")
    assert directory.names() == ["soul-a"]
    assert sorted(store.find("commits/run")) == [
        "commits/run/5x32x32/soul-a.tar",
        "commits/run/_session",
        "commits/run/soul-a.parquet",
    ]


def test_a_damaged_index_is_named(tmp_path: Path) -> None:
    directory = committed(str(tmp_path))
    path = tmp_path / "soul-a.parquet"
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(ConfigError, match=f"^{path} cannot be read: Parquet magic bytes not found"):
        directory.index()


@pytest.mark.parametrize("name", [b"key", b"offset"])
def test_a_name_in_an_index_that_is_no_text_is_damage(tmp_path: Path, name: bytes) -> None:
    directory = CommitDirectory(str(tmp_path))
    directory.open_session("one")
    directory.commit("soul-a", [{"key": "k", "offset": 1}], "one")
    path = tmp_path / "soul-a.parquet"
    path.write_bytes(path.read_bytes().replace(name, b"\xff" + name[1:]))
    with pytest.raises(ConfigError, match=f"^{path} cannot be read: "):
        directory.index()


@pytest.mark.parametrize("size", [1, 4096])
def test_damage_anywhere_in_an_index_is_found(tmp_path: Path, size: int) -> None:
    directory, random = CommitDirectory(str(tmp_path)), np.random.default_rng(0)
    directory.open_session("one")
    rows = [{"key": f"k{number}", "vectors": random.bytes(960), "offset": number} for number in range(200)]
    directory.commit("soul-a", rows, "one")
    path = tmp_path / "soul-a.parquet"
    data, passed = path.read_bytes(), 0
    for at in random.integers(0, len(data) - size, 100).tolist():
        path.write_bytes(data[:at] + random.bytes(size) + data[at + size :])
        try:
            assert directory.rows_of("soul-a").to_pylist() == rows, "a byte that says nothing"
            passed += 1
        except ConfigError as error:
            assert "\n" not in str(error)  # noqa: PT017
            assert str(error).startswith(f"{path} cannot be read: ")  # noqa: PT017
    assert passed <= (5 if size == 1 else 0)


def test_a_full_disk_is_named_and_stays_as_it_was(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", 64) as disk:
        directory = committed(str(disk))
        before = sorted(disk.rglob("*"))
        with pytest.raises(OSError, match="No space left on device") as full:
            directory.commit("soul-b", [{"key": np.random.default_rng(0).bytes(100_000)}], "one")
        assert full.value.filename == f"{disk}/soul-b.parquet"
        assert sorted(disk.rglob("*")) == before


def test_a_disk_that_is_full_names_the_tar_and_keeps_nothing_of_it(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", 64) as disk:
        with pytest.raises(OSError, match="No space left on device") as full, staged_tar(f"{disk}/a.tar") as tar:
            tar.add("x", bytes(100_000))
        assert full.value.filename == f"{disk}/a.tar"
        assert not list(disk.iterdir())
