"""Encoded shards of drawn faces hold what was drawn, and the same each time."""

from __future__ import annotations

import dataclasses
import io
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from einops import rearrange

from bench.studies.talking_faces import measure
from bench.studies.talking_faces.dataset import (
    FaceEncoder,
    FacesConfig,
    held_out_performance,
    make_dataset,
    read_truth,
    training_performance,
)
from bench.studies.talking_faces.face import Pose, draw_face
from bench.studies.talking_faces.performance import perform
from curation.encoding.encoded import EncodedDirectory, EncodedSample
from model.codecs.audio import CONTEXT_STEPS, align_audio
from model.codecs.vae import decode_video

CONFIG = FacesConfig(num_videos=3, clips_per_video=2, clip_frames=33, num_references=4, videos_per_shard=2)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("run")
    make_dataset(path, CONFIG)
    return path


def samples(run: Path) -> dict[str, EncodedSample]:
    directory = EncodedDirectory(f"{run}/encoded/720p")
    rows = directory.index().to_pylist()
    return {
        row["key"]: EncodedSample.from_bytes(directory.read(row["tar"], row["offset"], row["size"])) for row in rows
    }


def test_shards_hold_every_clip_in_one_bucket(run: Path) -> None:
    directory = EncodedDirectory(f"{run}/encoded/720p")
    table = directory.index()
    assert directory.names() == ["faces-00000", "faces-00002"]
    assert table["key"].to_pylist() == [f"face{video:05d}-{clip}" for video in range(3) for clip in range(2)]
    assert set(table["bucket"].to_pylist()) == {"33x96x96"}
    assert {len(vectors) for vectors in table["codebook_vectors"].to_pylist()} == {48 * 48 * 2}
    sample = samples(run)["face00001-0"]
    encoding = directory.encoding()
    assert sample.latents.shape == (encoding.latent_channels, 9, 6, 6)
    assert sample.reference_latents.shape == (4, 48, 6, 6)
    assert directory.unconditional().shape == (0, encoding.text_dim)


def test_a_clip_decodes_to_its_truth(run: Path) -> None:
    truth = read_truth(run)
    codec = FaceEncoder(CONFIG).vae
    for key, sample in samples(run).items():
        video = decode_video(codec, sample.latents.float()[None])[0]
        frames = rearrange(((video + 1) * 127.5).round().byte().numpy(), "c t h w -> t h w c")
        identity = training_performance(CONFIG, int(key[4:9])).identity
        reference = next(draw_face(identity, [Pose()]))
        opening = measure.mouth_opening(np.ascontiguousarray(frames), reference)
        assert measure.correlation(opening, truth[key]["opening"]) > 0.99
        assert truth[key]["colours"]["skin"] == list(identity.skin.lab)


def test_sound_lies_under_the_frames_that_it_belongs_to(run: Path) -> None:
    truth = read_truth(run)
    encoder = FaceEncoder(CONFIG)
    directory = EncodedDirectory(f"{run}/encoded/720p")
    for row in directory.index().to_pylist():
        sample, start = samples(run)[row["key"]], truth[row["key"]]["first_frame"]
        take = perform(training_performance(CONFIG, int(row["key"][4:9])))
        steps = encoder.audio_encoder.encode(take.waveform)
        assert sample.audio_features is not None
        windows = [
            align_audio(features, range(1, 9), window=16, first_step=first)
            for features, first in ((sample.audio_features.float(), sample.audio_first_step), (steps, -2 * start))
        ]
        assert torch.allclose(windows[0], windows[1], atol=2e-3)
        assert sample.audio_first_step == -CONTEXT_STEPS
        wav, rate_hz = soundfile.read(io.BytesIO(directory.read(row["tar"], row["wav_offset"], row["wav_size"])))
        assert rate_hz == 16_000
        expected = take.waveform.numpy()[start * 640 : (start + 33) * 640]
        assert np.abs(wav - expected).max() < 1e-3


def test_the_same_configuration_gives_the_same_samples_and_is_made_once(run: Path, tmp_path: Path) -> None:
    make_dataset(tmp_path, CONFIG)
    again, before = samples(tmp_path), samples(run)
    for key, sample in before.items():
        for name in ("latents", "reference_latents", "audio_features"):
            assert torch.equal(getattr(again[key], name), getattr(sample, name))
    tar = "encoded/720p/33x96x96/faces-00000.tar"
    assert read_truth(tmp_path) == read_truth(run)
    (tmp_path / tar).unlink()
    make_dataset(tmp_path, CONFIG)
    assert not (tmp_path / tar).exists(), "a finished dataset is not made again"


def test_other_settings_in_the_same_run_are_refused(run: Path) -> None:
    with pytest.raises(ValueError, match="made with other settings"):
        make_dataset(run, dataclasses.replace(CONFIG, num_videos=4))
    with pytest.raises(ValueError, match="4k"):
        FacesConfig(clip_frames=48)


def test_nobody_is_held_out_and_trained_on() -> None:
    trained = [training_performance(CONFIG, index) for index in range(30)]
    held_out = [held_out_performance(index, duration_s=4.0) for index in range(30)]
    assert not {p.speech_seed for p in trained} & {p.speech_seed for p in held_out}
    assert not {p.identity.skin.lab for p in trained} & {p.identity.skin.lab for p in held_out}
    assert {p.motion for p in held_out} == {p.motion for p in trained}
