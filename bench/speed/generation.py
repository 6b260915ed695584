"""A video whose clips are denoised, decoded and written at the same time, against one after the other, in one run.

    python -m bench.speed.generation                      # two CPU cores: the tiny network, a narrow Wan autoencoder
    python -m bench.speed.generation --model DIR --size 1280x704

It tells whether both made the same frames, and ends with what each stage took where nothing overlaps: the longest of
them is the least that overlapping clips can take.
"""

from __future__ import annotations

import argparse
import hashlib
import statistics
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from infra.command_line import run_alone


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What the command takes."""
    add = parser.add_argument
    add("--model", default="tiny", help="model directory, Hub id, or `tiny` with random weights (default: %(default)s)")
    add("--size", default="96x96", metavar="WIDTHxHEIGHT", help="default: %(default)s")
    add("--seconds", type=float, default=8.0, help="length of the video (default: %(default)s)")
    add("--steps", type=int, default=4, help="denoising steps of a clip (default: %(default)s)")
    add("--runs", type=int, default=3, help="videos made each way, in turns; the median counts (default: %(default)s)")
    add("--device", help="cuda, cpu, ... (default: cuda if there is one)")


if __name__ == "__main__":
    sys.exit(run_alone("bench.speed.generation", __doc__, add_arguments))  # ahead of the imports that take seconds

import torch
from diffusers import AutoencoderKLWan
from PIL import Image

from bench.efficiency.measure import device_name, wait_for
from model.codecs.audio_encoders import SAMPLE_RATE_HZ
from model.codecs.vae import lay_out, wan_vae_config
from model.generation.pipeline import SoulPipeline
from model.generation.request import Sampling, VideoRequest, parse_size
from model.media.video import VideoWriter
from model.pretrained.model_parts import ModelParts

NARROW = {"base_dim": 8, "decoder_base_dim": 8}
"""Widths of the Wan autoencoder that stands for the real one, of which `tiny` has none."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Stages:
    """Seconds that a video took."""

    denoise_s: float
    """Denoising, and what comes before it."""
    decode_s: float
    """Decoding."""
    write_s: float
    """Encoding into a file."""
    all_s: float
    """From the request to the file, which is less than their sum where they overlap."""


def run(options: argparse.Namespace) -> None:
    """Make the videos and print the ratio."""
    height, width, _ = parse_size(options.size, None)
    pipeline = _pipeline(ModelParts(model=options.model, device=options.device))
    request = VideoRequest(
        image=Image.effect_noise((512, 512), 60).convert("RGB"),
        audio=torch.randn(round(options.seconds * SAMPLE_RATE_HZ), generator=torch.Generator().manual_seed(0)) * 0.1,
        prompt="A person speaks.",
        sampling=Sampling(height=height, width=width, steps=options.steps, guidance_scale=1.0),
    )
    with tempfile.TemporaryDirectory() as folder:
        paths = {overlap: Path(folder) / f"{overlap}.mp4" for overlap in (False, True)}
        same = digest_of(pipeline, request, overlap=False) == digest_of(
            pipeline, request, overlap=True
        )  # warms up, too
        made: dict[bool, list[Stages]] = {False: [], True: []}
        for _ in range(options.runs):
            for overlap, path in paths.items():
                made[overlap].append(make_video(pipeline, request, path, overlap=overlap))
    print(f"{options.seconds:g} s of {width}x{height}, {options.steps} steps, {device_name(pipeline.device)}")
    alone, together = (statistics.median(stages.all_s for stages in made[overlap]) for overlap in (False, True))
    print(f"{'one after the other':<24}{alone:8.2f} s")
    print(f"{'at the same time':<24}{together:8.2f} s   {together / alone:6.2f} × one after the other")
    print(f"the frames are {'the same' if same else 'not the same'}")
    stages = made[False][-1]
    print(
        f"alone: denoising {stages.denoise_s:.2f} s, decoding {stages.decode_s:.2f} s, writing {stages.write_s:.2f} s"
    )


def make_video(pipeline: SoulPipeline, request: VideoRequest, path: Path, *, overlap: bool) -> Stages:
    """Make a video and write it; the seconds of its stages are meant where they do not overlap."""
    begun = last = time.perf_counter()
    denoise_s = decode_s = write_s = 0.0

    def on_step(_clip: int, _step: int) -> None:
        nonlocal last, denoise_s
        wait_for(pipeline.device)
        last, before = time.perf_counter(), last
        denoise_s += last - before

    height, width = request.sampling.height, request.sampling.width
    assert height is not None
    assert width is not None
    # Waiting for the device after each step would keep it from what overlaps.
    steps = {} if overlap else {"on_step": on_step}
    with VideoWriter(path, height=height, width=width, fps=pipeline.config.fps) as writer:
        for clip in pipeline.stream(request, overlap=overlap, **steps):
            decoded = time.perf_counter()
            writer.write(clip.frames)
            decode_s += decoded - last
            last = time.perf_counter()
            write_s += last - decoded
    return Stages(denoise_s=denoise_s, decode_s=decode_s, write_s=write_s, all_s=time.perf_counter() - begun)


def digest_of(pipeline: SoulPipeline, request: VideoRequest, *, overlap: bool) -> str:
    """A digest of a video's frames as the encoder gets them: what x264's threads make of them differs now and then."""
    digest = hashlib.sha256()
    for clip in pipeline.stream(request, overlap=overlap):
        digest.update(clip.frames.tobytes())
    return digest.hexdigest()


def _pipeline(parts: ModelParts) -> SoulPipeline:
    pipeline = parts.load()
    if parts.is_random:
        vae = AutoencoderKLWan(**wan_vae_config() | NARROW).eval()
        pipeline.register_modules(vae=lay_out(vae, pipeline.device, pipeline.vae.dtype))
    return pipeline
