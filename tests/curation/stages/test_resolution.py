"""Where a source is too small or too slow."""

from __future__ import annotations

from dataclasses import replace

import pytest

from curation.clip.schema import Decision, Source
from curation.stages.resolution import ResolutionConfig, ResolutionFilter
from tests.worlds.synthetic_run import source


def judged(width: int, height: int, fps: float = 25.0, **settings: float) -> Source:
    made = source("/in/a.mp4", width, height, 5.0)
    assert made.media is not None
    made = replace(made, media=replace(made.media, info=replace(made.media.info, fps=fps)))
    return ResolutionFilter(ResolutionConfig(**settings))(made)  # type: ignore[arg-type]


@pytest.mark.parametrize(("width", "height"), [(854, 480), (480, 854), (480, 480), (1920, 360)])
def test_a_short_edge_of_480_is_not_above_480(width: int, height: int) -> None:
    edge = float(min(width, height))
    expected = Decision(stage="resolution", rule="short_edge", value=edge, threshold=480.0)
    assert judged(width, height).rejection == expected


@pytest.mark.parametrize(("width", "height"), [(856, 481), (481, 856), (481, 481)])
def test_a_short_edge_of_481_is_kept(width: int, height: int) -> None:
    assert judged(width, height).active


def test_the_limit_is_the_configuration_s() -> None:
    assert judged(640, 360, short_edge_above_px=359).active
    assert not judged(640, 360, short_edge_above_px=360).active


def test_a_slow_source_is_rejected_and_one_at_the_limit_kept() -> None:
    expected = Decision(stage="resolution", rule="frame_rate", value=11.9, threshold=12.0)
    assert judged(1280, 720, fps=11.9).rejection == expected
    assert judged(1280, 720, fps=12.0).active
    assert not judged(1280, 720, fps=0.5).active


def test_a_rate_that_the_file_does_not_tell_rejects_nothing() -> None:
    assert judged(1280, 720, fps=0.0).active


def test_the_size_is_looked_at_first() -> None:
    rejection = judged(320, 240, fps=5.0).rejection
    assert rejection is not None
    assert rejection.rule == "short_edge"
