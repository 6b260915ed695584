"""From files to a video file: what a pipeline is given, and the mp4 written while clips arrive."""

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from PIL import Image
from torch import Tensor

from model.codecs.audio import load_speech, num_video_frames
from model.generation.encoded_request import ProgressCallback
from model.generation.pipeline import SoulPipeline
from model.generation.request import Sampling, VideoRequest
from model.media.portrait import load_image
from model.media.video import VideoWriter


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
        sampling: how it is made.
        out: the mp4; None makes the video without writing it (for the other ranks of a shared clip).
        on_step: called after every denoising step.
        on_frames: called after every clip with the number of frames made so far.

    Raises:
        ValueError: something in the request is wrong; one line.
    """
    fps = pipeline.config.fps
    request = VideoRequest(image=inputs.image, audio=inputs.waveform, prompt=inputs.prompt, sampling=sampling)
    clips = pipeline.stream(request, on_step=on_step)
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
