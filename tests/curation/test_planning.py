from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from curation import planning
from curation.planning import PlanningConfig, header_duration, plan_units
from curation.schema import Source
from tests.curation.videos import write_video


def test_long_sources_become_equal_segments(tmp_path: Path) -> None:
    path = str(write_video(tmp_path / "a.mp4", seconds=7))
    plan = plan_units([Source(uri=path)], set(), PlanningConfig(max_segment_s=3))
    edges = [(unit.segment_start_s, unit.segment_end_s) for unit in plan.units]
    assert [round(start, 2) for start, _ in edges] == [0, 2.33, 4.67]
    assert edges[0][1] == edges[1][0]
    assert edges[-1][1] == float("inf")
    assert len({unit.key for unit in plan.units}) == 3
    assert plan.duration_s == pytest.approx(7)


def test_committed_units_are_left_out(tmp_path: Path) -> None:
    path = str(write_video(tmp_path / "a.mp4", seconds=4))
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


def crash_or_hang(uri: str) -> float | None:
    """Stands in for a library that a file crashes or hangs."""
    if Path(uri).stem == "crash":
        os.kill(os.getpid(), 9)
    if Path(uri).stem == "hang":
        time.sleep(90)
    return header_duration(uri)


def test_a_file_that_kills_or_hangs_the_reader_is_planned_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(planning, "header_duration", crash_or_hang)
    good = str(write_video(tmp_path / "good.mp4", seconds=1))
    sources = [Source(uri="crash.mp4"), Source(uri=good), Source(uri="hang.mp4")]
    plan = plan_units(sources, set(), PlanningConfig(probe_timeout_s=20))
    assert len(plan.units) == 3
    assert plan.num_unknown == 2
    assert plan.duration_s == pytest.approx(1)
