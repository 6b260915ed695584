"""Make the small network that comes with Soul, from nothing but what the code draws and speaks.

    python -m bench.studies.shipped_network --run RUN                # hours on two cores; goes on where it was stopped
    python -m bench.studies.shipped_network --evaluate               # only measure what is there

A teacher is trained on drawn talking faces, first on heads that swing widely, then on others that swing a little and at
lower noise levels. It is distilled to 4 steps without guidance; the latents are clustered into a
codebook; the codec learns to mend its pictures. All of it becomes a model directory (`model/pretrained/drawn_faces`),
with two portraits, speech and a card. People and speech of the evaluation are held out. Prints a table, and writes
the figures into the card and into `bench/studies/results/shipped_network.json`.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Final

from infra.command_line import run_alone
from model.weights.source import SHIPPED_DIRECTORY

RESULTS: Final = Path(__file__).parent / "results" / "shipped_network.json"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What the command takes."""
    add = parser.add_argument
    add("--run", type=Path, help="run directory: dataset and trainings go there")
    add("--evaluate", action="store_true", help="train nothing: measure what --out holds")
    add("--out", type=Path, default=SHIPPED_DIRECTORY, help="the model directory (default: %(default)s)")
    add("--results", type=Path, default=RESULTS, help="where the figures go (default: %(default)s)")
    add("--train-videos", type=int, default=800, help="videos drawn for each half of the training (default: 800)")
    add("--size", type=int, default=160, help="side of the pictures in pixels, divisible by 32 (default: %(default)s)")
    add("--wide-steps", type=int, default=4_000, help="optimizer steps of the teacher's first half (default: 4000)")
    add("--train-steps", type=int, default=4_000, help="optimizer steps of its second half (default: 4000)")
    add("--distill-steps", type=int, default=400, help="critic updates, five for each of the student's (default: 400)")
    add("--refiner-steps", type=int, default=2_500, help="optimizer steps of the codec (default: %(default)s)")
    add("--border-steps", type=int, default=1_000, help="more of them, for the borders of patches (default: 1000)")
    add("--centroids", type=int, default=1_000, help="of the codebook (default: %(default)s)")
    add("--videos", type=int, default=24, help="held-out videos (default: %(default)s)")
    add("--seconds", type=float, default=6.0, help="length of each (default: %(default)s)")
    add("--silent-videos", type=int, default=8, help="made again without sound (default: %(default)s)")
    add("--threads", type=int, default=2, help="of torch (default: %(default)s)")


def main(arguments: Sequence[str] | None = None) -> int:
    """Make the network; returns the exit status."""
    return run_alone("bench.studies.shipped_network", __doc__, add_arguments, arguments)


if __name__ == "__main__":
    sys.exit(main())  # ahead of the imports that take seconds

import torch

from bench.studies.distillation import DISTILLATION
from bench.studies.generation import StudySampling, load_pipeline
from bench.studies.lip_sync import EvaluationConfig, evaluate, print_table
from bench.studies.lip_sync_scores import Summary
from bench.studies.patch_refiner import drawn_takes, filmed_takes, train_refiner
from bench.studies.picture_scores import PictureScores, picture_scores
from bench.studies.shipped_directory import write_card, write_examples, write_model
from bench.studies.talking_faces.dataset import FacesConfig, make_dataset
from bench.studies.training_run import TrainingRun
from curation.sample.bucket import make_bucket
from model.codecs.patch_dct import PatchDCTCodec

SWING: Final = 0.5
"""How far heads swing in the second half of the training and in the evaluation, see `draw_performance`."""
FINE: Final = ("optimizer.lr=8e-4", "optimizer.warmup_steps=100", "flow_matching.shift=3")
"""Settings of the second half. A shift of 3 gives more of the steps to the levels at which details are made than the 5
of full-size clips; a small picture has little else to learn at high ones."""
BUCKET_AREA: Final = 28_672
"""Pixels of a frame that the `local` profile encodes the sample bucket at."""


