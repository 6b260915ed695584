"""From files to a video file: what a pipeline is given, and the mp4 written while clips arrive."""

from collections.abc import Callable
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from math import ceil
from pathlib import Path
from typing import Self

from PIL import Image
from torch import Tensor

from model.codecs.audio import SAMPLE_RATE_HZ, load_speech, num_video_frames
from model.generation.encoded_request import ProgressCallback
from model.generation.pipeline import SoulPipeline
from model.generation.request import Sampling, VideoRequest
from model.media.portrait import load_image
from model.media.video import VideoWriter
from model.media.video_codec import X264


@dataclass(frozen=True, kw_only=True, slots=True)
class VideoInputs:
    """What one video is made from, read and checked."""

    image: Image.Image
    """The portrait, RGB."""
    audio: Path
    """The file whose sound is laid under the video, as far as the video goes."""
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

    def first(self, seconds: float | None) -> Self:
        """The same with the beginning of the sound alone; with all of it for None."""
        if seconds is None:
            return self
        return replace(self, waveform=self.waveform[: ceil(seconds * SAMPLE_RATE_HZ)])

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
    out: Path,
    *,
    codec: str = X264,
    overlap: bool = True,
    on_step: ProgressCallback = lambda _clip, _step: None,
    on_frames: Callable[[int], None] = lambda _done: None,
) -> MadeVideo:
    """Make a video and write it while its clips arrive.

    Args:
        pipeline: the model.
        inputs: portrait, sound and prompt.
        sampling: how it is made.
        out: the mp4.
        codec: one of `model.media.video_codec.CODECS`.
        overlap: whether clips are made, and on a CUDA device also decoded, while others are written.
        on_step: called after every denoising step; with `overlap`, in the thread that denoises.
        on_frames: called after every clip with the number of frames written so far.

    Raises:
        ValueError: something in the request is wrong; one line.
    """
    fps = pipeline.config.fps
    clips = pipeline.stream(_request(inputs, sampling), on_step=on_step, overlap=overlap)
    writer, num_frames, size = None, 0, (0, 0)
    # The clips stop before the file is closed: Ctrl-C leaves no thread at work.
    with ExitStack() as stack, closing(clips):
        for clip in clips:
            num_frames, size = clip.plan.frames.stop, clip.frames.shape[1:3]
            writer = writer or stack.enter_context(
                VideoWriter(out, height=size[0], width=size[1], fps=fps, audio=inputs.audio, codec=codec)
            )
            writer.write(clip.frames)
            on_frames(num_frames)
    return MadeVideo(num_frames=num_frames, fps=fps, height=size[0], width=size[1])


def help_denoising(pipeline: SoulPipeline, inputs: VideoInputs, sampling: Sampling) -> None:
    """Take part in a video that another process makes: denoise its clips with it, and neither decode nor write.

    Args:
        pipeline: whose network shares its clips with the other process (`model.network.sequence_parallel`).
        inputs: as the other process has them.
        sampling: as the other process has it.
    """
    for _ in pipeline.stream_latents(_request(inputs, sampling)):
        pass


def _request(inputs: VideoInputs, sampling: Sampling) -> VideoRequest:
    return VideoRequest(image=inputs.image, audio=inputs.waveform, prompt=inputs.prompt, sampling=sampling)
