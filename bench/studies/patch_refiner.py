"""Training the network that mends what the patch-DCT codec decodes (`model.codecs.refiner`), in minutes on a CPU.

It sees drawn faces, and the videos of the sample bucket at the size they are trained on. Half of the latents or more
get noise, for those of a generated video are never exact.

Letters: B batch, T pixel frames, S side of a piece.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import av
import cv2
import numpy as np
import numpy.typing as npt
import torch
from einops import rearrange
from torch import Tensor

from bench.studies.muon import KernelOptimizer
from bench.studies.talking_faces.dataset import FacesConfig, training_performance
from bench.studies.talking_faces.performance import perform
from model.codecs.geometry import SPATIAL_COMPRESSION, TEMPORAL_COMPRESSION
from model.codecs.image import size_for_area
from model.codecs.levels import pixels_of
from model.codecs.patch_dct import PatchDCTCodec
from model.codecs.vae import latent_statistics

WIDTH, NUM_BLOCKS = 64, 6
SIDE: Final = 96
"""Side of the pieces of pictures that are trained on, in pixels."""
BATCH: Final = 8
DRAWN_SHARE: Final = 0.6
"""Share of the pieces that show drawn faces."""
FIRST_SHARE: Final = 0.15
"""Share of the steps on frames that begin a video."""
MOST_NOISE: Final = 0.3
"""Standard deviation of the noise, of a latent's own."""
PEOPLE, FRAMES_EACH = 500, 16
SCALES: Final = (1.0, 1.3)
"""Sizes that the bucket's videos are read at, of the size they are trained on."""
SAY_EVERY: Final = 200

Frames = npt.NDArray[np.uint8]


def drawn_takes(config: FacesConfig, *, people: int = PEOPLE) -> list[Frames]:
    """A moment (T, S, S, 3) of each of the first `people` who are trained on."""
    takes = []
    for index in range(people):
        take = perform(training_performance(config, index), size=config.size)
        start = index * 7 % (len(take.frames) - FRAMES_EACH)
        takes.append(take.frames[start : start + FRAMES_EACH].copy())
    return takes


def filmed_takes(bucket: Path, *, area: int, seconds: float = 2.0) -> list[Frames]:
    """The beginnings (T, H, W, 3) of the videos of a directory, at each of `SCALES`; unreadable ones are left out."""
    takes = []
    for file in sorted(bucket.iterdir()):
        try:
            with av.open(str(file)) as container:
                whole = [
                    frame.to_ndarray(format="rgb24")
                    for frame, _ in zip(container.decode(video=0), range(round(seconds * 25)), strict=False)
                ]
        except (av.FFmpegError, IndexError):
            continue
        if len(whole) < TEMPORAL_COMPRESSION:
            continue
        for scale in SCALES:
            height, width = size_for_area(whole[0].shape[1], whole[0].shape[0], round(area * scale**2))
            if min(height, width) >= SIDE:
                resized = [cv2.resize(frame, (width, height), interpolation=cv2.INTER_AREA) for frame in whole]
                takes.append(np.asarray(np.stack(resized), np.uint8))
    return takes


