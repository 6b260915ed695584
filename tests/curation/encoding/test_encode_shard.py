"""Shards end to end through the tiny encoders."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torch
from diffusers import AutoencoderKLWan

from curation.clip.schema import Pool, Shot
from curation.encoding.config import EncodeConfig
from curation.encoding.encode_shard import encode_shard, skip_all
from curation.encoding.encoded import EncodedClip, Skipped
from curation.encoding.networks import ClipEncoder
from curation.shards.run_directory import RunDirectory
from model.codecs.audio import CONTEXT_STEPS, align_audio
from model.codecs.audio_encoders import WhisperAudioEncoder
from model.codecs.vae import decode_video, wan_vae_config
from model.pretrained.assemble import build_pipeline
from tests.curation.encoding.test_encoded import assert_equal
from tests.worlds.curated_shards import Made, click, curate, flat, source_of, video

AREA = 96 * 96
WINDOW = 16


def encoder_with(**changes: object) -> ClipEncoder:
    return ClipEncoder("tiny", EncodeConfig(**({"clip_frames": 33, "min_frames": 17} | changes)))  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def encoder() -> ClipEncoder:
    return encoder_with()


def encode(run: Path, encoder: ClipEncoder, *clips: Made, pool: Pool = Pool.HUMAN) -> dict[str, EncodedClip | Skipped]:
    """Results by number of the clip."""
    (name,) = curate(str(run), source_of("a.mp4", clips, pool))
    results = encode_shard(RunDirectory(str(run)), name, encoder, area=AREA, alive=lambda: None)
    by_key = {(item.key if isinstance(item, Skipped) else item.sample.key)[-4:]: item for item in results}
    return {str(int(key)): item for key, item in by_key.items()}


def encoded(item: EncodedClip | Skipped) -> EncodedClip:
    assert isinstance(item, EncodedClip), item
    return item


def flash(frame: int, fps: int, size: tuple[int, int] = (192, 128)) -> object:
    def paint(index: int) -> npt.NDArray[np.uint8]:
        return np.full((size[1], size[0], 3), 255 if 0 <= index - frame < (2 if fps > 25 else 1) else 20, np.uint8)

    return paint


@pytest.mark.parametrize(("own_fps", "at_s"), [(25, 0.72), (25, 0.8), (50, 0.84), (30, 0.7), (25, 0.48)])
@pytest.mark.parametrize("fps", [25, 24])
def test_the_sound_of_a_flash_is_in_the_window_of_the_latent_that_shows_it(
    tmp_path: Path, own_fps: int, at_s: float, fps: int
) -> None:
    """A picture flashes and the sound clicks at the same moment of a clip longer than what is encoded of it.

    At higher rates than 25 the flash lasts for two frames, as one alone may fall between two moments.
    """
    frame, num_frames = round(at_s * own_fps), round(1.6 * own_fps)
    made = Made(
        mp4=video(flash(frame, own_fps), num_frames, fps=own_fps),  # type: ignore[arg-type]
        num_frames=num_frames,
        wav=click(frame / own_fps + 0.002, num_frames / own_fps),
    )
    sample = encoded(encode(tmp_path, encoder_with(fps=fps), made)["0"]).sample
    assert sample.audio_features is not None
    brightness = sample.latents[0].float().mean(dim=(1, 2))
    shown = int(brightness.argmax())
    assert 0 < shown < len(brightness) - 1
    windows = align_audio(
        sample.audio_features.float(), range(sample.latents.shape[1]), window=WINDOW, fps=fps,
        first_step=sample.audio_first_step,
    )  # fmt: skip
    own = windows[:, 4:12].amax(dim=2)
    assert own[shown].max() > 0.5
    # Its own steps begin with the frame of the flash: the click is in those of that frame.
    vae = encoder_with().vae
    frames = decode_video(vae, sample.latents[None].float())[0].mean(dim=(0, 2, 3))
    within = (int(frames.argmax()) - 1) % 4
    loud_ms = 20 * float(own[shown].argmax())
    assert abs(loud_ms - within * 1000 / fps) <= 40
    assert own[[index for index in range(len(own)) if abs(index - shown) > 1]].max() < 0.1


def test_a_sample_holds_what_the_clip_is(tmp_path: Path, encoder: ClipEncoder) -> None:
    made = Made(mp4=video(flat(200), 50), num_frames=50, wav=click(1.0, 2.0))
    clip = encoded(encode(tmp_path, encoder, made)["0"])
    sample = clip.sample
    assert str(clip.bucket) == "33x96x128"
    assert sample.latents.shape == (48, 9, 6, 8)
    assert sample.reference_latents.shape == (4, 48, 6, 8)
    assert (sample.source, sample.pool, sample.fps) == ("a.mp4", "human", 25)
    assert sample.prompts == ("A grey field that flashes once.", "A grey field.")
    assert [len(states) for states in sample.text_states] == [7, 4]
    assert sample.audio_first_step == -CONTEXT_STEPS
    assert sample.audio_features is not None
    assert sample.audio_features.shape == (66 + 2 * CONTEXT_STEPS, 80)
    pixels = decode_video(encoder.vae, sample.latents[None].float())
    assert abs(float(pixels.mean()) - (200 / 127.5 - 1)) < 0.02
    vectors = {tuple(vector) for vector in sample.latents.flatten(1).T.tolist()}
    assert clip.codebook_vectors.shape == (10, 48)
    assert {tuple(vector) for vector in clip.codebook_vectors.tolist()} <= vectors


def test_encoding_again_gives_the_same(tmp_path: Path, encoder: ClipEncoder) -> None:
    clips = [Made(mp4=video(flat(level), 40), num_frames=40, wav=click(0.5, 1.6)) for level in (50, 100)]
    one, two = (encode(tmp_path / name, encoder, *clips) for name in ("a", "b"))
    for key in ("0", "1"):
        assert_equal(encoded(one[key]).sample, encoded(two[key]).sample)
        assert np.array_equal(encoded(one[key]).codebook_vectors, encoded(two[key]).codebook_vectors)


def test_references_come_from_the_clips_of_the_shot_alone(tmp_path: Path) -> None:
    """Each clip is of one brightness, so that a reference tells where it is from."""
    levels, shots = (40, 90, 140, 220), (0, 0, 0, 1)
    clips = [
        Made(mp4=video(flat(level), 20), num_frames=20, shot=Shot(start_s=shot, end_s=shot + 1.0))
        for level, shot in zip(levels, shots, strict=True)
    ]
    clips.append(Made(mp4=video(flat(250), 20), num_frames=20, shot=clips[0].shot, parent_key="whole"))
    encoder = encoder_with(num_references=24)
    seen = {}
    for key, item in encode(tmp_path, encoder, *clips).items():
        pixels = decode_video(encoder.vae, encoded(item).sample.reference_latents.float()[:, :, None])
        found = ((pixels.mean(dim=(1, 2, 3, 4)) + 1) * 127.5).tolist()
        seen[key] = {min((*levels, 250), key=lambda level: abs(level - value)) for value in found}
    assert seen == {"0": {40, 90, 140}, "1": {40, 90, 140}, "2": {40, 90, 140}, "3": {220}, "4": {250}}


def test_general_clips_have_no_sound_and_prompts_are_told_once(tmp_path: Path, encoder: ClipEncoder) -> None:
    made = Made(mp4=video(flat(90), 40), num_frames=40, wav=click(0.5, 1.6), brief="A forest.", detailed="A forest.")
    sample = encoded(encode(tmp_path, encoder, made, pool=Pool.GENERAL)["0"]).sample
    assert (sample.audio_features, sample.wav, sample.audio_first_step) == (None, None, 0)
    assert (sample.pool, sample.prompts) == ("general", ("A forest.",))


def test_a_clip_that_cannot_be_encoded_is_skipped_alone_and_told_why(tmp_path: Path, encoder: ClipEncoder) -> None:
    good = Made(mp4=video(flat(100), 40), num_frames=40)
    clips = [
        good,
        Made(mp4=b"not a video", num_frames=40),
        Made(mp4=b"", num_frames=40),
        Made(mp4=video(flat(100), 12), num_frames=12),
        Made(mp4=video(flat(100, (32, 32)), 40), num_frames=40, size=(32, 32)),
        Made(mp4=good.mp4, num_frames=40, wav=b"RIFF nonsense"),
        Made(mp4=good.mp4, num_frames=40, brief=""),
        Made(mp4=good.mp4[: len(good.mp4) // 2], num_frames=40),
        Made(mp4=b"", num_frames=40, kept=False),
    ]
    results = encode(tmp_path, encoder, *clips)
    rules = {key: item.reason.partition(":")[0] for key, item in results.items() if isinstance(item, Skipped)}
    assert rules == {
        "1": "unreadable", "2": "empty_file", "3": "too_short", "4": "too_small", "5": "bad_sound", "6": "no_caption",
        "7": "unreadable",
    }  # fmt: skip
    assert all("\n" not in item.reason and "/tmp" not in item.reason for item in skipped(results))
    # What damaged clips would have lent is stood in for, so that the count stays.
    sample = encoded(results["0"]).sample
    assert len(sample.reference_latents) == 4
    assert torch.allclose(sample.reference_latents.float(), sample.latents[None, :, 0].float(), atol=0.2)


def skipped(results: dict[str, EncodedClip | Skipped]) -> Iterator[Skipped]:
    yield from (item for item in results.values() if isinstance(item, Skipped))


def test_a_network_that_gives_nan_is_told(tmp_path: Path) -> None:
    encoder = encoder_with()
    encoder.vae.basis.data[0, 0] = torch.nan
    results = encode(tmp_path, encoder, Made(mp4=video(flat(100), 40), num_frames=40))
    assert [item.reason.partition(":")[0] for item in skipped(results)] == ["not_finite"]


def test_a_shard_whose_tar_is_gone_or_cut_loses_only_what_is_missing(tmp_path: Path, encoder: ClipEncoder) -> None:
    clips = [Made(mp4=video(flat(100), 40), num_frames=40) for _ in range(3)]
    run = RunDirectory(str(tmp_path))
    (name,) = curate(run.run, source_of("a.mp4", clips))
    tar = tmp_path / "shards" / f"{name}.tar"

    def reasons() -> list[str]:
        results = list(encode_shard(run, name, encoder, area=AREA, alive=lambda: None))
        return [item.reason if isinstance(item, Skipped) else "" for item in results]

    data = tar.read_bytes()
    tar.write_bytes(data[: len(data) // 2])
    assert reasons()[0] == ""
    assert "breaks off" in reasons()[2]
    tar.write_bytes(b"no tar at all" * 100)
    assert all("is not a tar" in reason for reason in reasons())
    tar.unlink()
    assert reasons() == ["missing: the shard's tar is missing"] * 3
    assert [item.reason for item in skip_all(run, name, "because")] == ["because"] * 3


def test_networks_of_the_real_kind_are_loaded_without_the_transformer(tmp_path: Path) -> None:
    torch.manual_seed(0)
    pipeline = build_pipeline("tiny")
    vae = AutoencoderKLWan(**(wan_vae_config() | {"base_dim": 8, "decoder_base_dim": 8, "num_res_blocks": 1}))
    whisper = WhisperAudioEncoder(
        num_mel_bins=80, d_model=16, encoder_layers=4, encoder_attention_heads=2, encoder_ffn_dim=16
    )
    pipeline.register_modules(vae=vae.eval(), audio_encoder=whisper.eval())
    pipeline.save_pretrained(tmp_path / "model")
    shutil.rmtree(tmp_path / "model" / "transformer")
    encoder = ClipEncoder(str(tmp_path / "model"), EncodeConfig(clip_frames=9, min_frames=9))
    made = Made(mp4=video(flat(100), 11), num_frames=11, wav=click(0.2, 0.44))
    sample = encoded(encode(tmp_path / "run", encoder, made)["0"]).sample
    assert sample.latents.shape == (48, 3, 6, 8)
    assert sample.audio_features is not None
    assert sample.audio_features.shape == (18 + 2 * CONTEXT_STEPS, 5 * 16)
    assert encoder.encoding("720p").audio_dim == 80
    # The autoencoder is causal: its latent 0 is the first frame alone, whatever follows.
    alone = encoder.video(np.full((1, 96, 128, 3), 100, np.uint8))
    assert torch.allclose(alone[:, 0].float(), sample.latents[:, 0].float(), atol=0.1)
