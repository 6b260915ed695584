from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import av
import pytest

from curation.clip.schema import Source
from curation.planning import CurationPlan, PlanningConfig, Selection, plan_units
from curation.shards.done_units import DONE_COLUMNS, Done
from curation.shards.run_directory import RunDirectory
from curation.sources.header_cache import HeaderCache
from curation.sources.header_readers import HeaderFile
from curation.sources.headers import Header, header_duration
from infra.config import ConfigError
from tests.worlds.synthetic_run import write_run
from tests.worlds.videos import write_video

SMALL = (64, 64)
CONFIG = PlanningConfig(max_segment_s=3)


class Reader:
    """Reads no file: every video is as long as it is told, and it remembers which were asked for."""

    def __init__(self, **headers: float | Header) -> None:
        self.headers = headers
        self.asked: list[str] = []

    def __call__(self, files: Sequence[HeaderFile]) -> Iterator[tuple[HeaderFile, Header]]:
        for file in reversed(files):
            self.asked.append(file.uri)
            told = self.headers.get(Path(file.uri).stem, 1.0)
            yield file, told if isinstance(told, Header) else Header(told)


def sources(*names: str) -> list[Source]:
    return [Source(uri=f"s3://in/{name}.mp4") for name in names]


def uris(plan: CurationPlan) -> list[str]:
    return [Path(unit.uri).stem for unit in plan.units]


def quarantine(run: str, units: Sequence[Source]) -> Done:
    """Commit the units, and say what is done then."""
    write_run(run, [unit.fail("probe", "unreadable", "") for unit in units])
    return done_of(run)


def done_of(run: str) -> Done:
    return Done.of(RunDirectory(run).index(DONE_COLUMNS), run)


def test_long_sources_become_equal_segments(tmp_path: Path) -> None:
    path = str(write_video(tmp_path / "a.mp4", size=SMALL, seconds=7))
    plan = plan_units([Source(uri=path)], set(), CONFIG)
    edges = [(unit.segment_start_s, unit.segment_end_s) for unit in plan.units]
    assert [round(start, 2) for start, _ in edges] == [0, 2.33, 4.67]
    assert edges[0][1] == edges[1][0]
    assert edges[-1][1] == float("inf")
    assert len({unit.key for unit in plan.units}) == 3
    assert {unit.num_segments for unit in plan.units} == {3}
    assert plan.duration_s == pytest.approx(7)
    assert list(plan.seconds) == pytest.approx([7 / 3] * 3)


def test_units_are_a_sequence() -> None:
    units = plan_units(sources("a", "b", "c"), set(), CONFIG, read=Reader(a=7.0, c=4.0)).units
    assert len(units) == 6
    listed = list(units)
    assert [units[index] for index in range(6)] == listed
    assert (units[-1], list(units[1:4])) == (listed[5], listed[1:4])
    with pytest.raises(IndexError):
        units[6]


def test_committed_units_are_left_out(tmp_path: Path) -> None:
    path = str(write_video(tmp_path / "a.mp4", size=SMALL, seconds=4))
    config = PlanningConfig(max_segment_s=2)
    whole = plan_units([Source(uri=path)], set(), config)
    rest = plan_units([Source(uri=path)], {whole.units[0].key}, config)
    assert [unit.segment for unit in rest.units] == [1]
    assert rest.num_done == 1


def test_what_is_done_needs_no_header(tmp_path: Path) -> None:
    run, names = str(tmp_path), sources("done", "long", "part", "new")
    units = list(plan_units(names, set(), CONFIG, read=Reader(long=7.0, part=7.0)).units)
    left = next(unit for unit in units if "part" in unit.uri and unit.segment == 1)
    done = quarantine(run, [unit for unit in units if "new" not in unit.uri and unit != left])
    reader = Reader(long=7.0, part=7.0)
    # Other settings do not cut anew what is done in part.
    plan = plan_units(names, done, PlanningConfig(max_segment_s=1), read=reader)
    assert sorted(Path(uri).stem for uri in reader.asked) == ["new", "part"]
    assert list(plan.units) == [left, units[-1]]
    assert (plan.num_done, plan.num_sources) == (1 + 3 + 2, 4)
    assert not plan_units(names, quarantine(run, [left, units[-1]]), CONFIG, read=reader).units
    assert len(reader.asked) == 2


def test_a_ledger_without_the_number_of_segments_needs_the_header(tmp_path: Path) -> None:
    names = sources("a", "b")
    units = list(plan_units(names, set(), CONFIG, read=Reader(a=7.0)).units)
    done = quarantine(str(tmp_path), [replace(unit, num_segments=None) for unit in units[:2] + units[3:]])
    reader = Reader(a=7.0)
    plan = plan_units(names, done, CONFIG, read=reader)
    assert len(reader.asked) == 2
    assert (list(plan.units), plan.num_done) == ([units[2]], 3)


def test_a_unit_in_two_shards_is_refused(tmp_path: Path) -> None:
    units = list(plan_units(sources("a", "b"), set(), CONFIG, read=Reader()).units)
    quarantine(str(tmp_path), units)
    with pytest.raises(ConfigError, match="in more than one shard"):
        quarantine(str(tmp_path), units[:1])


