"""Files on this machine and on an object store: whole or not there, and one kind of error for both."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import s3fs

from infra.storage.files import (
    NotAFileError,
    check_file,
    is_local,
    join,
    list_files,
    local_copy,
    naming,
    read_bytes,
    remove,
    scheme_of,
    store_errors,
    write_atomically,
)


def test_what_is_local_and_how_paths_are_joined() -> None:
    assert [scheme_of(path) for path in ("/a/b", "s3://a/b", "file:///a", "a:/b")] == [None, "s3", "file", None]
    assert [is_local(path) for path in ("a", "file://localhost/a", "local:///a", "s3://a/b")] == [True] * 3 + [False]
    assert join("s3://a/b/", "c", "d.tar") == "s3://a/b/c/d.tar"


@pytest.mark.parametrize("name", ["a.json", "a::b.json", "file://localhost{}", "file://{}"])
def test_a_file_is_written_read_listed_and_removed(name: str, tmp_path: Path) -> None:
    place = name.format(tmp_path / "deep" / "a.json") if "{}" in name else str(tmp_path / "deep" / name)
    write_atomically(place, b"first")
    write_atomically(place, b"second")
    assert read_bytes(place) == b"second"
    assert len(list_files(str(tmp_path / "deep"), ".json")) == 1
    assert list_files(str(tmp_path / "deep"), ".tar") == list_files(str(tmp_path / "absent")) == []
    remove(place)
    remove(place)
    assert list((tmp_path / "deep").iterdir()) == []
    with pytest.raises(FileNotFoundError):
        read_bytes(place)


def test_a_write_that_fails_leaves_what_was_there_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path / "a.json"
    write_atomically(str(place), b"whole")
    seen: list[bytes] = []

    def full(_: int) -> None:
        seen.append(place.read_bytes())
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left") as told:
        write_atomically(str(place), b"half")
    assert told.value.filename == str(place)
    assert seen == [b"whole"], "it is on the disk before it takes the other's place"
    assert [path.name for path in tmp_path.iterdir()] == ["a.json"]
    assert place.read_bytes() == b"whole"


def test_an_error_without_a_name_gets_one_and_others_keep_theirs() -> None:
    for error, name in ((OSError(28, "full"), "/x"), (OSError(28, "full", "/y"), "/y"), (OSError("bare"), None)):
        with pytest.raises(OSError, match=r"full|bare") as told, naming("/x"):
            raise error
        assert told.value.filename == name


def test_what_is_no_file_is_refused_before_a_library_waits_for_it(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path, tmp_path / "pipe"):
        with pytest.raises(NotAFileError, match="is a directory, a pipe or a device"):
            check_file(str(path))
    with pytest.raises(FileNotFoundError):
        check_file(str(tmp_path / "absent"))


def test_a_local_file_is_read_where_it_lies_and_a_remote_one_fetched_for_a_while(
    object_store: str, tmp_path: Path
) -> None:
    (tmp_path / "a.txt").write_bytes(b"here")
    with local_copy(str(tmp_path / "a.txt")) as path:
        assert path == str(tmp_path / "a.txt")

    s3fs.S3FileSystem().mkdirs("copies", exist_ok=True)
    write_atomically("s3://copies/deep/a.txt", b"there")
    assert list_files("s3://copies/deep") == ["a.txt"]
    with local_copy("s3://copies/deep/a.txt") as path:
        assert Path(path).read_bytes() == b"there"
        assert path.endswith(".txt")
    assert not Path(path).exists()
    with pytest.raises(FileNotFoundError), local_copy("s3://copies/absent"):
        pass


def test_a_store_s_own_exceptions_are_errors_of_files_and_bugs_stay_bugs() -> None:
    refused = type("ClientError", (Exception,), {"__module__": "botocore.exceptions"})
    with pytest.raises(OSError, match="denied"), store_errors():
        raise refused("denied")
    with pytest.raises(ValueError, match="a bug"), store_errors():
        raise ValueError("a bug")
