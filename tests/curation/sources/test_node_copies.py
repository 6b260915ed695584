"""A remote source is fetched once a node, whoever reads it there, and nothing stays behind."""

from __future__ import annotations

import fcntl
import os
import textwrap
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path
from threading import Barrier
from typing import BinaryIO

import pytest
import s3fs

from curation.clip.schema import Source
from curation.job import CurationJob
from curation.pipeline import CurationConfig
from curation.sources import node_copies_cleanup as cleanup
from curation.sources.headers import header_duration
from curation.sources.node_copies import FetchConfig, NodeCopies
from curation.sources.small_reads import HEAD_BYTES, LARGE_BYTES
from tests.worlds.counting_store import Traffic, counted
from tests.worlds.fresh_process import FreshPython
from tests.worlds.videos import write_video

SIZE = 300_000


@pytest.fixture
def door(object_store: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Traffic]:
    store = s3fs.S3FileSystem()
    store.mkdirs("fetched", exist_ok=True)
    for name in ("a", "b", "c"):
        store.pipe_file(f"fetched/{name}::[1].mp4", name.encode() * SIZE)
    with counted(object_store) as traffic:
        monkeypatch.setenv("AWS_ENDPOINT_URL", traffic.address)
        s3fs.S3FileSystem.clear_instance_cache()
        yield traffic
    s3fs.S3FileSystem.clear_instance_cache()


def uri(name: str) -> str:
    return f"s3://fetched/{name}::[1].mp4"


def eventually_gone(folder: Path) -> bool:
    deadline = time.monotonic() + 120
    while folder.exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    return not folder.exists()


def start(code: str) -> FreshPython:
    return FreshPython("-c", textwrap.dedent(code))


def user(folder: Path, then: str) -> str:
    return f"""
        import time
        from curation.sources.node_copies import FetchConfig, NodeCopies
        copies = NodeCopies(FetchConfig(directory={str(folder)!r}), "run")
        with copies.open({uri("a")!r}) as path:
            print(len(open(path, "rb").read()), flush=True)
            {then}
    """


def test_processes_of_a_run_share_one_copy_and_the_last_takes_it_away(door: Traffic, tmp_path: Path) -> None:
    here = NodeCopies(FetchConfig(directory=str(tmp_path)), "run")
    with here.open(uri("b")):
        door.clear()
        door.delay_s = 0.2
        users = [start(user(tmp_path, "time.sleep(0.2)")) for _ in range(2)]
        assert [process.wait() for process in users] == [0, 0], [process.stderr for process in users]
        assert [process.stdout for process in users] == [f"{SIZE}\n"] * 2
        assert (door.num_gets, door.num_bytes) == (1, SIZE)
    folder = here.folder
    assert folder.exists(), "this process has not left yet"
    del here
    assert eventually_gone(folder)


def test_segments_and_pools_in_one_process_fetch_once(door: Traffic, tmp_path: Path) -> None:
    pools = [NodeCopies(FetchConfig(directory=str(tmp_path)), "run") for _ in range(2)]
    for copies in pools:
        for _ in range(3):
            with copies.open(uri("a")) as path:
                assert Path(path).read_bytes() == b"a" * SIZE
    assert (door.num_gets, door.num_bytes) == (1, SIZE)
    folder = pools[0].folder
    del pools, copies
    assert eventually_gone(folder)


def test_threads_of_several_pools_fetch_a_source_once_and_delete_it_after_the_last(
    door: Traffic, tmp_path: Path
) -> None:
    # Room for one of three copies, so that threads delete what others have just left.
    config = FetchConfig(directory=str(tmp_path), max_bytes=SIZE)
    pools = [NodeCopies(config, "run") for _ in range(2)]
    door.delay_s = 0.1
    together = Barrier(8)

    def use(number: int) -> list[bool]:
        together.wait(60)
        right = []
        for name in ("a", "b", "c", "a"):
            with pools[number % 2].open(uri(name)) as path:
                right.append(Path(path).read_bytes() == name.encode() * SIZE)
                if name == "a" and len(right) == 1:
                    together.wait(60)
                    assert door.num_gets == 1
        return right

    with ThreadPoolExecutor(8) as threads:
        assert list(threads.map(use, range(8))) == [[True] * 4] * 8
    with pools[0].open(uri("a")) as path, pools[1].open(uri("a"), last_use=True):
        pass
    assert Path(path).exists(), "the other pool still had it"
    with pools[0].open(uri("a"), last_use=True):
        pass
    assert not Path(path).exists()
    folder = pools[0].folder
    pools.clear()
    assert eventually_gone(folder)


