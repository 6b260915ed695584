"""The index out of parts is that of the commits' own files: while parts are made, after crashes, damage and repeats."""

from __future__ import annotations

import itertools
import shutil
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
import s3fs

from infra.config import ConfigError
from infra.storage import commits, index_parts
from infra.storage.commits import CommitDirectory, TakenOverError
from infra.storage.files import exists, join, list_files, remove
from infra.storage.index_parts import FOLDER, Part, commits_of, groups_to_merge, parts_of
from tests.worlds.counting_store import counted


class Crash(Exception):
    """The process ends here."""


class Directory(CommitDirectory):
    left_out = frozenset({"picture"})
    planned_with = ("source",)


@pytest.fixture(autouse=True)
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Parts as of thousands of commits, of a few."""
    for module in (commits, index_parts):
        for name, value in {"TAIL_COMMITS": 4, "FANOUT": 3, "SMALLEST_ROWS": 8, "MOST_ROWS": 60}.items():
            if hasattr(module, name):
                monkeypatch.setattr(module, name, value)
    monkeypatch.setattr(index_parts, "ROWS_PER_GROUP", 20)
    index_parts._commits_of.cache_clear()


@pytest.fixture(params=["local", "s3"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "local":
        return str(tmp_path / "shards")
    request.getfixturevalue("object_store")
    s3fs.S3FileSystem().mkdirs("parts", exist_ok=True)
    return f"s3://parts/{tmp_path.name}-{tmp_path.parent.name}/shards"


def rows(number: int) -> list[dict[str, Any]]:
    """Of one commit: none to three, with columns that not all have."""
    found: list[dict[str, Any]] = []
    for index in range(number % 4):
        row: dict[str, Any] = {
            "key": f"k{number}-{index}",
            "source": f"s{number}",
            "picture": bytes([number % 256]) * 50,
        }
        row["score"] = number if number % 3 else number + 0.5
        if number % 5 == 0:
            row["late"] = f"text {number}"
        found.append(row)
    return found


def name(number: int) -> str:
    return f"soul-{(number * 7919) % 10007:05d}"


def fill(directory: CommitDirectory, numbers: range, session: str = "one") -> None:
    for number in numbers:
        directory.commit(name(number), rows(number), session)


def expected(numbers: range) -> list[dict[str, Any]]:
    columns = ("key", "source", "picture", "score", "late")
    return [
        {**{column: row.get(column) for column in columns}, "shard": name(number)}
        for number in sorted(numbers, key=name)
        for row in rows(number)
    ]


def without_picture(found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{column: value for column, value in row.items() if column != "picture"} for row in found]


def read(directory: CommitDirectory, *columns: str) -> list[dict[str, Any]]:
    """Rows with all these columns: one that no commit has is left out of an index."""
    return [{column: row.get(column) for column in columns} for row in directory.index(columns).to_pylist()]


def check(place: str, numbers: range) -> None:
    """The index is what was committed, whichever way it is asked for."""
    directory, whole = Directory(place), expected(numbers)
    assert read(directory, "key", "source", "picture", "score", "late", "shard") == whole
    assert read(directory, "key", "source", "score", "late", "shard") == without_picture(whole)
    assert directory.index(without={"picture"}).num_rows == len(whole)
    assert "picture" not in directory.index(without={"picture"}).column_names
    assert directory.index(["shard", "key"]).column_names == ["shard", "key"]
    assert directory.index(["source"])["source"].to_pylist() == [row["source"] for row in whole]


def test_the_index_out_of_parts_is_that_of_the_commits(place: str) -> None:
    directory = Directory(place)
    assert directory.open_session("one") == 0
    for first in range(0, 60, 3):
        fill(directory, range(first, first + 3))
        directory.tidy("one")
        if place[0] == "/" or first % 20 == 0:
            check(place, range(first + 3))
    parts = parts_of(place)
    assert 1 < len(parts) < 12
    assert sum(part.num_rows for part in parts) >= len(expected(range(60))) - 9
    assert all("picture" not in pq.read_schema(part.path).names for part in parts if place[0] == "/")


def test_a_run_of_few_commits_gets_no_parts(place: str) -> None:
    directory = Directory(place)
    directory.open_session("one")
    fill(directory, range(3))
    directory.tidy("one")
    assert not exists(join(place, FOLDER))
    check(place, range(3))


def test_opening_makes_the_parts_of_an_old_directory(place: str) -> None:
    directory = Directory(place)
    directory.open_session("one")
    fill(directory, range(60))
    assert not parts_of(place)
    check(place, range(60))
    directory.open_session("two")
    assert parts_of(place)
    covered = [commits_of(part) for part in parts_of(place)]
    assert all(each is not None for each in covered)
    assert sorted(itertools.chain.from_iterable(filter(None, covered))) == sorted(map(name, range(60)))
    check(place, range(60))


def test_many_commits_are_read_with_few_requests(object_store: str) -> None:
    s3fs.S3FileSystem().mkdirs("parts", exist_ok=True)
    place = "s3://parts/requests/shards"
    directory = Directory(place)
    directory.open_session("one")
    fill(directory, range(30))
    directory.tidy("one")
    fill(directory, range(30, 32))
    with counted(object_store) as traffic, pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL", traffic.address)
        s3fs.S3FileSystem.clear_instance_cache()
        check_of = Directory(place).index(["source", "shard"])
        assert check_of.num_rows == len(expected(range(32)))
        assert traffic.num_gets == len(parts_of(place)) + 2
        assert traffic.num_heads == 0
    s3fs.S3FileSystem.clear_instance_cache()


def test_of_a_large_part_only_the_columns_asked_for_are_fetched(
    object_store: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from infra.storage import parquet_files  # noqa: PLC0415

    monkeypatch.setattr(parquet_files, "SMALL_BYTES", 1000)
    monkeypatch.setattr(parquet_files, "FOOTER_BYTES", 200)
    monkeypatch.setattr(parquet_files, "GAP_BYTES", 10)
    s3fs.S3FileSystem().mkdirs("parts", exist_ok=True)
    place, random = "s3://parts/pruned/shards", np.random.default_rng(0)
    directory = Directory(place)
    directory.open_session("one")
    for number in range(12):
        texts = [{"key": f"{number}-{index}", "source": "s", "text": random.bytes(500).hex()} for index in range(5)]
        directory.commit(name(number), texts, "one")
    directory.tidy("one")
    with counted(object_store) as traffic, pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL", traffic.address)
        s3fs.S3FileSystem.clear_instance_cache()
        table = Directory(place).index(["source", "shard"])
        assert (table.num_rows, set(table["source"].to_pylist())) == (60, {"s"})
        few = traffic.num_bytes
        traffic.clear()
        assert Directory(place).index(["source", "text"]).num_rows == 60
        assert few < traffic.num_bytes / 2
    s3fs.S3FileSystem.clear_instance_cache()


def storage_calls(monkeypatch: pytest.MonkeyPatch, before: Callable[[], None]) -> None:
    """Call a function before every call of the storage that tidying makes."""
    for called in ("write_atomically", "remove", "parts_of", "read_part", "read_parquet", "file_sizes"):
        real = getattr(commits, called)

        def call(*arguments: Any, _real: Any = real, **options: Any) -> Any:
            before()
            return _real(*arguments, **options)

        monkeypatch.setattr(commits, called, call)


def test_a_crash_between_any_two_steps_changes_no_row(tmp_path: Path) -> None:
    made = tmp_path / "made"
    directory = Directory(str(made))
    directory.open_session("one")
    for first in (0, 20, 40):
        # Two small parts and a tail: tidying makes a third, which are merged into one.
        fill(directory, range(first, first + 20))
        if first < 40:
            directory._tidy_parts(directory._sizes(), "one")
    for steps in itertools.count():
        copy, left = str(tmp_path / "copy"), [steps]
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(made, copy)

        def count(left: list[int] = left) -> None:
            left[0] -= 1
            if left[0] < 0:
                raise Crash

        with pytest.MonkeyPatch.context() as patch:
            storage_calls(patch, count)
            try:
                Directory(copy).tidy("one")
            except Crash:
                finished = False
            else:
                finished = True
        check(copy, range(60))
        Directory(copy).open_session("two")
        check(copy, range(60))
        covered = [commits_of(part) or frozenset() for part in parts_of(copy)]
        assert sum(map(len, covered)) == len(frozenset().union(*covered)), "no commit is in two parts"
        assert len(covered) < 6
        if finished:
            assert steps > 20
            return


def test_a_part_that_is_damaged_is_passed_over_and_made_again(place: str) -> None:
    directory = Directory(place)
    directory.open_session("one")
    fill(directory, range(30))
    directory.tidy("one")
    fs = s3fs.S3FileSystem() if place.startswith("s3") else None
    for part in parts_of(place):
        content = fs.cat_file(part.path) if fs else Path(part.path).read_bytes()
        ways = (content[:8] + b"\xff" * 40 + content[48:], b"", content[: len(content) // 2])
        for damaged in ways[: 1 if fs else 3]:
            if fs:
                fs.pipe_file(part.path, damaged)
            else:
                Path(part.path).write_bytes(damaged)
            index_parts._commits_of.cache_clear()
            check(place, range(30))
    directory.open_session("two")
    assert all(commits_of(part) for part in parts_of(place))
    assert len(parts_of(place)) >= 1
    check(place, range(30))


def test_rows_of_commits_that_are_gone_are_not_read(place: str) -> None:
    directory = Directory(place)
    directory.open_session("one")
    fill(directory, range(12))
    directory.tidy("one")
    for number in range(6):
        remove(join(place, f"{name(number)}.parquet"))
    check(place, range(6, 12))
    for number in range(6, 12):
        remove(join(place, f"{name(number)}.parquet"))
    assert Directory(place).index(["key"]).num_rows == 0
    directory.tidy("one")
    assert not parts_of(place)


def test_a_commit_that_is_made_again_is_read_anew(place: str) -> None:
    directory = Directory(place)
    directory.open_session("one")
    fill(directory, range(8))
    directory.tidy("one")
    assert parts_of(place)
    directory.commit(name(3), [{"key": "other", "source": "s3"}], "one")
    found = Directory(place).index(["key", "shard"]).to_pylist()
    assert [row["key"] for row in found if row["shard"] == name(3)] == ["other"]
    assert len(found) == len(expected(range(8))) - 2


def test_parts_that_overlap_do_no_harm(tmp_path: Path) -> None:
    directory = Directory(str(tmp_path))
    directory.open_session("one")
    fill(directory, range(10))
    sizes = directory._sizes()
    for numbers in (range(6), range(3, 10), range(2, 9)):
        for packed in directory._packed({name(number): sizes[name(number)] for number in numbers}):
            directory._write_part(packed, "one")
    assert len(parts_of(str(tmp_path))) == 3
    check(str(tmp_path), range(10))
    directory.tidy("one")
    check(str(tmp_path), range(10))


def test_commits_that_do_not_go_together_stay_as_they_are(tmp_path: Path) -> None:
    directory = Directory(str(tmp_path))
    directory.open_session("one")
    for number in range(6):
        directory.commit(name(number), [{"key": f"k{number}", "value": "text" if number == 3 else 1}], "one")
    directory.tidy("one")
    assert not parts_of(str(tmp_path))
    assert directory.index(["key"]).num_rows == 6
    with pytest.raises(ConfigError, match="do not go together"):
        directory.index(["value"])


def test_a_run_that_was_taken_over_makes_no_part(tmp_path: Path) -> None:
    directory = Directory(str(tmp_path))
    directory.open_session("one")
    fill(directory, range(8))
    (tmp_path / "_session").write_text("two")
    with pytest.raises(TakenOverError):
        directory.tidy("one")
    assert not parts_of(str(tmp_path))


def test_a_reader_beside_a_run_sees_every_row_that_was_committed(place: str) -> None:
    directory, done, most = Directory(place), [0], 120 if place[0] == "/" else 25
    directory.open_session("one")
    failures: list[str] = []
    stop = threading.Event()

    def look() -> None:
        kept = Directory(place).remembering()
        for turn in itertools.count():
            if stop.is_set():
                return
            before = done[0]
            reader = kept if turn % 2 else Directory(place)
            keys = [row["key"] for row in read(reader, "key", "shard")]
            wanted = {row["key"] for number in range(before) for row in rows(number)}
            if len(keys) != len(set(keys)) or not wanted <= set(keys):
                failures.append(f"{before} commits: {len(keys)} rows of {len(wanted)}")

    readers = [threading.Thread(target=look) for _ in range(2)]
    for reader in readers:
        reader.start()
    for number in range(most):
        fill(directory, range(number, number + 1))
        done[0] = number + 1
        if number % 3 == 0:
            directory.tidy("one")
    stop.set()
    for reader in readers:
        reader.join()
    assert not failures
    check(place, range(most))


def test_what_was_read_is_kept_and_only_the_rest_is_read(place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    directory = Directory(place)
    directory.open_session("one")
    fill(directory, range(10))
    directory.tidy("one")
    reader, asked = Directory(place).remembering(), list[tuple[int, tuple[str, ...]]]()
    real = Directory._rows

    def spy(self: Directory, sizes: Any, columns: Any, **options: Any) -> pa.Table:
        asked.append((len(sizes), tuple(columns)))
        return real(self, sizes, columns, **options)

    monkeypatch.setattr(Directory, "_rows", spy)
    wanted = ["key", "late", "shard"]
    assert reader.index(wanted).equals(reader.index(wanted))
    assert asked == [(10, ("shard", "key", "late"))]
    assert read(reader, "score", "key") == [{"score": row["score"], "key": row["key"]} for row in expected(range(10))]
    assert asked[1:] == [(10, ("score", "shard"))]
    fill(directory, range(10, 13))
    assert read(reader, *wanted) == [{column: row[column] for column in wanted} for row in expected(range(13))]
    assert asked[2:] == [(3, ("shard", "key", "late", "score"))]
    remove(join(place, f"{name(1)}.parquet"))
    assert len(reader.index(["key"])) == len(expected(range(13))) - 1
    assert len(asked) == 3
    assert reader.index(["nowhere", "key"]).column_names == ["key"]


def test_only_the_rows_that_are_asked_for_are_kept_in_memory(place: str) -> None:
    directory = Directory(place)
    directory.open_session("one")
    fill(directory, range(20))
    directory.tidy("one")
    keys = pa.array(["k7-2", "k19-0"])
    found = directory.index(["key", "score"], where=lambda table: pc.is_in(table["key"], value_set=keys))
    assert found.to_pylist() == sorted(
        [{"key": "k7-2", "score": 7}, {"key": "k19-0", "score": 19}],
        key=lambda row: name(int(str(row["key"])[1:].split("-")[0])),
    )


def test_parts_of_one_size_are_merged_up_to_a_size() -> None:
    def sizes(*numbers: int) -> list[list[int]]:
        parts = [Part(f"p{at}", number, 1) for at, number in enumerate(numbers)]
        return [[part.num_rows for part in group] for group in groups_to_merge(parts)]

    assert sizes() == sizes(3, 5) == sizes(3, 20, 24) == []
    assert sizes(3, 5, 8, 7) == [[3, 5, 8]]
    assert sizes(20, 24, 3, 10) == [[20, 24, 10]]
    assert sizes(29, 29, 29) == [[29, 29]], "a third would not fit"
    assert sizes(31, 60, 90, 31) == [], "full ones stay"


def test_progress_is_told_by_commits(tmp_path: Path) -> None:
    directory = Directory(str(tmp_path))
    directory.open_session("one")
    fill(directory, range(9))
    directory.tidy("one")
    fill(directory, range(9, 11))
    told: list[tuple[int, int]] = []
    directory.index(["key"], told=lambda done, of: told.append((done, of)))
    assert told == [(9, 11), (10, 11), (11, 11)]
    assert list_files(join(str(tmp_path), FOLDER), ".tmp") == []


def files_under(path: Path) -> Iterator[str]:
    yield from sorted(str(each.relative_to(path)) for each in path.rglob("*") if each.is_file())


def test_reading_writes_nothing(tmp_path: Path) -> None:
    directory = Directory(str(tmp_path))
    directory.open_session("one")
    fill(directory, range(30))
    before = list(files_under(tmp_path))
    check(str(tmp_path), range(30))
    assert list(files_under(tmp_path)) == before
