"""From files to a video file: a model put together, what it is given, and the mp4 written while clips arrive."""

import argparse
import os
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import torch
from diffusers.utils import logging as diffusers_logging
from PIL import Image
from torch import Tensor

from model import assemble
from model.audio import load_speech, num_video_frames
from model.codebook import Codebook
from model.directory import INDEX_FILE
from model.image import AREAS
from model.job import ProgressCallback
from model.pipeline import SoulPipeline
from model.portrait import load_image
from model.presets import PRESETS
from model.request import Sampling
from model.sampling import build_scheduler
from model.video import VideoWriter
from model.weights import locate, read_json

__all__ = ["MadeVideo", "ModelParts", "Sampling", "VideoInputs", "make_video"]

RANDOM_PRESET = "tiny"
"""The preset that runs without weights; larger ones would only make noise slowly."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelParts:
    """What a pipeline is put together from; None is the model directory's own."""

    model: str
    """Model directory, Hub id, or `tiny` with random weights."""
    vae: str | None = None
    """Directory or Hub id of another autoencoder."""
    scheduler: str | None = None
    """`unipc`, `euler` or `few-step`."""
    codebook: Path | None = None
    """Centroids to clamp to."""
    device: str | None = None
    """Where it runs; None for a GPU if there is one (under torchrun this process's)."""
    dtype: str | None = None
    """`bfloat16` or `float32`, of the networks; None for the device's."""

    @classmethod
    def from_options(cls, options: argparse.Namespace) -> Self:
        """What `options.add_model_options` asked for."""
        names = ("model", "vae", "scheduler", "codebook", "device", "dtype")
        return cls(**{name: getattr(options, name) for name in names})

    @property
    def is_random(self) -> bool:
        """Whether the weights are random."""
        return self.model in PRESETS and not Path(self.model).is_dir()

    def default_area(self) -> int:
        """Pixels of a frame when no size is asked for.

        Raises:
            ValueError: there is no such model; one line.
        """
        if self.is_random:
            return PRESETS[self.model].area
        index = read_json(locate(self.model, patterns=[INDEX_FILE]) / INDEX_FILE)
        return int(index.get("area", AREAS["720p"]))

    def load(self) -> SoulPipeline:
        """The pipeline on its device.

        Raises:
            ValueError: a part is missing or broken, or there is no such device; one line.
        """
        diffusers_logging.disable_progress_bar()
        cuda = f"cuda:{os.environ.get('LOCAL_RANK', '0')}"
        device = self.device or (cuda if torch.cuda.is_available() else "cpu")
        try:
            # Before the model, which takes a minute.
            torch.empty(0, device=device)
        except (RuntimeError, AssertionError) as error:
            raise _refused(device, error) from error
        dtype = getattr(torch, self.dtype or ("float32" if device == "cpu" else "bfloat16"))
        pipeline = self._random(dtype) if self.is_random else self._trained(dtype)
        if self.vae is not None:
            pipeline.register_modules(vae=assemble.load_vae(self.vae))
        if self.scheduler is not None:
            pipeline.register_modules(scheduler=build_scheduler(self.scheduler))
        if self.codebook is not None:
            pipeline.codebook = Codebook.load(self.codebook)
        try:
            on_device: SoulPipeline = pipeline.to(device)
        except RuntimeError as error:
            raise _refused(device, error) from error
        return on_device

    def _random(self, dtype: torch.dtype) -> SoulPipeline:
        if self.model != RANDOM_PRESET:
            raise ValueError(f"--model {self.model}: random weights of this size are of no use, give a directory")
        pipeline = assemble.build_pipeline(self.model)
        return pipeline if dtype == torch.float32 else pipeline.to(dtype)

    def _trained(self, dtype: torch.dtype) -> SoulPipeline:
        # The autoencoder stays fp32, as Wan runs it.
        return SoulPipeline.from_pretrained(self.model, dtype={"default": dtype, "vae": torch.float32})


@dataclass(frozen=True, kw_only=True, slots=True)
class VideoInputs:
    """What one video is made from, read and checked."""

    image: Image.Image
    """The portrait, RGB."""
    audio: Path
    """The file whose sound is laid under the video."""
    waveform: Tensor
    """(N,) of that sound, mono at 16 kHz."""
    prompt: str
    """What happens."""

    @classmethod
    def read(cls, image: Path, audio: Path, prompt: str) -> Self:
        """Read the files.

        Raises:
            ValueError: one of them is missing or not what it should be.
        """
        return cls(image=load_image(image), audio=audio, waveform=load_speech(audio), prompt=prompt)

    def num_frames(self, fps: int) -> int:
        """Frames of the video: as long as the sound, rounded up."""
        return num_video_frames(len(self.waveform), fps)


@dataclass(frozen=True, kw_only=True, slots=True)
class MadeVideo:
    """What has been made."""

    num_frames: int
    fps: int
    height: int
    width: int


def make_video(
    pipeline: SoulPipeline,
    inputs: VideoInputs,
    sampling: Sampling,
    out: Path | None,
    *,
    on_step: ProgressCallback = lambda _clip, _step: None,
    on_frames: Callable[[int], None] = lambda _done: None,
) -> MadeVideo:
    """Make a video and write it while its clips arrive.

    Args:
        pipeline: the model.
        inputs: portrait, sound and prompt.
        sampling: how.
        out: the mp4; None makes it without writing (the other ranks of a shared clip).
        on_step: called after every denoising step.
        on_frames: called after every clip with the number of frames there are.

    Raises:
        ValueError: something in the request is wrong; one line.
    """
    fps = pipeline.config.fps
    clips = pipeline.stream(
        inputs.image,
        inputs.waveform,
        inputs.prompt,
        negative_prompt=sampling.negative_prompt,
        num_inference_steps=sampling.num_steps(pipeline),
        guidance_scale=sampling.guidance_scale,
        height=sampling.height,
        width=sampling.width,
        area=sampling.area,
        codebook_threshold=sampling.threshold,
        codebook_percentile=sampling.percentile,
        generator=torch.Generator().manual_seed(sampling.seed),
        on_step=on_step,
    )
    writer, num_frames, size = None, 0, (0, 0)
    with ExitStack() as stack:
        for clip in clips:
            num_frames, size = clip.plan.frames.stop, clip.frames.shape[1:3]
            if out is not None:
                writer = writer or stack.enter_context(
                    VideoWriter(out, height=size[0], width=size[1], fps=fps, audio=inputs.audio)
                )
                writer.write(clip.frames)
            on_frames(num_frames)
    return MadeVideo(num_frames=num_frames, fps=fps, height=size[0], width=size[1])


def _refused(device: str, error: Exception) -> ValueError:
    return ValueError(f"--device {device}: {str(error).partition(chr(10))[0]}")
