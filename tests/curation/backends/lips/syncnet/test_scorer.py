"""SyncNet's curve over the shifts, with random weights: it must be the benchmark's at every shift, and move with the
sound.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torch

from bench.metrics.syncnet.compare import compare
from curation.backends.faces.crops import crop_face
from curation.backends.lips.scorer import MAX_SHIFT_FRAMES
from curation.backends.lips.syncnet.config import SyncNetConfig
from curation.backends.lips.syncnet.scorer import SyncNetScorer
from curation.backends.lips.syncnet.windows import BORDER, CONTEXT, CROP_PX, SAMPLES_PER_FRAME
from infra.config import ConfigError
from tests.curation.backends.lips.syncnet.test_network import published_layout
from tests.worlds.moving_mouth import frames, source_of, syllables, voice, write_video

MARGIN = MAX_SHIFT_FRAMES * SAMPLES_PER_FRAME


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("syncnet") / "syncnet_v2.model"
    torch.save(published_layout(counters=True), path)
    return path


@pytest.fixture(scope="module")
def scorer(weights: Path) -> SyncNetScorer:
    return SyncNetScorer(SyncNetConfig(weights=str(weights), device="cpu", batch_size=16))


def noise(num_samples: int) -> npt.NDArray[np.int16]:
    return np.random.default_rng(1).integers(-5000, 5000, num_samples).astype(np.int16)


def pictures(num_frames: int) -> npt.NDArray[np.uint8]:
    return np.random.default_rng(2).integers(0, 255, (num_frames, CROP_PX, CROP_PX, 3)).astype(np.uint8)


def test_the_curve_is_the_benchmark_s_comparison_at_each_shift(scorer: SyncNetScorer) -> None:
    crops, samples = pictures(9), noise(9 * SAMPLES_PER_FRAME + 2 * MARGIN)
    curve = scorer.compare(crops, samples)
    for shift in (-15, -4, 0, 7, 15):
        first = MARGIN + shift * SAMPLES_PER_FRAME
        shifted = compare(scorer.network, crops, samples[first : first + 9 * SAMPLES_PER_FRAME])
        # The benchmark's sound starts within a hop of the filter that the whole sound runs through.
        assert -curve[MAX_SHIFT_FRAMES + shift] == pytest.approx(shifted.distances[MAX_SHIFT_FRAMES], rel=1e-3)


@pytest.mark.parametrize("late", [-5, 3])
def test_sound_that_is_moved_moves_the_curve(scorer: SyncNetScorer, late: int) -> None:
    crops, samples = pictures(8), noise(8 * SAMPLES_PER_FRAME + 2 * MARGIN)
    moved = np.roll(samples, late * SAMPLES_PER_FRAME)
    before, after = scorer.compare(crops, samples), scorer.compare(crops, moved)
    assert np.ptp(before) > 1e-3
    near = range(-9, 10)
    assert [after[MAX_SHIFT_FRAMES + shift + late] for shift in near] == pytest.approx(
        [before[MAX_SHIFT_FRAMES + shift] for shift in near], rel=1e-4
    )


def test_a_clip_is_scored_from_its_own_frames(scorer: SyncNetScorer, tmp_path: Path) -> None:
    envelope = syllables(2.0, seed=1)
    talk = write_video(tmp_path / "talk.mp4", frames(envelope, 2.0)[:25], voice(envelope))
    clip = source_of(talk, clip_s=1.0).clips[0]
    assert clip.tracks
    samples = noise(25 * SAMPLES_PER_FRAME + 2 * MARGIN)
    evidence = scorer.score(clip, samples)
    crops = crop_face(clip, clip.tracks[0], fps=25, size=CROP_PX, margin=1 + CONTEXT, lower=CONTEXT / 2, border=BORDER)
    assert evidence.num_frames == len(crops.images) == 25
    assert evidence.mouth_speed is None
    assert np.array_equal(evidence.curve, scorer.compare(crops.images, samples))


def test_without_a_face_there_is_no_evidence(scorer: SyncNetScorer, tmp_path: Path) -> None:
    envelope = syllables(1.0, seed=1)
    talk = write_video(tmp_path / "talk.mp4", frames(envelope, 1.0), None)
    clip = source_of(talk, clip_s=1.0).clips[0]
    assert scorer.score(replace(clip, tracks=()), noise(100)).num_frames == 0


def test_other_weights_are_refused_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no SyncNet weights at .*absent\.model: get syncnet_v2\.model"):
        SyncNetScorer(SyncNetConfig(weights=str(tmp_path / "absent.model")))
    (tmp_path / "text.model").write_text("no weights")
    with pytest.raises(ConfigError, match="is not a weights file"):
        SyncNetScorer(SyncNetConfig(weights=str(tmp_path / "text.model")))
