"""What the commands of `python -m model` do."""

import argparse
import os
from contextlib import ExitStack
from pathlib import Path

import torch
import torch.distributed as dist
from diffusers.utils import logging as diffusers_logging
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from model import assemble
from model.audio import load_speech, num_video_frames
from model.codebook import Codebook
from model.cost import PresetCost, preset_cost
from model.image import AREAS, load_image
from model.parallel import SequenceParallel
from model.pipeline import SoulPipeline
from model.presets import PRESETS, get_preset
from model.sampling import build_scheduler
from model.video import VideoWriter

console = Console(stderr=True)


def generate(options: argparse.Namespace) -> None:
    """Make a video and write it while its clips arrive."""
    # What a person gives is read before the model, which takes a minute to load.
    image, waveform = load_image(options.image), load_speech(options.audio)
    height, width, area = _size(options.size, options.area)
    if options.out.suffix.lower() != ".mp4":
        raise ValueError(f"--out must end in .mp4, got {options.out}")
    if not options.out.parent.is_dir():
        raise ValueError(f"--out: no such directory: {options.out.parent}")
    if options.steps is not None and options.steps < 1:
        raise ValueError(f"--steps must be at least 1, got {options.steps}")
    pipeline = _load(options)
    steps = options.steps or pipeline.config.num_inference_steps
    num_frames = num_video_frames(len(waveform), pipeline.config.fps)
    with ExitStack() as stack:
        writes = _join_ranks(pipeline, stack)
        progress = stack.enter_context(_progress(visible=writes))
        task = progress.add_task("denoising", total=pipeline.num_clips(num_frames) * steps)
        clips = pipeline.stream(
            image,
            waveform,
            options.prompt,
            negative_prompt=options.negative_prompt,
            num_inference_steps=steps,
            guidance_scale=options.guidance_scale,
            height=height,
            width=width,
            area=area,
            codebook_threshold=options.threshold,
            codebook_percentile=options.percentile,
            generator=torch.Generator().manual_seed(options.seed),
            on_step=lambda _clip, _step: progress.advance(task),
        )
        writer = None
        for clip in clips:
            if writes and writer is None:
                height, width = clip.frames.shape[1:3]
                writer = stack.enter_context(
                    VideoWriter(options.out, height=height, width=width, fps=pipeline.config.fps, audio=options.audio)
                )
            if writer is not None:
                writer.write(clip.frames)
            progress.update(task, description=f"{clip.plan.frames.stop} of {num_frames} frames")
    if writes:
        seconds = num_frames / pipeline.config.fps
        console.print(f"{options.out}: {num_frames} frames, {seconds:.2f} s, {width}x{height}")


def convert(options: argparse.Namespace) -> None:
    """Write a model directory that starts from Wan2.2."""
    if options.out.exists() and (not options.out.is_dir() or any(options.out.iterdir())):
        raise ValueError(f"{options.out}: exists and is not empty")
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
    preset = get_preset(options.preset)
    height, width, _ = _size(options.size, None)
    cost: PresetCost = preset_cost(
        preset,
        height=height,
        width=width,
        seconds=options.seconds,
        num_steps=options.steps or preset.num_inference_steps,
        guidance_scale=preset.guidance_scale if options.guidance_scale is None else options.guidance_scale,
    )
    for line in cost.lines():
        print(line)


def _join_ranks(pipeline: SoulPipeline, stack: ExitStack) -> bool:
    """Under torchrun, share every clip between its processes; return whether this one writes the video.

    Noise is drawn from the seed on each, and the network gives each the whole clip: all decode the same.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        return True
    dist.init_process_group("nccl" if pipeline.device.type == "cuda" else "gloo")
    stack.callback(dist.destroy_process_group)
    stack.enter_context(SequenceParallel(pipeline.transformer))
    return dist.get_rank() == 0


def _load(options: argparse.Namespace) -> SoulPipeline:
    cuda = f"cuda:{os.environ.get('LOCAL_RANK', '0')}"
    device = options.device or (cuda if torch.cuda.is_available() else "cpu")
    dtype = getattr(torch, options.dtype or ("float32" if device == "cpu" else "bfloat16"))
    diffusers_logging.disable_progress_bar()
    if options.model in PRESETS and not Path(options.model).is_dir():
        if options.model != "tiny":
            raise ValueError(f"--model {options.model}: random weights of this size are of no use, give a directory")
        console.print("tiny with random weights: shows that everything runs, not what Soul can do")
        pipeline = assemble.build_pipeline(options.model)
        if dtype != torch.float32:
            pipeline = pipeline.to(dtype)
    else:
        # The autoencoder stays fp32, as Wan runs it.
        dtypes = {"default": dtype, "vae": torch.float32}
        pipeline = SoulPipeline.from_pretrained(options.model, dtype=dtypes)
    if options.vae is not None:
        pipeline.register_modules(vae=assemble.load_vae(options.vae))
    if options.scheduler is not None:
        pipeline.register_modules(scheduler=build_scheduler(options.scheduler))
    if options.codebook is not None:
        pipeline.codebook = Codebook.load(options.codebook)
    try:
        on_device: SoulPipeline = pipeline.to(device)
    except (RuntimeError, AssertionError) as error:
        raise ValueError(f"--device {device}: {str(error).partition(chr(10))[0]}") from error
    return on_device


def _size(size: str | None, area: str | None) -> tuple[int | None, int | None, int | None]:
    if size is not None:
        width, separator, height = size.partition("x")
        if not (separator and height.isdigit() and width.isdigit()):
            raise ValueError(f"--size must be WIDTHxHEIGHT, e.g. 704x1280, got {size!r}")
        return int(height), int(width), None
    if area is None:
        return None, None, None
    if area in AREAS:
        return None, None, AREAS[area]
    if not area.isdigit():
        raise ValueError(f"--area must be {', '.join(AREAS)} or a number of pixels, got {area!r}")
    return None, None, int(area)


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
