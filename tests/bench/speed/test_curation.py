"""The measurement of curation, at a size that takes little time."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from bench.speed.curation import measure, report
from bench.speed.curation_kernels import Recording, decode_video, encode_again
from curation.clip.schema import Source
from curation.pipeline import CurationConfig, build_stages
from curation.runner import StageRunner

STAGES = list(dict(build_stages(CurationConfig())))


def test_what_is_printed_adds_up(sample: Callable[[str], Path], capsys: pytest.CaptureFixture[str]) -> None:
    measured = measure([sample("rotated.mp4")], 2)
    assert (measured.num_files, len(measured.repetitions)) == (1, 2)
    for repetition in measured.repetitions:
        assert list(repetition.stages) == STAGES
        assert set(repetition.kernels) >= {"scenes", "split", "subtitles", "sync", "export"}
        assert sum(cost.cpu_s for cost in repetition.stages.values()) <= repetition.whole.cpu_s
        assert 0 < repetition.bare.cpu_s < repetition.whole.cpu_s
    report(measured)
    printed = capsys.readouterr().out
    assert all(f"\n{stage}" in printed for stage in STAGES)
    assert "by CPU seconds" in printed


def test_the_kernels_do_what_the_pipeline_does(sample: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    path, config, recording = str(sample("rotated.mp4")), CurationConfig(), Recording()
    with recording.listening():
        source = StageRunner(build_stages(config), raise_bugs=True).run(Source(uri=path))
    (clip,) = source.clips
    assert clip.payload is not None
    assert source.stats is not None
    _, mp4 = encode_again(clip, config.stages.export)
    assert mp4 == clip.payload.mp4
    assert decode_video(path) == len(source.stats.times_s)
    functions = [call.function.__qualname__ for calls in recording.calls.values() for call in calls]
    assert functions.count("AdaptiveDetector.process_frame") == len(source.stats.times_s)
    # Every other keyframe is looked at whatever is found, and the detectors of text at two at least.
    assert sum("run" in name for name in functions) >= len(source.keyframes) // 2
    assert functions.count("RapidOCR.__call__") >= 2
    num_watched = clip.scores["sync_num_frames"]
    assert isinstance(num_watched, int | float)
    assert sum(name.endswith("calc") for name in functions) == num_watched - 1
