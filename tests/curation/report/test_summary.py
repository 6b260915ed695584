from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from curation.report import write_report
from curation.report.summary import Loss, Summary, percent, print_summary, summarise
from infra.config import ConfigError
from tests.worlds.synthetic_run import SECONDS, clip, export, source, sources, write_run


@pytest.fixture(scope="module")
def summary(tmp_path_factory: pytest.TempPathFactory) -> Summary:
    run = str(tmp_path_factory.mktemp("run"))
    write_run(run, sources())
    return summarise(run)


def printed(summary: Summary, elapsed_s: float | None = None, before: Summary | None = None) -> list[list[str]]:
    """Words of every line."""
    sink = io.StringIO()
    print_summary(summary, Console(file=sink, width=100), elapsed_s, before)
    return [line.split() for line in sink.getvalue().splitlines()]


def test_totals_are_those_that_were_written(summary: Summary) -> None:
    assert (summary.num_sources, summary.num_units, summary.num_failed) == (5, 5, 1)
    assert (summary.num_clips, summary.num_kept, summary.num_crops) == (8, 5, 1)
    assert summary.seconds_in == pytest.approx(15 + 15 + 10 + 20)
    assert summary.seconds_kept == pytest.approx(4.5 + 5.0 + 4.5 + 4.5 + 4.5)
    assert dict(summary.config_hashes) == {"c0ffee": 5}


def test_a_crop_counts_its_time_once(tmp_path: Path) -> None:
    """Of a source of 4.4 s whose clip and crop are kept, 4.4 s are kept: 100 %, not 200 %."""
    unit = source("/in/whole.mp4", 1080, 1920, 4.4)
    whole = export(clip(unit, 0, 4.4))
    crop = export(clip(unit, 1, start_s=0.0, end_s=4.4, parent_key=whole.key))
    write_run(str(tmp_path), [replace(unit, clips=(whole, crop))])
    summary = summarise(str(tmp_path))
    assert (summary.num_kept, summary.num_crops) == (2, 1)
    assert [summary.seconds_in, summary.seconds_kept] == pytest.approx([4.4, 4.4])
    assert ["hours", "kept", "0.00", "100", "%"] in printed(summary)
    page = Path(write_report(str(tmp_path))).read_text()
    assert "of video kept, 100 %" in page
    assert "200 %" not in page


def test_overlapping_clips_and_segments_count_each_second_once(tmp_path: Path) -> None:
    first = source("/in/long.mp4", 1080, 1920, 20.0, segment=0, segment_start_s=0.0, segment_end_s=10.0)
    second = source("/in/long.mp4", 1080, 1920, 20.0, segment=1, segment_start_s=10.0, segment_end_s=20.0)
    other = source("/in/other.mp4", 1080, 1920, 20.0)
    units = [
        replace(first, clips=tuple(export(clip(first, i, start_s=s, end_s=s + 5.0)) for i, s in ((0, 0.0), (1, 3.0)))),
        replace(second, clips=(export(clip(second, 0, start_s=9.0, end_s=14.0)),)),
        replace(other, clips=(export(clip(other, 0, start_s=0.0, end_s=5.0)),)),
    ]
    write_run(str(tmp_path), units)
    summary = summarise(str(tmp_path))
    assert [summary.seconds_in, summary.seconds_kept] == pytest.approx([40.0, 8.0 + 5.0 + 5.0])


def test_hours_kept_never_exceed_hours_in(tmp_path: Path) -> None:
    """A header that says less than the file has must not make more than everything."""
    unit = source("/in/short_header.mp4", 1080, 1920, 2.0)
    write_run(str(tmp_path), [replace(unit, clips=(export(clip(unit, 0, 4.5)),))])
    summary = summarise(str(tmp_path))
    assert summary.seconds_kept == summary.seconds_in == pytest.approx(4.5)


def test_losses_are_counted_by_rule_with_the_median_of_what_was_measured(summary: Summary) -> None:
    assert summary.source_losses == (
        Loss(stage="probe", rule="unreadable", count=1, seconds=0.0, median_value=None, median_threshold=None),
        Loss(stage="resolution", rule="short_edge", count=1, seconds=20.0, median_value=480.0, median_threshold=480.0),
    )
    assert summary.clip_losses == (
        Loss(stage="split", rule="too_short", count=1, seconds=1.0, median_value=1.0, median_threshold=None),
        Loss(
            stage="faces", rule="presence", count=2, seconds=9.0, median_value=(0.25 + 0.35) / 2, median_threshold=0.5
        ),
    )


