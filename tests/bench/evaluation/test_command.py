from __future__ import annotations

import argparse
from pathlib import Path

import pytest

from bench.evaluation import command, doctor, doctor_options, options
from bench.report import command as report_command
from bench.report import options as report_options
from bench.rows import RowStore
from tests.worlds.bench_samples import BROKEN, TALKING


def evaluate(*arguments: str) -> None:
    parser = argparse.ArgumentParser()
    options.add_arguments(parser)
    command.run(parser.parse_args(arguments))


def test_a_run_writes_a_file_a_method_and_merges_others(samples_dir: Path, videos_dir: Path, tmp_path: Path) -> None:
    common = ["--samples", str(samples_dir), "--metrics", "appearance"]
    evaluate(*common, "--videos", f"ours={videos_dir}", "--out", str(tmp_path / "a"))
    rows = {row.sample: row for row in RowStore(tmp_path / "a").read()}
    assert rows[TALKING].values["sharpness"] > 0
    assert rows[BROKEN].reason == "unreadable"
    evaluate(*common, "--videos", f"ours={videos_dir}", "--out", str(tmp_path / "b"), "--merge", str(tmp_path / "a"))
    assert (tmp_path / "b" / "ours.jsonl").read_bytes() == (tmp_path / "a" / "ours.jsonl").read_bytes()


def test_a_run_ends_with_the_report_that_report_would_write(
    samples_dir: Path, videos_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    common = ["--samples", str(samples_dir), "--videos", f"ours={videos_dir}", "--out", str(tmp_path)]
    evaluate(*common, "--metrics", "appearance", "--controls", "frozen")
    said = capsys.readouterr().out
    assert "appearance (protocol" in said
    assert said.endswith(f"{tmp_path / 'report.html'}\n{tmp_path / 'leaderboard.csv'}\n")
    html, table = (tmp_path / "report.html").read_text(), (tmp_path / "leaderboard.csv").read_text()
    assert 'id="controls"' in html
    assert f"{TALKING}.mp4" in html
    assert "1 unreadable" in table
    for name in ("report.html", "leaderboard.csv"):
        (tmp_path / name).unlink()
    parser = argparse.ArgumentParser()
    report_options.add_arguments(parser)
    report_command.run(parser.parse_args(common))
    assert capsys.readouterr().out == said
    assert (tmp_path / "leaderboard.csv").read_text() == table
    assert len((tmp_path / "report.html").read_text()) == len(html)


def test_what_cannot_run_is_an_error_when_asked_for(samples_dir: Path, videos_dir: Path, tmp_path: Path) -> None:
    common = ["--samples", str(samples_dir), "--videos", f"ours={videos_dir}", "--out", str(tmp_path)]
    with pytest.raises(ValueError, match="syncnet cannot run here: no weights"):
        evaluate(*common, "--metrics", "syncnet")
    with pytest.raises(ValueError, match="unknown metric 'sharp'"):
        evaluate(*common, "--metrics", "sharp")
    with pytest.raises(ValueError, match="--seams 'x'"):
        evaluate(*common, "--seams", "x")
    assert RowStore(tmp_path).read() == []


def test_the_doctor_names_what_is_missing_and_what_is_ready(capsys: pytest.CaptureFixture[str]) -> None:
    parser = argparse.ArgumentParser()
    doctor_options.add_arguments(parser)
    doctor.run(parser.parse_args([]))
    said = capsys.readouterr().out
    assert "syncnet: cannot run here" in said
    assert "--syncnet-weights" in said
    assert "av_align: ready (protocol " in said