def test_a_job_fetches_a_source_of_three_segments_and_two_pools_once(door: Traffic, tmp_path: Path) -> None:
    store = s3fs.S3FileSystem()
    store.put_file(str(write_video(tmp_path / "a.mp4", size=(512, 496), seconds=1.2)), "fetched/segments.mp4")
    config = CurationConfig(fetching=FetchConfig(directory=str(tmp_path / "disk")))
    job = CurationJob(run=str(tmp_path / "run"), config=config)
    pools = [job.worker((stage,), debug=True) for stage in ("resolution", "scenes")]
    edges = (0.0, 0.4, 0.8, float("inf"))
    units = [
        Source(uri="s3://fetched/segments.mp4", segment=index, segment_start_s=start_s, segment_end_s=end_s)
        for index, (start_s, end_s) in enumerate(pairwise(edges))
    ]
    door.clear()
    for pool in pools:
        units = [pool.run(unit, lambda: None) for unit in units]
    assert [unit.failure for unit in units] == [None] * 3
    assert all(unit.shots for unit in units)
    assert door.num_gets == 1
    assert len(list((tmp_path / "disk").glob("*/*/*.mp4"))) == 1
    del pools, pool
    assert eventually_gone(tmp_path / "disk" / f"soul-inputs-{os.getuid()}" / job.session)


@pytest.fixture
def left(tmp_path: Path) -> Path:
    """A folder whose users are gone."""
    folder = tmp_path / "run"
    folder.mkdir()
    for name in (cleanup.CLEANER, cleanup.ALIVE, "copy.mp4", "copy.mp4.lock"):
        (folder / name).touch()
    return folder


