"""A clip on its way: denoised latents, then frames on the CPU.

Letters: T pixel frames, C latent channels, F latent frames, H and W latent sides.
"""

from collections import deque
from dataclasses import dataclass
from typing import Self

import numpy as np
import torch
from einops import rearrange
from torch import Tensor

from model.codecs.geometry import SPATIAL_COMPRESSION
from model.codecs.levels import levels_of
from model.codecs.vae import Autoencoder, StreamingDecoder
from model.generation.timeline import ClipPlan


@dataclass(frozen=True, kw_only=True, slots=True)
class DenoisedClip:
    """A clip before it is decoded."""

    plan: ClipPlan
    """Where the clip lies on the timeline."""
    latents: Tensor
    """(1, C, F, H, W) fp32, normalised: the whole clip, pivot and overlap included."""
    ready: torch.cuda.Event | None
    """On a CUDA device, passed when the latents are complete: another stream must wait for it."""

    @classmethod
    def now(cls, plan: ClipPlan, latents: Tensor) -> Self:
        """A clip whose latents are complete when the current stream has done what it has been told so far."""
        if latents.device.type != "cuda":
            return cls(plan=plan, latents=latents, ready=None)
        ready = torch.cuda.Event()  # type: ignore[no-untyped-call]
        ready.record(torch.cuda.current_stream(latents.device))
        return cls(plan=plan, latents=latents, ready=ready)


@dataclass(frozen=True, kw_only=True, slots=True)
class GeneratedClip:
    """What one clip adds to the video."""

    plan: ClipPlan
    """Where the clip lies on the timeline."""
    frames: np.ndarray
    """(T, 16H, 16W, 3) uint8 RGB: the new frames, without pivot and overlap, cut to the speech."""
    latents: Tensor
    """(1, C, F, H, W) fp32, normalised: the whole clip, pivot and overlap included."""


class ClipDecoder:
    """Turns the clips of one video, in order, into frames on the CPU.

    Args:
        vae: what decodes.
        beside: whether other work runs on the device meanwhile. On a CUDA device, decoding then has a stream of its
            own, so that it does not wait for that work.
    """

    def __init__(self, vae: Autoencoder, *, beside: bool = False) -> None:
        self._decoder = StreamingDecoder(vae)
        self._stream: torch.cuda.Stream | None = None
        if beside and vae.device.type == "cuda":
            self._stream = torch.cuda.Stream(vae.device)  # type: ignore[no-untyped-call]

    @torch.no_grad()
    def __call__(self, clip: DenoisedClip) -> GeneratedClip:
        """Decode the next clip.

        In later clips neither the pivot nor the overlap is decoded: the pivot is never shown, and the overlap has been
        shown. In the first clip the pivot is the image, which is the first frame.
        """
        plan = clip.plan
        first = 0 if plan.index == 0 else plan.num_clean
        if self._stream is not None:
            assert clip.ready is not None
            self._stream.wait_event(clip.ready)
            # Their memory may not be given to others before this stream has read them.
            clip.latents.record_stream(self._stream)
        with torch.cuda.stream(self._stream):
            frames = self._frames(clip.latents[:, :, first : first + len(plan.decoded)], len(plan.frames))
        return GeneratedClip(plan=plan, frames=frames, latents=clip.latents)

    def _frames(self, latents: Tensor, num_frames: int) -> np.ndarray:
        """The first `num_frames` frames of `latents`."""
        height, width = (SPATIAL_COMPRESSION * side for side in latents.shape[-2:])
        frames = np.empty((num_frames, height, width, 3), np.uint8)
        done, copies = 0, deque[_Copy]()
        for pixels in self._decoder.frames(latents):
            copies.append(_Copy(pixels))
            # While one piece is copied, the device decodes the next.
            if len(copies) == 2:
                done += copies.popleft().put(frames[done:])
        while copies:
            done += copies.popleft().put(frames[done:])
        return frames


class _Copy:
    """Pixels (1, 3, T, 16H, 16W) in [-1, 1] on their way to the CPU as levels (T, 16H, 16W, 3)."""

    def __init__(self, pixels: Tensor) -> None:
        levels = rearrange(levels_of(pixels[0]), "c t h w -> t h w c")
        self._arrived: torch.cuda.Event | None = None
        if levels.device.type == "cuda":
            # Only pinned memory is copied to while the device and this thread go on.
            pinned = torch.empty(levels.shape, dtype=levels.dtype, pin_memory=True)
            pinned.copy_(levels.contiguous(), non_blocking=True)
            self._arrived = torch.cuda.Event()  # type: ignore[no-untyped-call]
            self._arrived.record()
            levels = pinned
        self._levels = levels

    def put(self, frames: np.ndarray) -> int:
        """Fill the beginning of `frames`, as far as they go, and return how many were filled."""
        if self._arrived is not None:
            self._arrived.synchronize()
        num_frames = min(len(frames), len(self._levels))
        frames[:num_frames] = self._levels[:num_frames].numpy()
        return num_frames
