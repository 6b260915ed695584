"""A video made as people make it: the few-step pipeline with the efficient decoder, clip by clip into a file."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKLWan
from PIL import Image

from bench.efficiency.measure import weight_bytes
from bench.efficiency.model_placement import made_on, random_transformer
from bench.gpu_check.figure import Figure
from bench.gpu_check.measuring import now
from bench.gpu_check.setting import ClipSize, Setting
from model.codecs.audio_encoders import SAMPLE_RATE_HZ, AudioEncoder, LogMelAudioEncoder, WhisperAudioEncoder
from model.codecs.compiled_decoder import compile_decoder
from model.codecs.geometry import latent_frames, pixel_frames
from model.codecs.text import HashedTextEncoder
from model.codecs.vae import lay_out
from model.generation.pipeline import SoulPipeline
from model.generation.request import Sampling, VideoRequest
from model.generation.sampling import build_scheduler
from model.media.video import VideoWriter
from model.network.compilation import compile_blocks

NUM_STEPS = 4
NUM_CLIPS = 2
"""Clips of a video; the last one is measured."""


def measure(setting: Setting) -> Iterator[Figure]:
    """The parts' sizes; then each size of clip, as it is and compiled, and the smaller with its decoder compiled."""
    pipeline = _pipeline(setting)
    parts = {name: getattr(pipeline, name) for name in ("transformer", "vae", "audio_encoder")}
    yield Figure(
        what="weights", also={f"{name}_gb": round(weight_bytes(part) / 1e9, 2) for name, part in parts.items()}
    )
    small, large = setting.clips
    eager: dict[str, float] = {}
    yield _video(setting, pipeline, small, "eager", eager)
    compile_blocks(pipeline.transformer, backend=setting.compiler)
    yield _video(setting, pipeline, small, "compiled", eager)
    yield _overlapped(setting, pipeline, small)
    yield _video(setting, pipeline, large, "compiled", eager)
    compile_decoder(pipeline.vae, backend=setting.compiler)
    yield _video(setting, pipeline, small, "compiled, the decoder too", eager)


def _pipeline(setting: Setting) -> SoulPipeline:
    network = setting.network
    with made_on(setting.device, torch.bfloat16):
        vae = AutoencoderKLWan(**setting.efficient_vae)
        sound = _sound_encoder(network.audio_dim)
    vae = lay_out(vae, setting.device, torch.bfloat16)
    for module in (vae, sound):
        module.eval()
    text = HashedTextEncoder(text_dim=network.text_dim, max_tokens=setting.num_text_tokens).to(setting.device)
    return SoulPipeline(
        transformer=random_transformer(network, setting.placement),
        vae=vae,
        audio_encoder=sound,
        text_encoder=text,
        scheduler=build_scheduler("few-step"),
        num_inference_steps=NUM_STEPS,
        guidance_scale=1.0,
        clip_latents=latent_frames(setting.clips[0].num_frames),
        overlap_latents=min(2, latent_frames(setting.clips[0].num_frames) - 2),
    )


def _sound_encoder(audio_dim: int) -> AudioEncoder:
    whisper = 5 * 1280
    encoder: AudioEncoder = (
        WhisperAudioEncoder() if audio_dim == whisper else LogMelAudioEncoder(num_mel_bins=audio_dim)
    )
    return encoder


def _request(pipeline: SoulPipeline, clip: ClipSize) -> VideoRequest:
    """A video of `NUM_CLIPS` clips, of random sound."""
    first, config = latent_frames(clip.num_frames), pipeline.config
    later = first - 1 - config.overlap_latents
    num_frames = pixel_frames(first) + (NUM_CLIPS - 1) * 4 * later
    return VideoRequest(
        image=Image.effect_noise((clip.width, clip.height), 60).convert("RGB"),
        audio=torch.randn(num_frames * SAMPLE_RATE_HZ // config.fps) * 0.1,
        prompt="A person speaks.",
        sampling=Sampling(height=clip.height, width=clip.width),
    )


def _video(setting: Setting, pipeline: SoulPipeline, clip: ClipSize, kind: str, eager: dict[str, float]) -> Figure:
    """The last clip of a video, when everything is warm, its stages one after the other."""
    denoised = 0.0

    def on_step(_clip: int, _step: int) -> None:
        nonlocal denoised
        denoised = now(setting.device)

    times: dict[str, Any] = {}
    fps = pipeline.config.fps
    with _writer(clip, fps) as writer:
        begun = time.perf_counter()
        for made in pipeline.stream(_request(pipeline, clip), on_step=on_step, overlap=False):
            decoded = now(setting.device)
            writer.write(made.frames)
            written = time.perf_counter()
            times = {
                "denoise_s": denoised - begun,
                "decode_s": decoded - denoised,
                "write_s": written - decoded,
                "frames": len(made.frames),
            }
            if made.plan.index == 0:
                first_s = decoded - begun
            begun = written
    video_s = times["frames"] / fps
    seconds = sum(times[name] for name in ("denoise_s", "decode_s", "write_s"))
    return Figure(
        what=f"{clip.name}, a later clip of {video_s:.2f} s, {kind}",
        seconds=seconds,
        ratio=seconds / eager.setdefault(clip.name, seconds),
        reference="eager",
        also={
            **{name: round(value, 3) for name, value in times.items()},
            "until_first_clip_s": round(first_s, 3),
            "real_time_factor": round(seconds / video_s, 3),
        },
    )


def _overlapped(setting: Setting, pipeline: SoulPipeline, clip: ClipSize) -> Figure:
    """A whole video whose clips are denoised, decoded and written at the same time, beside one after the other."""
    request, fps = _request(pipeline, clip), pipeline.config.fps
    seconds = {}
    for overlap in (False, True):
        with _writer(clip, fps) as writer:
            started = now(setting.device)
            for made in pipeline.stream(request, overlap=overlap):
                writer.write(made.frames)
            seconds[overlap] = time.perf_counter() - started
    return Figure(
        what=f"{clip.name}, a video of {NUM_CLIPS} clips, stages overlapped",
        seconds=seconds[True],
        ratio=seconds[True] / seconds[False],
        reference="one after the other",
    )


@contextmanager
def _writer(clip: ClipSize, fps: int) -> Iterator[VideoWriter]:
    with (
        tempfile.TemporaryDirectory() as folder,
        VideoWriter(Path(folder) / "video.mp4", height=clip.height, width=clip.width, fps=fps) as writer,
    ):
        yield writer
