from __future__ import annotations

from pathlib import Path

import pytest

from curation.media import MediaError
from curation.runner import StageRunner
from curation.schema import Source
from curation.stages.resolution import ResolutionConfig, ResolutionFilter
from tests.curation.videos import write_video


def fails_to_read(source: Source) -> Source:
    raise MediaError("undecodable", "frame 3")


def has_a_bug(source: Source) -> Source:
    raise ZeroDivisionError("one over nothing")


def test_probing_and_timing(tmp_path: Path) -> None:
    path = str(write_video(tmp_path / "a.mp4", seconds=0.2))
    source = StageRunner([("resolution", ResolutionFilter(ResolutionConfig()))]).run(Source(uri=path))
    assert source.active
    assert source.media is not None
    assert set(source.stage_seconds) == {"probe", "resolution"}


@pytest.mark.parametrize(("size", "active"), [((480, 640), False), ((482, 640), True), ((640, 480), False)])
def test_short_edge_must_be_above_480(tmp_path: Path, size: tuple[int, int], active: bool) -> None:
    path = str(write_video(tmp_path / "a.mp4", size=size, seconds=0.2))
    source = StageRunner([("resolution", ResolutionFilter(ResolutionConfig()))]).run(Source(uri=path))
    assert source.active is active


def test_slow_video_is_turned_down(tmp_path: Path) -> None:
    path = str(write_video(tmp_path / "a.mp4", fps=5, seconds=2))
    source = StageRunner([("resolution", ResolutionFilter(ResolutionConfig()))]).run(Source(uri=path))
    assert source.rejection is not None
    assert (source.rejection.rule, source.rejection.value) == ("frame_rate", 5.0)


def test_media_errors_become_records(tmp_path: Path) -> None:
    path = str(write_video(tmp_path / "a.mp4", seconds=0.2))
    source = StageRunner([("faces", fails_to_read)]).run(Source(uri=path))
    assert source.failure is not None
    assert (source.failure.stage, source.failure.rule, source.failure.detail) == ("faces", "undecodable", "frame 3")


def test_a_bug_is_a_record_with_its_traceback_or_a_traceback(tmp_path: Path) -> None:
    path = str(write_video(tmp_path / "a.mp4", seconds=0.2))
    source = StageRunner([("faces", has_a_bug)]).run(Source(uri=path))
    assert source.failure is not None
    assert source.failure.rule == "internal_error"
    assert "one over nothing" in source.failure.detail
    with pytest.raises(ZeroDivisionError):
        StageRunner([("faces", has_a_bug)], raise_bugs=True).run(Source(uri=path))


def test_missing_source() -> None:
    source = StageRunner([]).run(Source(uri="/nowhere/a.mp4"))
    assert source.failure is not None
    assert source.failure.rule == "missing"