def run(options: argparse.Namespace) -> None:
    """Make the network and measure it.

    Raises:
        ValueError: a mistake in what was asked for; one line.
    """
    torch.set_num_threads(options.threads)
    if options.evaluate == (options.run is not None):
        raise ValueError("give --run to make the network, or --evaluate to measure the one that is there")
    if options.evaluate and not options.results.is_file():
        raise ValueError(f"--results: {options.results} is not there, and only it says what the network was made from")
    if options.run is not None:
        make(options)
    figures = measure(options)
    trained = json.loads(options.results.read_text())["made_from"] if options.evaluate else made_from(options)
    report = {"made_from": trained, **figures}
    options.results.parent.mkdir(parents=True, exist_ok=True)
    options.results.write_text(json.dumps(report, indent=1) + "\n")
    write_card(options.out, report)
    print(f"{options.out}\n{options.results}")


def make(options: argparse.Namespace) -> None:
    """Train all parts and put them together; a part that is there already is not made again."""
    run: Path = options.run
    wide = FacesConfig(num_videos=options.train_videos, size=options.size)
    make_dataset(run / "wide", wide)
    make_dataset(run, replace(wide, swing=SWING, seed=wide.seed + 1))
    for training in trainings(options).values():
        training.train()
    codebook = run / "codebook.safetensors"
    if not codebook.is_file():
        words = ("-m", "training", "codebook", "--run", str(run), "--centroids", str(options.centroids))
        subprocess.run([sys.executable, *words], check=True)
    codec = run / "codec"
    if not codec.is_dir():
        make_bucket(run / "bucket")
        filmed = filmed_takes(run / "bucket", area=BUCKET_AREA)
        train_refiner(
            drawn_takes(wide), filmed, steps=options.refiner_steps, border_steps=options.border_steps
        ).save_pretrained(codec)
    write_model(options.out, trainings(options)["student"].model, PatchDCTCodec.from_pretrained(codec), codebook)
    write_examples(options.out)


def trainings(options: argparse.Namespace) -> dict[str, TrainingRun]:
    """By name, in their order: both halves of the teacher's training, and the student's."""
    wide = TrainingRun(run=options.run / "wide", steps=options.wide_steps)
    teacher = TrainingRun(run=options.run, start=str(wide.model), steps=options.train_steps, overrides=FINE)
    student = TrainingRun(
        run=options.run,
        stage="distill",
        start=str(teacher.model),
        steps=options.distill_steps,
        settings=DISTILLATION,
    )
    return {"wide": wide, "teacher": teacher, "student": student}


def made_from(options: argparse.Namespace) -> dict[str, Any]:
    """What the network was trained on, and for how long."""
    seconds = {
        name: sum(each * training.recipe().log_every for each in training.logged("s_per_step").values())
        for name, training in trainings(options).items()
    }
    names = (
        "train_videos",
        "size",
        "wide_steps",
        "train_steps",
        "distill_steps",
        "refiner_steps",
        "border_steps",
        "centroids",
    )
    return {name: getattr(options, name) for name in names} | {
        f"{name}_hours": round(took / 3600, 2) for name, took in seconds.items()
    }


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Lip sync, colours and pictures on people and speech that no training saw."""
    pipeline = load_pipeline(str(options.out), "cpu")
    pipeline.set_progress_bar_config(disable=True)
    config = EvaluationConfig(
        num_videos=options.videos,
        duration_s=options.seconds,
        num_long=0,
        num_silent=options.silent_videos,
        own_start=False,
        size=options.size,
        swing=SWING,
    )
    results, scenes, videos = evaluate(pipeline, config, [StudySampling()])
    pictures = picture_scores(scenes, videos)
    print_table(results)
    print_pictures(pictures)
    summary: Summary = results[1].summary
    return {"evaluation": asdict(config), "summary": asdict(summary), "pictures": asdict(pictures)}


def print_pictures(scores: PictureScores) -> None:
    """How clean the pictures are, beside the truth as it was drawn."""
    print(f"sharpness {scores.sharpness_ratio:.2f} of the truth's")
    print(f"edges of blocks {scores.block_edges:.2f}, the truth's {scores.block_edges_of_truth:.2f} (1: none)")