def test_what_became_of_the_sound_of_kept_clips(summary: Summary) -> None:
    assert summary.num_audio_kept == 3
    assert dict(summary.audio_drops) == {"split/general_pool": 1, "sync/persistent_mismatch": 1}
    assert summary.num_silent == 0


def test_times_are_counted_once_a_source_and_in_the_order_of_the_stages(summary: Summary) -> None:
    assert summary.stages == tuple(SECONDS)
    assert summary.stage_seconds["probe"] == pytest.approx(5 * 0.5)
    assert summary.stage_seconds["export"] == pytest.approx(3 * 4.0)


def test_segments_of_one_video_are_one_source(tmp_path: Path) -> None:
    parts = [
        source("/in/long.mp4", 640, 480, 200.0, segment=0, segment_start_s=0.0, segment_end_s=100.0),
        source("/in/long.mp4", 640, 480, 200.0, segment=1, segment_start_s=100.0, segment_end_s=200.0),
    ]
    write_run(str(tmp_path), [part.fail("scenes", "undecodable", "") for part in parts])
    summary = summarise(str(tmp_path))
    assert (summary.num_sources, summary.num_units, summary.num_failed) == (1, 2, 2)
    assert summary.seconds_in == pytest.approx(200.0)


def test_a_quarantine_file_without_a_committed_row_does_not_count(tmp_path: Path) -> None:
    write_run(str(tmp_path), sources())
    (tmp_path / "quarantine" / "left-by-a-crash-0000000000-0000.json").write_text("{}")
    assert summarise(str(tmp_path)).num_failed == 1


def test_an_empty_run_has_zeros_and_no_run_is_an_error(tmp_path: Path) -> None:
    write_run(str(tmp_path / "run"), [])
    summary = summarise(str(tmp_path / "run"))
    assert (summary.num_units, summary.num_clips, summary.seconds_in, summary.seconds_kept) == (0, 0, 0.0, 0.0)
    assert ["kept", "0", "–"] in printed(summary, 1.0)
    with pytest.raises(ConfigError, match="not a run directory"):
        summarise(str(tmp_path / "nothing"))


def test_the_table_has_every_total_and_rule(summary: Summary) -> None:
    lines = printed(summary)
    assert ["sources", "5"] in lines
    assert ["failed", "1", "in", "quarantine"] in lines
    assert ["left", "out", "1", "resolution/short_edge"] in lines
    assert ["clips", "8", "1", "crops"] in lines
    assert ["kept", "5", "62", "%"] in lines
    assert ["rejected", "2", "faces/presence"] in lines
    assert ["sound", "dropped", "1", "sync/persistent_mismatch"] in lines
    assert not [line for line in lines if "clips/s" in line]


def test_rates_count_only_what_this_run_added(tmp_path: Path, summary: Summary) -> None:
    assert ["speed", "2.00", "clips/s"] in printed(summary, 4.0)
    write_run(str(tmp_path), sources()[:1])
    before = summarise(str(tmp_path))
    lines = printed(summary, 5.0, before)
    assert ["speed", "1.00", "clips/s"] in lines
    assert ["9.00", "source-seconds/s,", "5", "s", "in", "all"] in lines


def test_several_configurations_are_pointed_out(tmp_path: Path) -> None:
    write_run(str(tmp_path), sources()[:1], config_hash="aaaa")
    write_run(str(tmp_path), sources()[1:], config_hash="bbbb")
    summary = summarise(str(tmp_path))
    assert dict(summary.config_hashes) == {"bbbb": 4, "aaaa": 1}
    assert ["Decisions", "come", "from", "2", "configurations:", "bbbb,", "aaaa"] in printed(summary)


@pytest.mark.parametrize(
    ("part", "whole", "text"), [(0, 0, "–"), (0, 9, "0 %"), (1, 40, "2.5 %"), (1, 2, "50 %"), (9, 9, "100 %")]
)
def test_percent(part: float, whole: float, text: str) -> None:
    assert percent(part, whole) == text
