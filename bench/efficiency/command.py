"""`python -m bench efficiency`: the paper's Tab. 1 and Tab. 3 for a model on the present device."""

from __future__ import annotations

import argparse
import dataclasses
import json
import platform
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import diffusers
import torch
from diffusers.utils import logging as diffusers_logging
from rich.console import Console

from bench.efficiency.autoencoders import PAPER_CLIP, compare_autoencoders
from bench.efficiency.inference import DENOISING_LOOPS, Timing, measure_size
from bench.efficiency.measure import device_memory_bytes, device_name
from bench.efficiency.model_placement import ModelPlacement, usable_device
from bench.efficiency.results import EfficiencyReport, MeasuringConditions, SizeResult
from bench.efficiency.subject import PAPER_SIZES, Subject, load_subject
from bench.efficiency.table import autoencoder_table, inference_table
from model.codecs.geometry import fills_latents
from model.codecs.image import check_size
from model.device import peak_bf16_flops
from model.generation.acceleration import Acceleration

if TYPE_CHECKING:
    from rich.table import Table

FULL = "full = encoding the portrait + DiT + decoding, timed one by one; text and sound encoders are left out"
NO_GPU = "no GPU: these are not the paper's conditions (one GPU, bf16, the 5B model), look at the ratios"


def run(options: argparse.Namespace) -> None:
    """Measure and print, size by size.

    Raises:
        ValueError: a mistake in the options, a broken model, or too little memory.
    """
    sizes = [_parsed(size) for size in options.size or ()]
    _check(options)
    diffusers_logging.set_verbosity_error()
    diffusers_logging.disable_progress_bar()
    placement = _placement(options)
    subject = load_subject(options.model, placement, evae=options.evae, sizes=sizes, num_frames=options.frames)
    acceleration = Acceleration.from_options(options)
    notes = _prepare(subject, acceleration)
    report = _begin(subject, options, placement, notes)
    console = _console()
    for note in report.notes:
        console.print(note)
    timing = Timing(
        extrapolate=options.measure == "forward",
        warmup=options.warmup,
        repeats=options.repeats,
        # Data sheets give the peak for bf16.
        peak_flops=report.conditions.peak_bf16_flops if placement.dtype == torch.bfloat16 else None,
    )
    measured: list[SizeResult] = []
    num_frames, sizes = report.conditions.num_frames, sizes or list(subject.sizes)
    # The first figures take minutes, or hours where the loops of the full model are run.
    console.print(f"measuring {len(sizes)} size{'s' if len(sizes) > 1 else ''}: the autoencoders, then each size")
    try:
        is_paper = subject.sizes == PAPER_SIZES and placement.device.type == "cuda"
        clip = PAPER_CLIP if is_paper else (num_frames, *sizes[0])
        report = dataclasses.replace(
            report,
            autoencoders=compare_autoencoders(subject.vaes, clip, warmup=timing.warmup, repeats=timing.repeats),
        )
        _show(console, autoencoder_table(report.autoencoders), report, options.out)
        for height, width in sizes:
            size = measure_size(subject, timing, acceleration.cache, num_frames=num_frames, height=height, width=width)
            measured.append(size)
            report = dataclasses.replace(report, sizes=tuple(measured))
            _show(console, inference_table(measured[-1], report.conditions), report, options.out)
    except torch.OutOfMemoryError as error:
        raise ValueError(f"out of memory: {str(error).partition(chr(10))[0]}") from error


def _check(options: argparse.Namespace) -> None:
    if options.cache is not None and options.measure == "forward":
        raise ValueError("--cache: what is skipped shows in a whole loop alone, choose --measure full")
    if options.repeats < 1 or options.warmup < 0:
        raise ValueError(f"--repeats {options.repeats} --warmup {options.warmup}: at least 1 and 0")
    if options.frames is not None and not fills_latents(options.frames):
        raise ValueError(f"--frames {options.frames}: the number must be 4k + 1")
    if options.out is not None and not options.out.parent.is_dir():
        raise ValueError(f"--out: no such directory: {options.out.parent}")


def _parsed(size: str) -> tuple[int, int]:
    width, _, height = size.partition("x")
    if not (width.isdigit() and height.isdigit()):
        raise ValueError(f"--size must be WIDTHxHEIGHT, e.g. 1280x704, got {size!r}")
    check_size(int(height), int(width))
    return int(height), int(width)


def _placement(options: argparse.Namespace) -> ModelPlacement:
    device = usable_device(options.device)
    default = "float32" if device.type == "cpu" and options.model != "soul-5b" else "bfloat16"
    dtype = options.dtype or default
    return ModelPlacement(
        device=device, dtype=getattr(torch, dtype), vae_dtype=getattr(torch, options.vae_dtype or dtype)
    )


def _prepare(subject: Subject, acceleration: Acceleration) -> list[str]:
    """Make the network faster as was asked for; returns what to tell of it."""
    told: list[str] = []
    forwards = sum(loop.forwards for loop in DENOISING_LOOPS)
    vaes = [measured.vae for measured in subject.vaes]
    acceleration.apply(subject.transformer, vaes, num_forwards=forwards, say=told.append)
    return [" ".join(line.split()) for line in told]


def _begin(
    subject: Subject, options: argparse.Namespace, placement: ModelPlacement, accelerations: list[str]
) -> EfficiencyReport:
    conditions = MeasuringConditions(
        command=options.command_line,
        model=options.model,
        weights=subject.weights,
        device=device_name(placement.device),
        device_memory_bytes=device_memory_bytes(placement.device),
        peak_bf16_flops=peak_bf16_flops(placement.device),
        torch=torch.__version__,
        cuda=torch.version.cuda,
        diffusers=diffusers.__version__,
        python=platform.python_version(),
        dtype=str(placement.dtype).removeprefix("torch."),
        vae_dtype=str(placement.vae_dtype).removeprefix("torch."),
        attention=options.attention,
        compile=options.compile,
        quantization=options.quantization,
        cache=options.cache,
        measure=options.measure,
        warmup=options.warmup,
        repeats=options.repeats,
        batch_size=1,
        num_frames=options.frames or subject.num_frames,
        fps=subject.fps,
    )
    described = (
        f"{conditions.device}, torch {conditions.torch}, network {conditions.dtype}, decoders {conditions.vae_dtype}, "
        f"median of {conditions.repeats}"
    )
    notes = [described, *accelerations, *([NO_GPU] if placement.device.type == "cpu" else []), *subject.notes, FULL]
    return EfficiencyReport(conditions=conditions, notes=tuple(notes), autoencoders=(), sizes=())


def _show(console: Console, table: Table, report: EfficiencyReport, out: Path | None) -> None:
    console.print(table)
    if out is not None:
        part = out.with_name(out.name + ".part")
        part.write_text(json.dumps(dataclasses.asdict(report), indent=2) + "\n")
        part.replace(out)


def _console() -> Console:
    """A console on which tables may be 200 columns wide where the output is not a terminal."""
    return Console(markup=False, width=None if sys.stdout.isatty() else 200)
