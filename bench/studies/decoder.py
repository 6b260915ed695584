"""Does decoder distillation work? Distil a small Wan decoder on drawn faces, and measure it on unseen ones.

    python -m bench.studies.decoder --run RUN            # a quarter of an hour on one core

An autoencoder is trained (`small_vae`), clips are encoded with it, `python -m training run --stage evae` trains a
decoder of half its width, and both decode the faces of people that neither has seen. Writes `decoder.json` and
`decoder.png` to `--out` (by default `RUN/bench`) and prints a table. Run again, it goes on from what is there.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from infra.command_line import run_alone


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What the command takes."""
    add = parser.add_argument
    add("--run", type=Path, required=True, help="run directory of the study")
    add("--out", type=Path, help="where figures go (default: RUN/bench)")
    add("--videos", type=int, default=96, help="videos that are trained on (default: %(default)s)")
    add(
        "--vae-steps",
        type=int,
        default=1_400,
        help="steps of the autoencoder; 0: random weights (default: %(default)s)",
    )
    add("--steps", type=int, default=600, help="steps of the distillation (default: %(default)s)")
    add("--held-out", type=int, default=8, help="unseen people to measure on (default: %(default)s)")
    add("--threads", type=int, default=1, help="of torch on a CPU (default: %(default)s)")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the study; returns the exit status."""
    return run_alone("bench.studies.decoder", __doc__, add_arguments, arguments)


if __name__ == "__main__":
    sys.exit(main())  # ahead of the imports that take seconds

import torch
from diffusers import AutoencoderKLWan

from bench.studies.decoder_figure import draw_figure
from bench.studies.decoder_scores import compare_decoders, decoder_sizes, forgetting, streaming_error
from bench.studies.small_vae import DECODER_BASE_DIM, Frames, train_small_vae
from bench.studies.talking_faces.dataset import (
    FacesConfig,
    held_out_performance,
    make_dataset,
    read_truth,
    training_performance,
)
from bench.studies.talking_faces.performance import FPS, perform
from bench.studies.training_run import TrainingRun, rounded
from model.codecs.geometry import latent_frames
from model.codecs.vae import efficient_vae_config, wan_vae_config
from model.pretrained.assemble import build_pipeline

CLIP_FRAMES: Final = 49
VAE_PEOPLE, VAE_FRAMES = 400, 13
"""What the autoencoder is trained on: many people, each for half a second."""

DISTILLATION: Final = (
    "batch_size=4",
    "micro_batch=4",
    "optimizer.lr=3e-3",
    "ema.decay=0.98",
    f"decoder.decoder_base_dim={DECODER_BASE_DIM // 2}",
    "data.workers=0",
    "validation.every=50",
    "validation.videos=2",
    "validation.loss_samples=8",
)
"""Overrides of the recipe for a student that is trained for minutes on a CPU."""


def run(options: argparse.Namespace) -> None:
    """Run the study.

    Raises:
        ValueError: a mistake in what was asked for; one line.
    """
    torch.set_num_threads(options.threads)
    teacher_directory = _make_teacher(options)
    run = TrainingRun(
        run=options.run, stage="evae", start=str(teacher_directory), steps=options.steps, settings=DISTILLATION
    )
    run.train()
    teacher, student = (
        AutoencoderKLWan.from_pretrained(each / "vae").eval() for each in (teacher_directory, run.model)
    )
    faces = [_held_out(number) for number in range(options.held_out)]
    held_out, lpips, shown = compare_decoders(teacher, student, faces)
    small = (dict(teacher.config), dict(student.config))
    report = {
        "training": training_figures(run, options.vae_steps),
        "held_out": {"people": len(faces), "lpips": lpips, "fidelity": held_out},
        "streaming_error": {
            "teacher": streaming_error(teacher, faces[0]),
            "student": streaming_error(student, faces[0]),
        },
        "forgetting": forgetting(teacher, faces[0]),
        "small": decoder_sizes(*small, height=faces[0].shape[1], width=faces[0].shape[2]),
        "full_size": decoder_sizes(wan_vae_config(), efficient_vae_config(), height=720, width=1280),
    }
    out = options.out or options.run / "bench"
    out.mkdir(parents=True, exist_ok=True)
    (out / "decoder.json").write_text(json.dumps(report, indent=1))
    draw_figure(out / "decoder.png", run, shown)
    _print(report)
    print(f"{out / 'decoder.json'}\n{out / 'decoder.png'}")


def training_figures(run: TrainingRun, vae_steps: int) -> dict[str, Any]:
    """What teacher and student were trained with, and how far apart they were during training."""
    recipe, every = run.recipe(), max(run.steps // 10, 1)
    return {
        "vae_people": VAE_PEOPLE,
        "vae_steps": vae_steps,
        "clips": len(read_truth(run.run)),
        "steps": run.steps,
        "batch_size": recipe.batch_size,
        "lr": recipe.optimizer.lr,
        "ema_decay": recipe.ema.decay,
        "median_s_per_step": statistics.median(run.logged("s_per_step").values()),
        **{name: rounded(run.logged(name, every=every)) for name in ("pixel_loss", "feature_loss")},
        **{name: rounded(run.logged(name)) for name in ("validation_loss", "validation_psnr", "validation_ssim")},
    }


def _make_teacher(options: argparse.Namespace) -> Path:
    """A model directory with a small autoencoder, and the clips that it encoded."""
    directory: Path = options.run / "teacher"
    faces = FacesConfig(num_videos=options.videos, clips_per_video=1, clip_frames=CLIP_FRAMES, num_references=1)
    if not (directory / "model_index.json").is_file():
        people = FacesConfig(num_videos=VAE_PEOPLE, clips_per_video=1, clip_frames=VAE_FRAMES, num_references=1)
        takes = [perform(training_performance(people, number)).frames[:VAE_FRAMES] for number in range(VAE_PEOPLE)]
        pipeline = build_pipeline("tiny", area=faces.size**2, clip_latents=latent_frames(CLIP_FRAMES))
        pipeline.register_modules(vae=train_small_vae(takes, steps=options.vae_steps))
        pipeline.save_pretrained(directory)
    vae = AutoencoderKLWan.from_pretrained(directory / "vae").eval()
    make_dataset(options.run, faces, vae=vae)
    return directory


def _held_out(number: int) -> Frames:
    """Frames (T, S, S, 3) of a person that no training has seen."""
    return perform(held_out_performance(number, duration_s=CLIP_FRAMES / FPS)).frames[:CLIP_FRAMES]


def _print(report: dict[str, Any]) -> None:
    for name, values in report["held_out"]["fidelity"].items():
        distance = "" if values["lpips"] is None else f"   LPIPS {values['lpips']:.4f}"
        print(f"{name:<26} PSNR {values['psnr']:6.2f} dB   SSIM {values['ssim']:.4f}{distance}")
    print(f"{'LPIPS':<26} {report['held_out']['lpips']}")
    for name, size in ((name, report[name]) for name in ("small", "full_size")):
        (wide, narrow), (many, few) = size["parameters"], size["macs"]
        print(f"{name:<26} parameters {wide:,} : {narrow:,} = {wide / narrow:.2f}   MACs {many / few:.2f}")
    for name, error in report["streaming_error"].items():
        print(f"{name + ', streamed':<26} at most {error:.1e} from decoding at once")
    forgotten = "  ".join(f"{warmup}: {value:.3f}" for warmup, value in report["forgetting"].items())
    print(f"{'error after warm-up':<26} {forgotten}")