def train_refiner(
    drawn: Sequence[Frames], filmed: Sequence[Frames], *, steps: int, border_steps: int, seed: int = 0
) -> PatchDCTCodec:
    """A codec whose refiner has learnt to mend `drawn` and `filmed` takes, and then to hide the borders of patches."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        codec: PatchDCTCodec = PatchDCTCodec(refiner_width=WIDTH, refiner_blocks=NUM_BLOCKS)
    mend(codec, drawn, filmed, Lesson(steps=steps, noised_share=0.5, border_weight=0.0), seed=seed)
    mend(codec, drawn, filmed, Lesson(steps=border_steps, noised_share=0.8, border_weight=1.0), seed=seed + 1)
    codec.eval()
    return codec


@dataclass(frozen=True, kw_only=True, slots=True)
class Lesson:
    """What a refiner is trained for."""

    steps: int
    noised_share: float
    """Share of the latents that get noise."""
    border_weight: float
    """Of the error of the differences across the borders of patches, beside all others."""


def mend(codec: PatchDCTCodec, drawn: Sequence[Frames], filmed: Sequence[Frames], lesson: Lesson, *, seed: int) -> None:
    """Train the refiner of a codec; prints its error as it goes."""
    steps, optimizer = lesson.steps, KernelOptimizer(codec.refiner, steps=lesson.steps)
    rng, generator = np.random.default_rng(seed), torch.Generator().manual_seed(seed)
    errors: list[tuple[float, float]] = []
    began = time.monotonic()
    for step in range(steps):
        is_first = bool(rng.random() < FIRST_SHARE)
        pixels = _pieces(drawn, filmed, rng, num_frames=1 if is_first else TEMPORAL_COMPRESSION)
        with torch.no_grad():
            patches = codec.patches(_noised(codec, _encoded(codec, pixels), generator, lesson.noised_share))
        mended = codec.mended(patches, first=is_first)
        loss = _error(mended, pixels) + _edge_error(mended, pixels)
        if lesson.border_weight:
            loss = loss + lesson.border_weight * _border_error(mended, pixels)
        optimizer.step(loss)
        errors.append((float(_error(mended.detach(), pixels)), float(_error(patches[:, :, : pixels.shape[2]], pixels))))
        if (step + 1) % SAY_EVERY == 0 or step + 1 == steps:
            after, before = (float(value) / 2 for value in np.mean(errors[-SAY_EVERY:], axis=0))
            took = time.monotonic() - began
            print(
                f"refiner: step {step + 1} of {steps}, mean error {after:.2%}, without it {before:.2%}, {took:.0f} s",
                flush=True,
            )


def _pieces(drawn: Sequence[Frames], filmed: Sequence[Frames], rng: np.random.Generator, *, num_frames: int) -> Tensor:
    """(B, 3, T, S, S) in [-1, 1]: pieces that lie anywhere, some of them mirrored."""
    pieces = []
    for _ in range(BATCH):
        takes = drawn if not filmed or rng.random() < DRAWN_SHARE else filmed
        take: Frames = takes[int(rng.integers(len(takes)))]
        frame, row, column = (
            int(rng.integers(whole - piece + 1))
            for whole, piece in zip(take.shape[:3], (num_frames, SIDE, SIDE), strict=True)
        )
        piece = take[frame : frame + num_frames, row : row + SIDE, column : column + SIDE]
        pieces.append(piece[:, :, ::-1] if rng.random() < 0.5 else piece)
    return pixels_of(rearrange(torch.from_numpy(np.stack(pieces)), "b t h w c -> b c t h w"))


def _encoded(codec: PatchDCTCodec, pixels: Tensor) -> Tensor:
    """Raw latents (B, C, 1, H, W) of the frames of one latent frame, or of one frame that begins a video."""
    is_first = pixels.shape[2] == 1
    # Before other frames comes a first one, whose latent is not asked for.
    whole = pixels if is_first else torch.cat([pixels[:, :, :1], pixels], dim=2)
    (posterior,) = codec.encode(whole, return_dict=False)
    latents: Tensor = posterior.mode()
    return latents if is_first else latents[:, :, 1:]


def _noised(codec: PatchDCTCodec, latents: Tensor, generator: torch.Generator, share: float) -> Tensor:
    batch = len(latents)
    amount = MOST_NOISE * torch.rand(batch, generator=generator) * (torch.rand(batch, generator=generator) < share)
    noise = torch.randn(latents.shape, generator=generator) * latent_statistics(codec)[1]
    return latents + amount.reshape(-1, 1, 1, 1, 1) * noise


def _error(seen: Tensor, wanted: Tensor) -> Tensor:
    return (seen - wanted).abs().mean()


def _edge_error(seen: Tensor, wanted: Tensor) -> Tensor:
    """Of the differences between neighbours, across and down: what a blurred edge gets wrong."""
    difference = seen - wanted
    return difference.diff(dim=-1).abs().mean() + difference.diff(dim=-2).abs().mean()


def _border_error(seen: Tensor, wanted: Tensor) -> Tensor:
    """The same of the differences across the borders of patches alone, of which there are one in 16."""
    difference = seen - wanted
    at = slice(SPATIAL_COMPRESSION - 1, None, SPATIAL_COMPRESSION)
    across, down = difference.diff(dim=-1)[..., at], difference.diff(dim=-2)[..., at, :]
    return across.abs().mean() + down.abs().mean()