def test_the_rest_of_a_file_that_has_become_unreadable_fails(tmp_path: Path) -> None:
    units = list(plan_units(sources("a"), set(), CONFIG, read=Reader(a=7.0)).units)
    done = quarantine(str(tmp_path), units[:1])
    rest = plan_units(sources("a"), done, CONFIG, read=Reader(a=Header()))
    assert [unit.key for unit in rest.units] == [unit.key for unit in units[1:]]
    assert {unit.failure.rule for unit in rest.units if unit.failure} == {"unreadable"}


def test_unreadable_headers_are_one_unit(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    path.write_bytes(b"no video")
    plan = plan_units([Source(uri=str(path)), Source(uri=str(tmp_path / "none.mp4"))], set(), PlanningConfig())
    assert (len(plan.units), plan.num_unknown) == (2, 2)
    assert {(unit.segment_start_s, unit.segment_end_s, unit.num_segments) for unit in plan.units} == {(0, math.inf, 1)}


def test_a_source_that_cannot_be_reached_is_left_to_another_run(tmp_path: Path) -> None:
    faults = {"b": Header(fault="SlowDown"), "c": Header(fault="SlowDown"), "d": Header(fault="access denied")}
    cache = HeaderCache(str(tmp_path))
    plan = plan_units(sources("a", "b", "c", "d"), set(), CONFIG, cache=cache, read=Reader(**faults))
    assert uris(plan) == ["a"]
    assert plan.unreachable == {"SlowDown": 2, "access denied": 1}
    reader = Reader()
    again = plan_units(sources("a", "b", "c", "d"), set(), CONFIG, cache=HeaderCache(str(tmp_path)), read=reader)
    assert (uris(again), again.unreachable) == (["a", "b", "c", "d"], {})
    assert sorted(Path(uri).stem for uri in reader.asked) == ["b", "c", "d"]


def test_a_source_that_failed_when_it_was_listed_is_one_unit_and_nobody_reads_it() -> None:
    failed, reader = Source(uri="/hang.mp4").fail("probe", "name_not_utf8", "rename it"), Reader()
    plan = plan_units([failed], set(), PlanningConfig(), read=reader)
    assert list(plan.units) == [replace(failed, num_segments=1)]
    assert plan.num_unknown == 1
    assert not reader.asked


def test_what_was_read_before_an_interruption_is_kept(tmp_path: Path) -> None:
    def interrupted(files: Sequence[HeaderFile]) -> Iterator[tuple[HeaderFile, Header]]:
        yield from [(file, Header(7.0)) for file in files[:2]]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        plan_units(sources("a", "b", "c"), set(), CONFIG, cache=HeaderCache(str(tmp_path)), read=interrupted)
    reader = Reader()
    plan = plan_units(sources("a", "b", "c"), set(), CONFIG, cache=HeaderCache(str(tmp_path)), read=reader)
    assert reader.asked == ["s3://in/c.mp4"]
    assert uris(plan) == ["a", "a", "a", "b", "b", "b", "c"]


def test_slices_are_disjoint_and_stay_when_videos_are_added() -> None:
    few, many = sources(*map(str, range(100))), sources(*map(str, range(200)))

    def part(index: int, names: list[Source]) -> CurationPlan:
        return plan_units(names, set(), CONFIG, read=Reader(), selection=Selection(part=(index, 3)))

    parts = [part(index, few) for index in (1, 2, 3)]
    assert sorted(uri for each in parts for uri in uris(each)) == sorted(map(str, range(100)))
    assert all(20 < len(each.units) < 50 for each in parts)
    assert [each.num_sources + each.num_in_other_parts for each in parts] == [100] * 3
    for index, each in enumerate(parts, start=1):
        assert set(uris(each)) <= set(uris(part(index, many)))


def test_a_shuffled_order_is_stable_and_no_order_of_names() -> None:
    def shuffled(seed: int, names: list[Source]) -> list[str]:
        return uris(plan_units(names, set(), CONFIG, read=Reader(), selection=Selection(seed=seed)))

    few, many = sources(*map(str, range(20))), sources(*map(str, range(40)))
    assert shuffled(0, few) == shuffled(0, few[::-1]) == [name for name in shuffled(0, many) if int(name) < 20]
    assert shuffled(0, few) != shuffled(1, few)
    assert shuffled(0, few) != uris(plan_units(few, set(), CONFIG, read=Reader()))


def test_a_limit_counts_sources_that_have_work_and_reads_no_header_beyond(tmp_path: Path) -> None:
    names = sources("a", "b", "c", "d", "e", "f")
    done = quarantine(str(tmp_path), list(plan_units(names[:1], set(), CONFIG, read=Reader()).units))
    reader = Reader(b=Header(fault="SlowDown"), c=7.0)
    plan = plan_units(names, done, CONFIG, read=reader, selection=Selection(limit=2))
    assert uris(plan) == ["c", "c", "c", "d"]
    assert sorted(Path(uri).stem for uri in reader.asked) == ["b", "c", "d"]
    assert (plan.num_done, plan.num_beyond_limit, plan.unreachable) == (1, 2, {"SlowDown": 1})


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
    plan = plan_units([Source(uri=str(tmp_path / "live.mkv"))], set(), CONFIG)
    assert len(plan.units) == 3
    assert plan.num_unknown == 0
