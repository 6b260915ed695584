"""What the commands of `python -m model` do.

What people give is checked before torch and diffusers are imported, which takes seconds: hence the late imports.
"""

import argparse
import os
from contextlib import ExitStack
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from model.generation.request import Sampling, check_codebook, check_new_directory, check_out, parse_size
from model.media.portrait import load_image
from model.media.sound import SoundTrack

if TYPE_CHECKING:
    from model.generation.pipeline import SoulPipeline

console = Console(stderr=True, markup=False, highlight=False, soft_wrap=True)


def generate(options: argparse.Namespace) -> None:
    """Make a video and write it while its clips arrive."""
    sampling = Sampling.from_options(options)
    check_out(options.out)
    check_codebook(options.codebook)
    portrait = load_image(options.image)
    SoundTrack.open(options.audio)
    from model.codecs.audio import load_speech  # noqa: PLC0415
    from model.generation.make_video import VideoInputs, make_video  # noqa: PLC0415
    from model.pretrained.parts import ModelParts  # noqa: PLC0415

    parts = ModelParts.from_options(options)
    sampling.check_portrait(portrait, parts.default_area())
    speech = load_speech(options.audio)
    inputs = VideoInputs(image=portrait, audio=options.audio, waveform=speech, prompt=options.prompt)
    if parts.is_random:
        console.print(f"{parts.model} with random weights: shows that everything runs, not what Soul can do")
    pipeline = parts.load()
    num_frames = inputs.num_frames(pipeline.config.fps)
    with ExitStack() as stack:
        writes = _join_ranks(pipeline, stack)
        if writes and pipeline.codebook is None and pipeline.num_clips(num_frames) > 1:
            console.print("no codebook: overlaps are not clamped")
        progress = stack.enter_context(_progress(visible=writes))
        task = progress.add_task("denoising", total=pipeline.num_clips(num_frames) * sampling.num_steps(pipeline))
        made = make_video(
            pipeline,
            inputs,
            sampling,
            options.out if writes else None,
            on_step=lambda _clip, _step: progress.advance(task),
            on_frames=lambda done: progress.update(task, description=f"{done} of {num_frames} frames"),
        )
    if writes:
        seconds = made.num_frames / made.fps
        console.print(f"{options.out}: {made.num_frames} frames, {seconds:.2f} s, {made.width}x{made.height}")


def convert(options: argparse.Namespace) -> None:
    """Write a model directory that starts from Wan2.2."""
    check_new_directory(options.out)
    check_codebook(options.codebook)
    import torch  # noqa: PLC0415

    from model.generation.codebook import Codebook  # noqa: PLC0415
    from model.pretrained import assemble  # noqa: PLC0415

    codebook = None if options.codebook is None else Codebook.load(options.codebook)
    pipeline = assemble.convert(
        assemble.Conversion(
            wan=options.wan,
            components=options.components,
            vae=options.vae,
            whisper=options.whisper,
            zero_audio_output=options.zero_audio_output,
            scheduler=options.scheduler,
            dtype=getattr(torch, options.dtype),
        )
    )
    pipeline.codebook = codebook
    pipeline.save_pretrained(options.out)
    console.print(f"{options.out}: a model directory from {options.wan}")


def info(options: argparse.Namespace) -> None:
    """Print parameters, operations and memory."""
    height, width, _ = parse_size(options.size, None)
    asked = Sampling(steps=options.steps, guidance_scale=options.guidance_scale)
    from model.cost.cost import preset_cost  # noqa: PLC0415
    from model.pretrained.presets import get_preset  # noqa: PLC0415

    preset = get_preset(options.preset)
    cost = preset_cost(
        preset,
        height=height,
        width=width,
        seconds=options.seconds,
        num_steps=preset.num_inference_steps if asked.steps is None else asked.steps,
        guidance_scale=preset.guidance_scale if asked.guidance_scale is None else asked.guidance_scale,
    )
    for line in cost.lines():
        print(line)


def _join_ranks(pipeline: "SoulPipeline", stack: ExitStack) -> bool:
    """Under torchrun, share every clip between its processes; return whether this one writes the video.

    Noise is drawn from the seed on each, and the network gives each the whole clip: all decode the same.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        return True
    from torch import distributed as dist  # noqa: PLC0415

    from model.network.sequence_parallel import SequenceParallel  # noqa: PLC0415

    dist.init_process_group("nccl" if pipeline.device.type == "cuda" else "gloo")
    stack.callback(dist.destroy_process_group)
    stack.enter_context(SequenceParallel(pipeline.transformer))
    return dist.get_rank() == 0


def _progress(*, visible: bool) -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("steps"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=console,
        disable=not visible,
    )
