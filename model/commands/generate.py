"""`python -m model generate`: portrait, speech and prompt to mp4, written clip by clip.

What people give is checked before torch and diffusers are imported, which takes seconds: hence the late imports.
"""

import argparse
import os
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Final

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from model.commands.generate_options import OUT
from model.generation.request import Sampling, check_codebook, check_out
from model.media.portrait import load_image
from model.media.sound import SoundTrack
from model.media.video_codec import X264, codec_problem
from model.weights.examples import read_examples
from model.weights.source import PRESETS, SHIPPED, is_shipped

if TYPE_CHECKING:
    from model.generation.pipeline import SoulPipeline

PROMPT: Final = "A person talks to the camera."
"""What happens where nothing is said of it."""

console = Console(stderr=True, markup=False, highlight=False, soft_wrap=True)


def run(options: argparse.Namespace) -> None:
    """Make a video and write it while its clips arrive.

    Raises:
        ValueError: something that was asked for is not possible; one line.
        KeyboardInterrupt: ctrl-C; its message says where the finished clips are.
    """
    try:
        _generate(options)
    except KeyboardInterrupt as error:
        part = options.out.with_suffix(".part.mp4")
        told = (f"the clips that were made are in {part}",) if part.exists() else ()
        raise KeyboardInterrupt(*told) from error


def _generate(options: argparse.Namespace) -> None:
    sampling = Sampling.from_options(options)
    if options.out == OUT:
        options.out.parent.mkdir(parents=True, exist_ok=True)
    check_out(options.out)
    check_codebook(options.codebook)
    image, audio, prompt = _asked(options)
    portrait = load_image(image)
    SoundTrack.open(audio)
    from model.codecs.audio import load_speech  # noqa: PLC0415
    from model.generation.acceleration import Acceleration  # noqa: PLC0415
    from model.generation.make_video import VideoInputs, help_denoising, make_video  # noqa: PLC0415
    from model.pretrained.model_parts import ModelParts  # noqa: PLC0415

    parts, acceleration = ModelParts.from_options(options), Acceleration.from_options(options)
    acceleration.check_processes(_num_processes())
    size = sampling.check_portrait(portrait, parts.default_area())
    inputs = VideoInputs(image=portrait, audio=audio, waveform=load_speech(audio), prompt=prompt)
    if parts.is_random:
        console.print(f"{parts.model} with random weights: shows that everything runs, not what Soul can do")
    elif is_shipped(parts.model):
        console.print(f"{SHIPPED}: a small network that animates drawn faces, not photographs")
    pipeline = parts.load()
    num_frames = inputs.num_frames(pipeline.config.fps)
    guidance = sampling.guidance(pipeline.config.guidance_scale, pipeline.config.audio_guidance_scale)
    num_steps = pipeline.num_clips(num_frames) * sampling.num_steps(pipeline.config.num_inference_steps)
    with ExitStack() as stack:
        is_main = _join_ranks(pipeline, stack)
        acceleration.apply(
            pipeline.transformer,
            [pipeline.vae],
            num_forwards=num_steps * guidance.num_forwards,
            say=console.print if is_main else lambda _line: None,
        )
        if not is_main:
            help_denoising(pipeline, inputs, sampling)
            return
        if pipeline.codebook is None and pipeline.num_clips(num_frames) > 1:
            console.print("no codebook: overlaps are not clamped")
        codec = _usable_codec(options.video_codec, size, pipeline.config.fps)
        runs = stack.enter_context(acceleration.caching(pipeline.transformer))
        progress = stack.enter_context(_progress())
        task = progress.add_task("denoising", total=num_steps)
        made = make_video(
            pipeline,
            inputs,
            sampling,
            options.out,
            codec=codec,
            overlap=options.overlap,
            on_step=lambda _clip, _step: progress.advance(task),
            on_frames=lambda done: progress.update(task, description=f"{done} of {num_frames} frames"),
        )
    seconds = made.num_frames / made.fps
    if runs is not None:
        console.print(f"cache      skipped {runs.skipped(len(pipeline.transformer.blocks)):.0%} of the blocks")
    console.print(f"{options.out}: {made.num_frames} frames, {seconds:.2f} s, {made.width}x{made.height}")


def _asked(options: argparse.Namespace) -> tuple[Path, Path, str]:
    """Portrait, speech and prompt: what was given, and the model's example for what was left out."""
    image, audio, prompt = options.image, options.audio, options.prompt
    if image is None or audio is None:
        examples = () if options.model in PRESETS else read_examples(options.model)
        if not examples:
            raise ValueError(f"--model {options.model} brings no portrait and speech: give --image and --audio")
        example = examples[0]
        if image is None:
            # The example's prompt describes its portrait, and nobody else's.
            image, prompt = example.image, prompt or example.prompt
        audio = audio or example.audio
    return image, audio, prompt or PROMPT


def _usable_codec(asked: str, size: tuple[int, int], fps: int) -> str:
    """The codec that was asked for; where this machine cannot encode with it, x264's, which is told."""
    height, width = size
    problem = codec_problem(asked, height=height, width=width, fps=fps)
    if problem is None:
        return asked
    console.print(f"--video-codec {asked}: {problem}: the video is written with {X264}")
    return X264


def _join_ranks(pipeline: "SoulPipeline", stack: ExitStack) -> bool:
    """Under torchrun, share every clip between its processes; return whether this one makes the video.

    Every process draws its noise from the same seed and gets the whole clip from the network. One of them decodes and
    writes, beside the denoising of the next clip: a clip's decoding needs that of the clip before it, so that clips
    cannot be shared out, and parts of a picture need their neighbours at every convolution.
    """
    if _num_processes() == 1:
        return True
    import torch  # noqa: PLC0415
    from torch import distributed as dist  # noqa: PLC0415

    from model.network.sequence_parallel import SequenceParallel  # noqa: PLC0415

    if pipeline.device.type == "cuda":
        # NCCL takes the current device, which is the first one until this.
        torch.cuda.set_device(pipeline.device)
        dist.init_process_group("nccl", device_id=pipeline.device)
    else:
        dist.init_process_group("gloo")
    stack.callback(dist.destroy_process_group)
    stack.enter_context(SequenceParallel(pipeline.transformer))
    return dist.get_rank() == 0


def _num_processes() -> int:
    return int(os.environ.get("WORLD_SIZE", "1"))


def _progress() -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("steps"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=console,
    )
