"""A model on its device that makes one video after the other, with progress and a way to break off."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from threading import Event, Lock

from model.generation.acceleration import Acceleration
from model.generation.make_video import MadeVideo, VideoInputs, make_video
from model.generation.request import Sampling
from model.pretrained.model_parts import ModelParts
from serving.progress import Progress


class StoppedError(Exception):
    """A video was broken off because somebody asked for it."""


class Maker:
    """Makes videos.

    Args:
        parts: what the pipeline is loaded from.
        acceleration: what makes it faster.
        say: shows a line on what was chosen.

    Raises:
        ValueError: the model cannot be loaded, or not made faster so; one line.
    """

    def __init__(
        self,
        parts: ModelParts,
        acceleration: Acceleration = Acceleration(compile="none"),  # noqa: B008 (frozen)
        say: Callable[[str], None] = lambda _line: None,
    ) -> None:
        self.pipeline = parts.load()
        # What is loaded once makes many videos: `auto` would judge by the first.
        acceleration.apply(self.pipeline.transformer, [self.pipeline.vae], num_forwards=0, say=say)
        self._acceleration = acceleration

    def make(
        self,
        inputs: VideoInputs,
        sampling: Sampling,
        out: Path,
        *,
        stopping: Event,
        on_progress: Callable[[Progress], None],
    ) -> MadeVideo:
        """Make a video; while it is made, `NAME.part.mp4` grows by each clip.

        Args:
            inputs: portrait, sound and prompt.
            sampling: how it is made.
            out: the mp4.
            stopping: once it is set, the video breaks off after the denoising step that is being done.
            on_progress: called at the beginning, after every step in the thread that denoises, and after every clip
                that is written; never twice at once.

        Raises:
            StoppedError: `stopping` was set.
            ValueError: something in the request is wrong; one line.
        """
        config = self.pipeline.config
        num_clips = self.pipeline.num_clips(inputs.num_frames(config.fps))
        num_steps = num_clips * sampling.num_steps(config.num_inference_steps)
        clips = steps = 0
        turn = Lock()

        def tell(*, more_clips: int = 0, more_steps: int = 0) -> None:
            nonlocal clips, steps
            if stopping.is_set():
                raise StoppedError
            with turn:
                clips, steps = clips + more_clips, steps + more_steps
                on_progress(Progress(clips=clips, num_clips=num_clips, steps=steps, num_steps=num_steps))

        tell()
        with self._acceleration.caching(self.pipeline.transformer):
            return make_video(
                self.pipeline,
                inputs,
                sampling,
                out,
                on_step=lambda _clip, _step: tell(more_steps=1),
                on_frames=lambda _frames: tell(more_clips=1),
            )
