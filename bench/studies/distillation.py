"""Is the student as good as its teacher? Distil the network of the lip-sync study and compare both on unseen people.

    python -m bench.studies.lip_sync --run RUN          # trains the teacher
    python -m bench.studies.distillation --run RUN      # distils it, a quarter of an hour on one core

Three ways to make the same videos from the same noise: the teacher with 25 steps under guidance, the teacher with 4,
the student with 4 and no guidance. Writes `distillation.json` to `--out` (by default `RUN/bench`) and prints a table.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Final

from infra.command_line import run_alone


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What the command takes."""
    add = parser.add_argument
    add("--run", type=Path, required=True, help="run directory of the lip-sync study")
    add("--out", type=Path, help="where figures go (default: RUN/bench)")
    add("--train-steps", type=int, default=600, help="critic updates, five for each of the student (default: 600)")
    add("--videos", type=int, default=24, help="held-out videos (default: %(default)s)")
    add("--seconds", type=float, default=6.0, help="length of each (default: %(default)s)")
    add("--threads", type=int, default=2, help="of torch on a CPU (default: %(default)s)")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the study; returns the exit status."""
    return run_alone("bench.studies.distillation", __doc__, add_arguments, arguments)


if __name__ == "__main__":
    sys.exit(main())  # ahead of the imports that take seconds

import torch

from bench.studies.generation import StudySampling, load_pipeline
from bench.studies.lip_sync import EvaluationConfig, Result, evaluate, print_table
from bench.studies.training_run import TrainingRun, rounded

DISTILLATION: Final = (
    "batch_size=4",
    "micro_batch=4",
    "optimizer.lr=1e-4",
    "dmd.critic.lr=1e-4",
    "dmd.real_guidance_scale=2",
    "ema.decay=0.95",
    "data.workers=0",
    "validation.every=200",
    "validation.videos=2",
    "validation.loss_samples=8",
    "checkpoint.every=100",
)
"""Learning rates fifty times the published ones, for 120 updates of 5M parameters and not a thousand of 5B."""

TEACHER: Final = (StudySampling(steps=25, guidance=2.0), StudySampling(steps=4, guidance=2.0))


def run(options: argparse.Namespace) -> None:
    """Run the study.

    Raises:
        ValueError: a mistake in what was asked for; one line.
    """
    torch.set_num_threads(options.threads)
    teacher = options.run / "train" / "720p" / "model"
    if not teacher.is_dir():
        raise ValueError(f"{teacher} is not there: run bench.studies.lip_sync on {options.run} first")
    training = TrainingRun(
        run=options.run, stage="distill", start=str(teacher), steps=options.train_steps, settings=DISTILLATION
    )
    training.train()
    config = EvaluationConfig(
        num_videos=options.videos, duration_s=options.seconds, num_long=0, num_silent=0, own_start=False
    )
    results = _compare(str(teacher), str(training.model), config)
    out = (options.out or options.run / "bench") / "distillation.json"
    out.parent.mkdir(parents=True, exist_ok=True)
    report = {
        "training": training_figures(training),
        "evaluation": asdict(config),
        "results": [{"name": result.name, "summary": asdict(result.summary)} for result in results],
    }
    out.write_text(json.dumps(report, indent=1))
    print_table(results)
    print(out)


def training_figures(run: TrainingRun) -> dict[str, Any]:
    """How long the student was trained, and how far the teacher moved its clips during training."""
    return {
        "steps": run.steps,
        "student_updates": -(-run.steps // run.recipe().dmd.critic_updates),
        "validation_loss": rounded(run.logged("validation_loss")),
    }


def _compare(teacher: str, student: str, config: EvaluationConfig) -> list[Result]:
    """The results of the codec-decoded truth, of the teacher with each of `TEACHER`, and of the student."""
    by_teacher, _, _ = evaluate(load_pipeline(teacher, "cpu"), config, TEACHER)
    by_student, _, _ = evaluate(load_pipeline(student, "cpu"), config, [StudySampling(steps=None, guidance=None)])
    codec, *rows = by_teacher
    named = [replace(row, name=f"teacher, {row.name}") for row in rows]
    return [codec, *named, replace(by_student[1], name=f"student, {by_student[1].name}")]
