from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import Future, ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import av
import pytest

from curation import planning
from curation.clip.schema import Source
from curation.planning import PlanningConfig, plan_units
from curation.sources.headers import header_duration
from tests.worlds.faulty_reader import crash_or_hang
from tests.worlds.videos import write_video

SMALL = (64, 64)


def test_long_sources_become_equal_segments(tmp_path: Path) -> None:
    path = str(write_video(tmp_path / "a.mp4", size=SMALL, seconds=7))
    plan = plan_units([Source(uri=path)], set(), PlanningConfig(max_segment_s=3))
    edges = [(unit.segment_start_s, unit.segment_end_s) for unit in plan.units]
    assert [round(start, 2) for start, _ in edges] == [0, 2.33, 4.67]
    assert edges[0][1] == edges[1][0]
    assert edges[-1][1] == float("inf")
    assert len({unit.key for unit in plan.units}) == 3
    assert plan.duration_s == pytest.approx(7)


def test_committed_units_are_left_out(tmp_path: Path) -> None:
    path = str(write_video(tmp_path / "a.mp4", size=SMALL, seconds=4))
    config = PlanningConfig(max_segment_s=2)
    whole = plan_units([Source(uri=path)], set(), config)
    rest = plan_units([Source(uri=path)], {whole.units[0].key}, config)
    assert [unit.segment for unit in rest.units] == [1]
    assert rest.num_done == 1


def test_unreadable_headers_are_one_unit(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    path.write_bytes(b"no video")
    plan = plan_units([Source(uri=str(path)), Source(uri=str(tmp_path / "none.mp4"))], set(), PlanningConfig())
    assert (len(plan.units), plan.num_unknown) == (2, 2)


class PatientPool(ProcessPoolExecutor):
    """Waits for every answer but that of the file that hangs, however slow the machine is."""

    def submit(self, function: Callable[..., float | None], /, *args: str) -> Future[float | None]:  # type: ignore[override]
        future = super().submit(function, *args)
        if Path(args[0]).stem != "hang":
            wait = future.result
            future.result = lambda timeout=None: wait(None)  # type: ignore[method-assign]
        return future


def test_a_file_that_kills_or_hangs_the_reader_is_planned_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(planning, "header_duration", crash_or_hang)
    # As outside of the tests.
    monkeypatch.setattr(planning, "get_context", get_context)
    monkeypatch.setattr(planning, "ProcessPoolExecutor", PatientPool)
    good = str(write_video(tmp_path / "good.mp4", size=SMALL, seconds=1))
    sources = [Source(uri="crash.mp4"), Source(uri=good), Source(uri="hang.mp4")]
    plan = plan_units(sources, set(), PlanningConfig(probe_timeout_s=0.1, num_processes=1))
    assert len(plan.units) == 3
    assert plan.num_unknown == 2
    assert plan.duration_s == pytest.approx(1)


def forbidden(uri: str) -> float | None:
    raise AssertionError(f"{uri} was read")


def test_a_source_that_failed_when_it_was_listed_is_one_unit_and_nobody_reads_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(planning, "header_duration", forbidden)
    failed = Source(uri="/hang.mp4").fail("probe", "name_not_utf8", "rename it")
    plan = plan_units([failed], set(), PlanningConfig())
    assert plan.units == (failed,)
    assert plan.num_unknown == 1


class Live:
    """A place to write to that cannot go back, as a stream cannot: the header never learns the length."""

    def __init__(self, path: Path) -> None:
        self.file = path.open("wb")

    def write(self, data: bytes) -> int:
        return self.file.write(data)


def test_a_recording_without_a_duration_is_measured_and_cut(tmp_path: Path) -> None:
    write_video(tmp_path / "a.mkv", size=SMALL, seconds=7)
    live = Live(tmp_path / "live.mkv")
    with (
        av.open(str(tmp_path / "a.mkv")) as recorded,
        av.open(live, "w", format="matroska", options={"live": "1"}) as output,
    ):
        stream = output.add_stream_from_template(recorded.streams.video[0])
        for packet in recorded.demux(video=0):
            if packet.dts is not None:
                packet.stream = stream
                output.mux(packet)
    live.file.close()
    with av.open(str(tmp_path / "live.mkv")) as container:
        assert not container.duration
    assert header_duration(str(tmp_path / "live.mkv")) == pytest.approx(7, abs=0.2)
    plan = plan_units([Source(uri=str(tmp_path / "live.mkv"))], set(), PlanningConfig(max_segment_s=3))
    assert len(plan.units) == 3
    assert plan.num_unknown == 0


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.mp4")
    assert header_duration(str(tmp_path / "pipe.mp4")) is None
