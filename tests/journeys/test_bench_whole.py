"""From a curated run to a report, as `make bench` goes."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest
import soundfile

from bench.__main__ import main
from tests.worlds.bench_samples import around_the_face
from tests.worlds.moving_mouth import RATE_HZ, frames, syllables, voice, write_video
from tests.worlds.pipelines import small_pipeline
from tests.worlds.synthetic_run import write_playable_run

SECONDS = 2.0


def test_a_run_and_a_model_become_a_report(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    loudness = syllables(SECONDS, 0)
    write_video(tmp_path / "clip.mp4", around_the_face(frames(loudness, SECONDS)), voice(loudness))
    wav = io.BytesIO()
    soundfile.write(wav, voice(loudness), RATE_HZ, format="WAV")
    run = write_playable_run(str(tmp_path / "run"), (tmp_path / "clip.mp4").read_bytes(), wav.getvalue())
    small_pipeline().save_pretrained(tmp_path / "model")

    out = tmp_path / "bench"
    samples, videos = str(out / "samples"), str(out / "videos/soul")
    methods = (f"soul={videos}", f"real={out / 'samples/real'}")
    assert main(["samples", "--run", run, "--out", samples]) == 0
    assert main(["generate", "--model", str(tmp_path / "model"), "--samples", samples, "--out", videos]) == 0
    metrics = ("--metrics", "appearance")
    assert main(["evaluate", "--samples", samples, "--videos", *methods, "--out", str(out), *metrics]) == 0

    with (out / "leaderboard.csv").open(newline="") as file:
        scores = {(line["method"], line["value"]): line for line in csv.DictReader(file)}
    assert {method for method, _ in scores} == {"soul", "real"}
    # Random weights: the picture falls apart behind its first frame; the clip itself stays as it is.
    assert float(scores["soul", "colour_drift"]["mean"]) > 3 * float(scores["real", "colour_drift"]["mean"])
    assert "report.html" in capsys.readouterr().out
    assert (out / "report.html").stat().st_size > 10_000
