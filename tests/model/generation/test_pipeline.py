import gc
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from model.codecs.text import encode_text
from model.codecs.vae import decode_video, encode_video
from model.generation.clips import GeneratedClip
from model.generation.codebook import Codebook
from model.generation.pipeline import SoulPipeline
from tests.worlds.pipelines import (
    OracleTransformer,
    asked,
    click,
    make_codebook,
    noise,
    oracle_pipeline,
    picture,
    small_pipeline,
)


def clips_of(pipeline: SoulPipeline, waveform: Tensor, seed: int = 0, **options: Any) -> list[GeneratedClip]:
    return list(pipeline.stream(asked(audio=waveform, seed=seed, **options)))


@pytest.fixture(scope="module")
def pipeline() -> SoulPipeline:
    return small_pipeline()


@pytest.mark.parametrize("num_samples", [1, 16_000, 16_001, 109 * 640, 109 * 640 + 1, 209 * 640 + 5])
def test_frame_count_is_the_speech_rounded_up(pipeline: SoulPipeline, num_samples: int) -> None:
    clips = clips_of(pipeline, torch.rand(num_samples) * 0.1)
    num_frames = -(-num_samples * 25 // 16_000)
    assert sum(len(clip.frames) for clip in clips) == num_frames
    assert all(clip.frames.shape[1:] == (64, 64, 3) for clip in clips)
    assert [clip.plan.frames.start for clip in clips] == [0, 109, 209][: len(clips)]


@pytest.mark.parametrize("codebook", [None, make_codebook()])
def test_clips_agree_on_their_overlap(codebook: Codebook | None) -> None:
    pipeline = small_pipeline()
    pipeline.codebook = codebook
    clips = clips_of(pipeline, noise(17.0))
    assert len(clips) == 5
    moved = 0.0
    for before, after in pairwise(clips):
        end = before.latents[:, :, -2:]
        expected = end if codebook is None else codebook.clamp(end, percentile=99)
        assert torch.equal(after.latents[:, :, 1:3], expected)
        assert torch.equal(after.latents[:, :, :1], clips[0].latents[:, :, :1])
        moved += float((expected - end).abs().max())
    assert (moved > 0) == (codebook is not None)


def test_the_frames_are_the_time_line_decoded_at_once(pipeline: SoulPipeline) -> None:
    clips = clips_of(pipeline, noise(10.0))
    latents = [clips[0].latents, *(clip.latents[:, :, 3:] for clip in clips[1:])]
    whole = decode_video(pipeline.vae, torch.cat(latents, dim=2))
    expected = ((whole[0] + 1) * 127.5).round().byte().permute(1, 2, 3, 0).numpy()[:250]
    streamed = np.concatenate([clip.frames for clip in clips])
    assert np.abs(streamed.astype(int) - expected).max() <= 1


def test_the_first_frame_is_the_image_and_later_pivots_are_never_shown() -> None:
    pipeline = oracle_pipeline()
    white = Image.new("RGB", (64, 64), "white")
    frames = pipeline(asked(white, torch.zeros(16_000 * 10), "")).frames
    assert frames.shape == (250, 64, 64, 3)
    assert frames[0].min() > 250
    assert frames[1:].max() < 5


@pytest.mark.parametrize("at_s", [0.45, 2.0, 4.30, 4.36, 5.0, 8.33, 8.36, 9.9])
def test_a_click_shows_in_its_own_frames_in_every_clip(at_s: float) -> None:
    # 4.36 s and 8.36 s are seams of clips. A step's spectrum reaches 10 ms into its neighbours: 15 ms keeps
    # clear.
    frames = oracle_pipeline()(asked(audio=click(11.0, at_s + 0.015), prompt="")).frames
    lit = np.flatnonzero(frames[1:].mean(axis=(1, 2, 3)) > 128) + 1
    frame = int((at_s + 0.015) * 25)
    latent = (frame + 3) // 4
    assert lit.tolist() == list(range(4 * latent - 3, 4 * latent + 1))


def test_the_network_hears_the_overlap_again_and_nothing_at_the_pivot() -> None:
    pipeline = oracle_pipeline()
    clips_of(pipeline, noise(6.0))
    oracle = pipeline.transformer
    assert isinstance(oracle, OracleTransformer)
    first, second = oracle.calls[0], oracle.calls[-1]
    assert first[3].shape == (1, 28, 16, 80)
    for call in (first, second):
        assert call[3][:, 0].abs().sum() == 0
    assert torch.equal(second[3][:, 1:3], first[3][:, 26:28])
    assert (first[1][:, :1] == 0).all()
    assert (first[1][:, 1:] > 0).all()
    assert (second[1][:, :3] == 0).all()
    assert (second[1][:, 3:] > 0).all()


def test_seams_have_no_jump_of_colour() -> None:
    pipeline = oracle_pipeline()
    waveform = torch.zeros(16_000 * 17)
    grey = encode_video(pipeline.vae, torch.full((1, 3, 1, 16, 16), 0.2))
    pipeline.register_modules(transformer=OracleTransformer(grey, grey))
    frames = pipeline(asked(audio=waveform, prompt="")).frames.astype(float)
    means = frames[1:].mean(axis=(1, 2))
    assert np.abs(np.diff(means, axis=0)).max() < 0.5


def test_seeds_are_reproducible(pipeline: SoulPipeline) -> None:
    one, again, other = (
        np.concatenate([clip.frames for clip in clips_of(pipeline, noise(5.0), seed)]) for seed in (1, 1, 2)
    )
    assert np.array_equal(one, again)
    assert not np.array_equal(one[1:], other[1:])


def test_the_start_of_a_longer_video_is_the_shorter_one(pipeline: SoulPipeline) -> None:
    waveform = noise(9.0)
    # The last 80 ms of the short one hear what follows, or the end.
    short = clips_of(pipeline, waveform[: 109 * 640 + 16_000])[0].frames
    long = clips_of(pipeline, waveform)[0].frames
    assert np.array_equal(short, long)


def test_noise_differs_between_clips() -> None:
    pipeline = oracle_pipeline()
    clips_of(pipeline, noise(9.0))
    oracle = pipeline.transformer
    starts = [call[0][:, :, 3:] for call in oracle.calls[::2]]
    assert len(starts) == 3
    assert not torch.equal(starts[0], starts[1])
    assert not torch.equal(starts[1], starts[2])


def test_guidance_runs_the_negative_prompt_without_sound() -> None:
    pipeline = oracle_pipeline()
    list(pipeline.stream(asked(prompt="yes", negative_prompt="no", guidance_scale=2.0, steps=1)))
    (_, _, text, audio), (_, _, negative_text, silence) = pipeline.transformer.calls
    assert audio.abs().sum() > 0
    assert silence.abs().sum() == 0
    assert not torch.equal(text, negative_text)


def test_text_and_sound_are_guided_apart_where_asked_for() -> None:
    pipeline = oracle_pipeline()
    list(pipeline.stream(asked(prompt="yes", guidance_scale=2.0, audio_guidance_scale=4.0, steps=1)))
    heard, free, silent = pipeline.transformer.calls
    assert torch.equal(silent[2], heard[2])
    assert not torch.equal(free[2], heard[2])
    assert heard[3].abs().sum() > 0
    assert not free[3].any()
    assert not silent[3].any()


def test_the_models_own_guidance_and_negative_prompt_hold_unless_others_are_given() -> None:
    pipeline = oracle_pipeline()
    pipeline.register_to_config(guidance_scale=2.0, audio_guidance_scale=3.0, negative_prompt="no")
    cases: list[tuple[dict[str, Any], str, int]] = [
        ({}, "no", 3),
        ({"negative_prompt": "never"}, "never", 3),
        ({"negative_prompt": ""}, "", 3),
        ({"audio_guidance_scale": 2.0}, "no", 2),
        ({"guidance_scale": 5.0}, "no", 2),
    ]
    for changes, negative, forwards in cases:
        pipeline.transformer.calls.clear()
        list(pipeline.stream(asked(prompt="yes", steps=1, **changes)))
        assert len(pipeline.transformer.calls) == forwards, changes
        (states,) = encode_text(pipeline.text_encoder, None, [negative])
        assert torch.equal(pipeline.transformer.calls[1][2][0], states)


def test_progress_is_reported_clip_by_clip(pipeline: SoulPipeline) -> None:
    steps: list[tuple[int, int]] = []
    request = asked(audio=noise(5.0), steps=2)
    stream = pipeline.stream(request, on_step=lambda clip, step: steps.append((clip, step)), overlap=False)
    next(stream)
    assert steps == [(0, 0), (0, 1)]
    next(stream)
    assert steps == [(0, 0), (0, 1), (1, 0), (1, 1)]


@pytest.fixture
def only_new_objects() -> Iterator[None]:
    """What is there already is neither collected nor listed: there are millions of objects of other tests."""
    gc.freeze()
    yield
    gc.unfreeze()


def alive_bytes() -> int:
    gc.collect()
    return sum(o.numel() * o.element_size() for o in gc.get_objects() if type(o) in {Tensor, torch.nn.Parameter})


def resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


@pytest.mark.usefixtures("only_new_objects")
def test_memory_does_not_grow_with_the_length(pipeline: SoulPipeline) -> None:
    tensors, resident, num_frames = [], [], 0
    for clip in pipeline.stream(asked(audio=noise(44.0)), overlap=False):
        num_frames += len(clip.frames)
        # From clip 8 on two windows of sound are held.
        if clip.plan.index in {8, 9, 10}:
            tensors.append(alive_bytes())
            resident.append(resident_bytes())
    assert num_frames == 1100
    assert len(tensors) == 3
    assert tensors[0] > 0
    assert max(tensors[1:]) <= tensors[0]
    assert max(resident[1:]) < resident[0] + 16 * 2**20


def test_memory_does_not_grow_with_the_length_of_overlapping_clips() -> None:
    pipeline = small_pipeline(clip_latents=5)
    resident = [resident_bytes() for _ in pipeline.stream(asked(audio=noise(16.0), height=192, width=192))]
    assert len(resident) == 49
    # The frames of the later clips are 31 MiB. The allocator of a process that has run other tests may take a few anew.
    assert max(resident[12:]) < max(resident[:12]) + 16 * 2**20


def test_bad_requests_are_refused_before_anything_is_made(pipeline: SoulPipeline, tmp_path: Path) -> None:
    def refuse(message: str, image: Any = None, audio: Any = None, **sampling: Any) -> None:
        with pytest.raises(ValueError, match=message):
            pipeline.stream(asked(image, audio, **sampling))

    refuse("no such image", image=tmp_path / "absent.png")
    refuse("no such audio file", audio=tmp_path / "absent.wav")
    refuse("N > 0", audio=torch.zeros(0))
    refuse("height 100 is not divisible by 32", height=100, width=64)
    refuse("together", height=64)
    refuse("not both", height=64, width=64, area=4096)
    refuse("at least 1", steps=0)
    refuse("at least 1", steps=-3)
    refuse("has none", percentile=50.0)
    refuse("not both", percentile=50.0, threshold=1.0)


def test_sizes_follow_the_image_or_the_request(pipeline: SoulPipeline) -> None:
    wide = next(pipeline.stream(asked(picture(160, 80), noise(0.1), area=128 * 64)))
    assert wide.frames.shape == (3, 64, 128, 3)
    sized = next(pipeline.stream(asked(picture(160, 80), noise(0.1), height=96, width=32)))
    assert sized.frames.shape == (3, 96, 32, 3)
