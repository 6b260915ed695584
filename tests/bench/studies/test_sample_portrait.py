"""The sample bucket's portrait with speech of known opening, and the opening read back."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from bench.studies import portrait_lips
from bench.studies.sample_portrait import FITTED_SEEDS, HELD_OUT_SEEDS, MouthReader, portrait_says
from bench.studies.talking_faces.measure import correlation


def test_the_opening_is_read_back_from_speech_that_was_not_fitted() -> None:
    reader = MouthReader.fitted([portrait_says(seed, 2.4, size=160) for seed in FITTED_SEEDS])
    first, second = (portrait_says(seed, 2.4, size=160) for seed in HELD_OUT_SEEDS[:2])
    assert first.frames.shape == (60, 160, 160, 3)
    assert len(first.waveform) == 2.4 * 16_000
    opening = reader.read(first.frames)
    assert correlation(opening, first.opening) > 0.85
    assert correlation(opening, second.opening) < 0.5
    still = np.repeat(first.frames[:1], 60, axis=0)
    assert correlation(reader.read(still), first.opening) == pytest.approx(0.0, abs=1e-6)


def test_a_model_stands_beside_the_untrained_network_and_the_truth(untrained: Path, tmp_path: Path) -> None:
    words = ["--model", str(untrained), "--out", str(tmp_path), "--videos", "2", "--seconds", "0.9", "--size", "64"]
    assert portrait_lips.main([*words, "--threads", "1"]) == 0
    rows = json.loads((tmp_path / "portrait_lips.json").read_text())
    assert [row["name"] for row in rows] == [
        "the truth, as it is drawn",
        str(untrained),
        "the network before any training",
    ]
    assert rows[0]["r"] > 0.8
    assert {"portrait.png", "speech.wav", "video.mp4"} <= {file.name for file in tmp_path.iterdir()}


def test_a_single_video_has_no_control(untrained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert portrait_lips.main(["--model", str(untrained), "--out", str(tmp_path), "--videos", "1"]) == 2
    assert "at least 2" in capsys.readouterr().err
