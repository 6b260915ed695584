"""Videos that a model makes of people and speech it has never seen, with what they cost.

Letters: T pixel frames, S side, N samples.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from torch import Tensor, nn

from bench.studies.talking_faces.face import Pose, draw_face
from bench.studies.talking_faces.performance import Performance, Take, perform
from bench.studies.talking_faces.prompt import captions
from model.generation.clips import GeneratedClip
from model.generation.pipeline import SoulPipeline
from model.generation.request import Sampling, VideoRequest

Frames = npt.NDArray[np.uint8]


@dataclass(frozen=True, kw_only=True, slots=True)
class StudySampling:
    """How a video is sampled."""

    steps: int | None = None
    """Denoising steps of a clip; the model directory's if not given."""
    guidance: float | None = None
    """Guidance scale, 1 for none; the model directory's if not given."""
    seed: int = 0
    """Of the noise; each video adds its number."""

    def resolved(self, pipeline: SoulPipeline) -> StudySampling:
        """This sampling with the model directory's numbers in place of those not given."""
        config = pipeline.config
        return dataclasses.replace(
            self,
            steps=config.num_inference_steps if self.steps is None else self.steps,
            guidance=config.guidance_scale if self.guidance is None else self.guidance,
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Scene:
    """A performance that is to be generated: what the model gets, and the truth."""

    index: int
    """Its number in the study."""
    performance: Performance
    """Who, what and how."""
    reference: Frames = field(repr=False)
    """(S, S, 3): the person, head at rest and mouth shut."""
    portrait: Frames = field(repr=False)
    """(S, S, 3): the picture that the model gets, the reference or another."""
    take: Take = field(repr=False)
    """The truth, drawn."""

    @property
    def prompt(self) -> str:
        """The detailed caption."""
        return captions(self.performance.identity, self.performance.motion)[0]


@dataclass(frozen=True, kw_only=True, slots=True)
class Generated:
    """A generated video and its cost."""

    clips: tuple[GeneratedClip, ...] = field(repr=False)
    frames: Frames = field(repr=False)
    """(T, S, S, 3)."""
    wall_s: float
    """Seconds from the request to the last frame."""
    num_forwards: int
    """Forwards of the network."""


def make_scene(index: int, performance: Performance, *, size: int = 96) -> Scene:
    """Draw a performance's truth and its reference picture, which is the portrait."""
    reference = next(draw_face(performance.identity, [Pose()], size=size))
    take = perform(performance, size=size)
    return Scene(index=index, performance=performance, reference=reference, portrait=reference, take=take)


def load_pipeline(model: str, device: str) -> SoulPipeline:
    """A model directory on a device, in fp32 on a CPU (whose bf16 is slower than its fp32).

    Raises:
        ValueError: it is missing or incomplete.
    """
    pipeline = SoulPipeline.from_pretrained(model, dtype=torch.float32 if device == "cpu" else torch.bfloat16)
    pipeline.to(device)
    return pipeline


def generate(
    pipeline: SoulPipeline,
    scene: Scene,
    sampling: StudySampling,
    *,
    waveform: Tensor | None = None,
    percentile: float | None = None,
) -> Generated:
    """Make a scene's video.

    Args:
        pipeline: the model.
        scene: whose picture, prompt and speech are used.
        sampling: steps, guidance and seed.
        waveform: (N,) at 16 kHz in place of the scene's speech, e.g. zeros.
        percentile: τ of the clamp; the model directory's if not given.
    """
    size = scene.portrait.shape[0]
    request = VideoRequest(
        image=Image.fromarray(scene.portrait),
        audio=scene.take.waveform if waveform is None else waveform,
        prompt=scene.prompt,
        sampling=Sampling(
            steps=sampling.steps,
            guidance_scale=sampling.guidance,
            height=size,
            width=size,
            percentile=percentile,
            seed=1000 * sampling.seed + scene.index,
        ),
    )
    start = time.perf_counter()
    with counted_forwards(pipeline.transformer) as count:
        clips = tuple(pipeline.stream(request))
    return Generated(
        clips=clips,
        frames=np.concatenate([clip.frames for clip in clips]),
        wall_s=time.perf_counter() - start,
        num_forwards=len(count),
    )


@contextmanager
def counted_forwards(module: nn.Module) -> Iterator[list[None]]:
    """A list that grows by one with each forward of a module."""
    count: list[None] = []
    handle = module.register_forward_hook(lambda *_: count.append(None))
    try:
        yield count
    finally:
        handle.remove()
