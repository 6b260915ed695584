from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from bench.metrics.metric import VideoInput
from bench.metrics.syncnet.compare import Sync, compare, shifted_distances
from bench.metrics.syncnet.metric import SyncNetConfig, SyncNetMetric
from bench.metrics.syncnet.track import TrackConfig
from bench.samples.samples import Sample
from curation.backends.lips.syncnet.mfcc import mfcc
from curation.backends.lips.syncnet.network import load_syncnet
from curation.backends.lips.syncnet.windows import num_windows
from tests.curation.backends.lips.syncnet.test_network import published_layout
from tests.worlds.bench_samples import FACELESS, around_the_face
from tests.worlds.moving_mouth import frames, syllables, write_video

SAMPLE = Sample(id="0001_human_talk_en_male", prompt="")


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("syncnet") / "syncnet_v2.model"
    torch.save(published_layout(counters=True), path)
    return path


def test_distances_at_every_shift() -> None:
    generator = torch.Generator().manual_seed(0)
    lips, sound = (torch.randn(40, 8, generator=generator) for _ in range(2))
    slow = []
    for shift in range(-15, 16):
        gaps = [lips[i] - (sound[i + shift] if 0 <= i + shift < 40 else 0) + 1e-6 for i in range(40)]
        slow.append(float(torch.stack([gap.pow(2).sum().sqrt() for gap in gaps]).mean()))
    assert np.allclose(shifted_distances(lips, sound), slow, atol=1e-5)


@pytest.mark.parametrize("late", [-7, 0, 3])
def test_sound_that_is_late_has_a_negative_offset_as_published(late: int) -> None:
    lips = torch.randn(60, 16, generator=torch.Generator().manual_seed(1))
    sync = Sync(distances=shifted_distances(lips, torch.roll(lips, late, 0)))
    assert sync.offset_frames == -late
    assert sync.lse_c == pytest.approx(float(np.median(sync.distances)) - sync.lse_d)
    assert sync.lse_c > 1


def test_windows_pair_five_frames_with_twenty_cepstra(weights: Path) -> None:
    network = load_syncnet(weights)
    rng = np.random.default_rng(0)
    crops = rng.integers(0, 255, (9, 224, 224, 3)).astype(np.uint8)
    samples = rng.integers(-5000, 5000, 9 * 640 + 100).astype(np.int16)
    assert num_windows(len(crops), len(samples)) == 4
    sync = compare(network, crops, samples)
    with torch.inference_mode():
        lips = [
            network.embed_lips(torch.tensor(crops[i : i + 5].transpose(3, 0, 1, 2)[None]).float()) for i in range(4)
        ]
        cepstra = torch.tensor(mfcc(samples)).float()
        sound = [network.embed_sound(cepstra[4 * i : 4 * i + 20].T[None, None]) for i in range(4)]
    assert np.allclose(sync.distances, shifted_distances(torch.cat(lips), torch.cat(sound)), rtol=1e-4)
    with pytest.raises(ValueError, match="fewer than six frames"):
        compare(network, crops[:5], samples)


def test_a_video_with_random_weights_has_all_values_and_bad_ones_a_reason(
    weights: Path, videos_dir: Path, tmp_path: Path
) -> None:
    talk = around_the_face(frames(syllables(1.0, 0), 1.0))[:22]
    still = write_video(tmp_path / "silent.mp4", talk, np.zeros(16_000, np.int16))
    tracks = TrackConfig(min_frames=20, min_face_px=40)
    metric = SyncNetMetric(SyncNetConfig(weights=weights, track=tracks))
    assert metric.available() is None
    silent, faceless = (
        metric(VideoInput(path=path, sample=SAMPLE)) for path in (still, videos_dir / f"{FACELESS}.mp4")
    )
    assert (silent.reason, faceless.reason) == ("silent", "no face")
    sound = tmp_path / "voice.wav"
    soundfile.write(sound, np.random.default_rng(0).normal(0, 0.1, 32_000), 16_000)
    outcome = metric(VideoInput(path=still, sample=SAMPLE, audio=sound))
    assert set(outcome.values) == {value.name for value in metric.values}
    assert outcome.values["av_offset_abs"] == abs(outcome.values["av_offset"])
    assert len(outcome.detail["distances"]) == 31
    assert outcome.detail["num_frames"] == 22


def test_without_weights_it_says_what_is_missing(tmp_path: Path) -> None:
    assert "--syncnet-weights" in (SyncNetMetric().available() or "")
    missing = SyncNetMetric(SyncNetConfig(weights=tmp_path / "absent.model")).available()
    assert missing is not None
    assert "no SyncNet weights at" in missing


def test_the_protocol_changes_with_weights_and_tracks(weights: Path) -> None:
    given = SyncNetMetric(SyncNetConfig(weights=weights))
    assert given.protocol == SyncNetMetric(SyncNetConfig(weights=weights)).protocol
    others = (SyncNetMetric(), SyncNetMetric(SyncNetConfig(weights=weights, track=TrackConfig(min_frames=50))))
    assert len({given.protocol, *(other.protocol for other in others)}) == 3


def test_the_published_example() -> None:
    """Offset 3, distance 5.353, confidence 10.021; our faces come from another detector, hence the tolerance."""
    weights, example = os.environ.get("SOUL_SYNCNET_WEIGHTS"), os.environ.get("SOUL_SYNCNET_EXAMPLE")
    if not weights or not example:
        pytest.skip("set SOUL_SYNCNET_WEIGHTS to syncnet_v2.model and SOUL_SYNCNET_EXAMPLE to example.avi")
    outcome = SyncNetMetric(SyncNetConfig(weights=Path(weights)))(VideoInput(path=Path(example), sample=SAMPLE))
    assert outcome.values["av_offset"] == 3
    assert outcome.values["lse_d"] == pytest.approx(5.353, abs=0.5)
    assert outcome.values["lse_c"] == pytest.approx(10.021, abs=0.5)