def test_cleaners_that_come_while_another_deletes_leave_nothing(left: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def come_late() -> None:
        for folder in (left, *left.parent.iterdir()):
            cleanup.clean_up(str(folder))

    def late(delete: Callable[[str], None]) -> Callable[[str], None]:
        def delete_late(path: str) -> None:
            come_late()
            delete(path)
            come_late()

        return delete_late

    monkeypatch.setattr(os, "unlink", late(os.unlink))
    monkeypatch.setattr(os, "rmdir", late(os.rmdir))
    cleanup.clean_up(str(left))
    assert list(left.parent.iterdir()) == []


def test_what_a_killed_cleaner_has_left_is_cleaned_up(left: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class KilledError(Exception):
        pass

    def killed(path: str) -> None:
        raise KilledError

    with monkeypatch.context() as patch:
        patch.setattr(os, "unlink", killed)
        with pytest.raises(KilledError):
            cleanup.clean_up(str(left))
    (aside,) = left.parent.iterdir()
    assert aside != left
    cleanup.clean_up(str(aside))
    assert list(left.parent.iterdir()) == []


def test_a_cleaner_leaves_the_folder_that_others_made_anew(left: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lock = fcntl.flock

    def wait(file: BinaryIO, how: int) -> None:
        if how == fcntl.LOCK_EX:
            (left / cleanup.ALIVE).unlink()
            (left / cleanup.ALIVE).touch()
        lock(file, how)

    monkeypatch.setattr(fcntl, "flock", wait)
    cleanup.clean_up(str(left))
    assert (left / "copy.mp4").exists()


def test_runs_do_not_mix_and_a_last_use_deletes_at_once(door: Traffic, tmp_path: Path) -> None:
    one, other = (NodeCopies(FetchConfig(directory=str(tmp_path)), name) for name in ("one", "other"))
    with (
        one.open(uri("a"), last_use=True) as first,
        other.open(uri("a")) as second,
        other.open(uri("a"), last_use=True),
    ):
        assert first != second
    assert door.num_gets == 2
    assert not Path(first).exists()
    assert Path(second).exists(), "the other reader still had it"


def test_unread_copies_go_first_when_they_are_too_many(door: Traffic, tmp_path: Path) -> None:
    copies = NodeCopies(FetchConfig(directory=str(tmp_path), max_bytes=2 * SIZE), "run")
    with copies.open(uri("a")) as in_use:
        with copies.open(uri("b")) as unread:
            pass
        with copies.open(uri("c")) as latest:
            pass
        assert [Path(path).exists() for path in (in_use, unread, latest)] == [True, False, True]
    tiny = NodeCopies(FetchConfig(directory=str(tmp_path), max_bytes=0), "tiny")
    with tiny.open(uri("a")) as path, tiny.open(uri("b")):
        assert Path(path).stat().st_size == SIZE


def test_a_copy_that_another_deletes_meanwhile_is_not_missed(
    door: Traffic, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copies = NodeCopies(FetchConfig(directory=str(tmp_path)), "run")
    listed = Path.iterdir
    monkeypatch.setattr(Path, "iterdir", lambda folder: [folder / "just-made-whole.mp4.part", *listed(folder)])
    with copies.open(uri("a")) as path:
        assert Path(path).stat().st_size == SIZE


def test_a_killed_worker_leaves_nothing_locked_and_nothing_behind(door: Traffic, tmp_path: Path) -> None:
    killed = start(user(tmp_path, "time.sleep(600)"))
    while killed.stdout != f"{SIZE}\n":
        assert killed.poll() is None, killed.stderr
        time.sleep(0.01)
    copies = NodeCopies(FetchConfig(directory=str(tmp_path)), "run")
    with copies.open(uri("a")) as path:
        killed.kill()
        assert Path(path).stat().st_size == SIZE
    with copies.open(uri("a"), last_use=True) as path:
        assert door.num_gets == 1
    assert not Path(path).exists()

    door.clear()
    door.delay_s = 600.0
    fetching = start(user(tmp_path, "pass"))
    while not door.num_gets:
        assert fetching.poll() is None, fetching.stderr
        time.sleep(0.01)
    fetching.kill()
    door.delay_s = 0.0
    with copies.open(uri("a")) as path:
        assert Path(path).read_bytes() == b"a" * SIZE
    folder = copies.folder
    del copies
    assert eventually_gone(folder)


def test_a_key_that_cannot_be_fetched_says_so_and_leaves_nothing(door: Traffic, tmp_path: Path) -> None:
    copies = NodeCopies(FetchConfig(directory=str(tmp_path)), "run")
    for _ in range(2):
        with pytest.raises(FileNotFoundError), copies.open("s3://fetched/gone.mp4"):
            pass
    assert sorted(path.suffix for path in copies.folder.iterdir()) == ["", "", ".lock"]


def test_a_header_in_a_bucket_costs_a_few_blocks_of_a_long_video(door: Traffic, tmp_path: Path) -> None:
    # 12 MB whose header stands at the end.
    path = write_video(tmp_path / "a.mp4", size=(320, 256), seconds=1)
    content = path.read_bytes()
    at = content.index(b"mdat") - 4
    free = (12_000_000).to_bytes(4, "big") + b"free" + bytes(12_000_000 - 8)
    assert content.index(b"moov") > at, "offsets of samples before the filler do not move"
    end = content.index(b"moov") - 4
    store = s3fs.S3FileSystem()
    store.pipe_file("fetched/long.mp4", content[:end] + free + content[end:])
    door.clear()
    assert header_duration("s3://fetched/long.mp4") == pytest.approx(1)
    assert door.num_gets <= 4
    assert door.num_bytes <= HEAD_BYTES + LARGE_BYTES
