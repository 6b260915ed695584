from __future__ import annotations

import io
from pathlib import Path

import pytest
from rich.console import Console

from curation.config import ConfigError
from curation.summary import Loss, Summary, percent, print_summary, summarise
from tests.curation.synthetic_run import SECONDS, source, sources, write_run


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


def test_losses_are_counted_by_rule_with_the_median_of_what_was_measured(summary: Summary) -> None:
    assert summary.source_losses == (
        Loss(stage="probe", rule="unreadable", count=1, median_value=None, median_threshold=None),
        Loss(stage="resolution", rule="short_edge", count=1, median_value=480.0, median_threshold=480.0),
    )
    assert summary.clip_losses == (
        Loss(stage="split", rule="too_short", count=1, median_value=1.0, median_threshold=None),
        Loss(stage="faces", rule="presence", count=2, median_value=(0.25 + 0.35) / 2, median_threshold=0.5),
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
