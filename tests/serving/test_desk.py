"""The desk by itself, with replicas that are a few lines each."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Coroutine
from pathlib import Path
from typing import Any

import pytest

from serving import desk as module
from serving.access import RefusedError
from serving.desk import Desk, Make
from serving.limits import Limits
from serving.metrics import Metrics
from serving.orders import Event, News, Order, Piece, Refused
from serving.progress import Progress
from serving.shelf import Shelf
from serving.video import KeptVideo, VideoOptions

ROOMY = Limits()


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "RETRY_S", 0.0)


def news(clips: int, fragments: bytes = b"") -> News:
    return News(pid=1, progress=Progress(clips=clips, num_clips=2, steps=clips, num_steps=2), fragments=fragments)


async def makes(order: Order) -> AsyncGenerator[Event, None]:
    yield news(0)
    yield news(1, b"one ")
    await asyncio.sleep(0)
    yield news(2, b"two")
    yield Piece(data=order.prompt.encode())
    yield Piece(data=b"!")


async def dies(_order: Order) -> AsyncGenerator[Event, None]:
    yield news(1, b"half ")
    raise RuntimeError("Traceback …\nRuntimeError: the device is lost")


async def hangs(_order: Order) -> AsyncGenerator[Event, None]:
    yield news(0)
    await asyncio.Event().wait()


async def refuses(_order: Order) -> AsyncGenerator[Event, None]:
    yield Refused(reason="audio is silent")


def desk(folder: Path, make: Make, limits: Limits = ROOMY) -> Desk:
    return Desk(Shelf(folder, limits), make, at_once=1, limits=limits, metrics=Metrics())


def accepted(at: Desk, folder: Path, name: int, client: str = "ann") -> KeptVideo:
    video = KeptVideo(
        id=f"{name:032x}", client=client, options=VideoOptions(prompt="p"), width=64, height=64, seconds=1.0
    )
    (folder / video.id).mkdir()
    for upload in ("portrait", "speech"):
        (folder / video.id / upload).write_bytes(b"x")
    with at.place_for(client):
        at.accept(video)
    return video


def in_a_loop(work: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(work, 60))


async def until_ended(*videos: KeptVideo) -> None:
    while not all(video.ended for video in videos):
        await asyncio.sleep(0.01)


def test_a_request_is_made_and_its_uploads_are_dropped(tmp_path: Path) -> None:
    async def work() -> None:
        at = desk(tmp_path, makes)
        at.open()
        video = accepted(at, tmp_path, 1)
        streamed = [piece async for piece in at.fragments(video)]
        await until_ended(video)
        assert b"".join(streamed) == b"one two"
        assert (video.state, video.clips, video.attempts, video.error) == ("done", 2, 1, None)
        assert sorted(path.name for path in (tmp_path / video.id).iterdir()) == ["video.json", "video.mp4"]
        assert (tmp_path / video.id / "video.mp4").read_bytes() == b"p!"
        assert [piece async for piece in at.fragments(video)] == [b"p!"], "later, the stream is the finished file"

    in_a_loop(work())


def test_what_kills_every_replica_ends_with_a_reason(tmp_path: Path) -> None:
    async def work() -> None:
        at = desk(tmp_path, dies)
        at.open()
        video = accepted(at, tmp_path, 1)
        await until_ended(video)
        assert (video.state, video.attempts) == ("failed", 3)
        assert video.error == "given up after 3 attempts; the last one: RuntimeError: the device is lost"
        with pytest.raises(RefusedError, match="the video is failed: given up"):
            await anext(at.fragments(video))
        assert "soul_retries_total 2.0" in at.metrics.text().decode()

    in_a_loop(work())


def test_who_watches_a_video_that_is_begun_anew_is_told_by_the_end_of_the_stream(tmp_path: Path) -> None:
    lives = [dies, makes]

    def lives_twice(order: Order) -> AsyncGenerator[Event, None]:
        return lives.pop(0)(order)

    async def work() -> None:
        at = desk(tmp_path, lives_twice)
        at.open()
        video = accepted(at, tmp_path, 1)
        fragments = at.fragments(video)
        assert await anext(fragments) in {b"half ", b"one ", b"one two"}
        await until_ended(video)
        assert (video.state, video.attempts) == ("done", 2)

    in_a_loop(work())


def test_a_request_that_no_replica_can_make_is_not_tried_again(tmp_path: Path) -> None:
    async def work() -> None:
        at = desk(tmp_path, refuses)
        at.open()
        video = accepted(at, tmp_path, 1)
        await until_ended(video)
        assert (video.state, video.error, video.attempts) == ("failed", "audio is silent", 1)

    in_a_loop(work())


def test_a_new_desk_goes_on_with_what_an_earlier_one_has_left(tmp_path: Path) -> None:
    async def dies_with_all() -> None:
        at = desk(tmp_path, hangs)
        at.open()
        begun = accepted(at, tmp_path, 1)
        accepted(at, tmp_path, 2, "bob")
        while begun.state != "running":
            await asyncio.sleep(0.01)
        at.closing = True  # a process that has died begins nothing more
        (tmp_path / f"{3:032x}").mkdir()  # an upload that was not accepted yet
        (tmp_path / "notes").mkdir()  # somebody else's

    asyncio.run(dies_with_all())

    async def work() -> None:
        at = desk(tmp_path, makes)
        at.open()
        videos = [at.find(f"{1:032x}", "ann"), at.find(f"{2:032x}", "bob")]
        await until_ended(*videos)
        assert [video.state for video in videos] == ["done", "done"]
        assert sorted(path.name for path in tmp_path.iterdir()) == [f"{1:032x}", f"{2:032x}", "notes"]

    # The end of the first loop cancels its tasks, as the death of its process would not: they are queued on disk again.
    for number in (1, 2):
        record = tmp_path / f"{number:032x}" / "video.json"
        record.write_text(record.read_text().replace('"cancelled"', '"running"'))
        for upload in ("portrait", "speech"):
            (record.parent / upload).write_bytes(b"x")
    in_a_loop(work())


def test_uploads_that_are_under_way_hold_their_places(tmp_path: Path) -> None:
    async def work() -> None:
        at = desk(tmp_path, hangs, Limits(queue=2, queue_per_client=1))
        at.open()
        accepted(at, tmp_path, 1)
        await asyncio.sleep(0)
        with at.place_for("ann"):
            with pytest.raises(RefusedError, match="1 of your requests wait already"), at.place_for("ann"):
                pass
            with at.place_for("bob"), pytest.raises(RefusedError, match="the queue is full"), at.place_for("cat"):
                pass
        with at.place_for("ann"):
            """What was not accepted has left its place."""
        await at.close(0.0)
        with pytest.raises(RefusedError, match="about to end") as refused, at.place_for("ann"):
            pass
        assert refused.value.status == 503

    in_a_loop(work())


def test_only_so_much_is_kept_for_so_long(tmp_path: Path) -> None:
    async def work() -> None:
        at = desk(tmp_path, makes, Limits(keep=2, keep_h=1.0))
        at.open()
        videos = [accepted(at, tmp_path, number) for number in range(4)]
        await until_ended(*videos)
        assert [video.id for video in at.of_client("ann")] == [videos[3].id, videos[2].id]
        assert {path.name for path in tmp_path.iterdir()} == {videos[2].id, videos[3].id}
        videos[2].ended_at = time.time() - 3601
        at.drop_old()
        assert [video.id for video in at.of_client("ann")] == [videos[3].id]

    in_a_loop(work())
