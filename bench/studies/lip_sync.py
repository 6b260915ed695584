"""Does the method work? Train the `tiny` model on drawn talking faces and measure what it makes of unseen ones.

    python -m bench.studies.lip_sync --run RUN --train-steps 5000     # dataset, training, evaluation
    python -m bench.studies.lip_sync --model DIR --steps 4 25         # evaluation only, for each number of steps

People, speech and noise of the evaluation are held out. Writes `lip_sync.json`, `lip_sync.png` and each video's scores
(`lip_sync_videos.json`) to `--out` (by default `RUN/bench`, or `DIR/../bench`) and prints a table.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final

from infra.command_line import run_alone


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What the command takes."""
    add = parser.add_argument
    add("--run", type=Path, help="run directory: dataset and training go there")
    add("--model", type=Path, help="model directory to evaluate, without training")
    add("--out", type=Path, help="where figures go")
    add("--train-steps", type=int, default=5_000, help="optimizer steps (default: %(default)s)")
    add("--train-videos", type=int, default=600, help="videos drawn (default: %(default)s)")
    add("--size", type=int, default=96, help="side of the pictures in pixels, divisible by 32 (default: %(default)s)")
    add("--set", action="append", default=[], dest="overrides", metavar="KEY=VALUE", help="override of the recipe")
    add("--steps", type=int, nargs="+", help="denoising steps, one evaluation for each (default: the model's)")
    add("--guidance", type=float, nargs="+", help="guidance scales, likewise (default: the model's)")
    add("--videos", type=int, default=24, help="held-out videos (default: %(default)s)")
    add("--seconds", type=float, default=6.0, help="length of each (default: %(default)s)")
    add("--long-videos", type=int, default=4, help="long ones, 0 for none (default: %(default)s)")
    add("--long-seconds", type=float, default=20.0, help="length of each (default: %(default)s)")
    add("--silent-videos", type=int, default=8, help="made again without sound (default: %(default)s)")
    add("--device", default="cpu", help="default: %(default)s")
    add("--threads", type=int, default=2, help="of torch on a CPU (default: %(default)s)")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the study; returns the exit status."""
    return run_alone("bench.studies.lip_sync", __doc__, add_arguments, arguments)


if __name__ == "__main__":
    sys.exit(main())  # ahead of the imports that take seconds

import torch

from bench.studies.generation import Generated, Scene, StudySampling, generate, load_pipeline, make_scene
from bench.studies.lip_sync_figure import draw_figure
from bench.studies.lip_sync_scores import Summary, VideoScore, codec_ceiling, score_videos, summarise
from bench.studies.talking_faces.dataset import FacesConfig, held_out_performance, make_dataset, read_truth
from bench.studies.training_run import TrainingRun, rounded
from model.codecs.vae import Autoencoder
from model.generation.pipeline import SoulPipeline

LONG_FROM: Final = 1_000
"""Held-out performances from this number on are the long ones."""


def run(options: argparse.Namespace) -> None:
    """Run the study.

    Raises:
        ValueError: a mistake in what was asked for; one line.
    """
    torch.set_num_threads(options.threads)
    if (options.run is None) == (options.model is None):
        raise ValueError("give --run to train, or --model to evaluate what has been trained")
    training: dict[str, Any] | None = None
    if options.run is not None:
        make_dataset(options.run, FacesConfig(num_videos=options.train_videos, size=options.size))
        run = TrainingRun(run=options.run, steps=options.train_steps, overrides=tuple(options.overrides))
        run.train()
        training = training_figures(run)
        model, out = run.model, options.out or options.run / "bench"
    else:
        model, out = options.model, options.out or options.model.absolute().parent / "bench"
    config = EvaluationConfig(
        num_videos=options.videos,
        duration_s=options.seconds,
        num_long=options.long_videos,
        long_duration_s=options.long_seconds,
        num_silent=options.silent_videos,
        size=options.size,
    )
    if config.num_videos < 2:
        raise ValueError("controls need another video: --videos must be at least 2")
    samplings = [
        StudySampling(steps=s, guidance=w) for s in options.steps or [None] for w in options.guidance or [None]
    ]
    pipeline = load_pipeline(str(model), options.device)
    pipeline.set_progress_bar_config(disable=True)
    results, scenes, shown = evaluate(pipeline, config, samplings)
    out.mkdir(parents=True, exist_ok=True)
    report = {
        "training": training,
        "evaluation": asdict(config),
        "results": [result.figures() for result in results],
    }
    (out / "lip_sync.json").write_text(json.dumps(report, indent=1))
    videos = {result.name: [asdict(score) for score in result.scores] for result in results}
    (out / "lip_sync_videos.json").write_text(json.dumps(videos, indent=1))
    draw_figure(out / "lip_sync.png", scenes, shown, results[1].scores)
    print_table(results)
    print(f"{out / 'lip_sync.json'}\n{out / 'lip_sync.png'}")


@dataclass(frozen=True, kw_only=True, slots=True)
class EvaluationConfig:
    """What is generated."""

    num_videos: int = 24
    duration_s: float = 6.0
    """Length of each: a few clips."""
    num_long: int = 4
    long_duration_s: float = 20.0
    num_silent: int = 8
    """How many of the videos, from the first on, are made once more without sound."""
    own_start: bool = True
    """Whether all are made once more from the speaker's own first frame in place of the portrait."""
    size: int = 96
    """Side of the pictures in pixels."""
    swing: float = 1.0
    """How far heads swing, see `draw_performance`."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Result:
    """One set of videos under one sampling."""

    name: str
    sampling: StudySampling | None
    """None for the codec-decoded truth."""
    summary: Summary
    scores: list[VideoScore]

    def figures(self) -> dict[str, Any]:
        """What goes into a results file: all but the scores of each video."""
        sampling = None if self.sampling is None else asdict(self.sampling)
        return {"name": self.name, "sampling": sampling, "summary": asdict(self.summary)}


def evaluate(
    pipeline: SoulPipeline, config: EvaluationConfig, samplings: Sequence[StudySampling]
) -> tuple[list[Result], list[Scene], list[Generated]]:
    """All results, and the scenes and videos of the first sampling for the figure."""
    codec = pipeline.vae
    scenes = _scenes(config, range(config.num_videos), config.duration_s)
    long_scenes = _scenes(config, range(LONG_FROM, LONG_FROM + config.num_long), config.long_duration_s)
    results = [_result("codec", None, scenes, codec_ceiling(scenes, codec), codec=codec)]
    shown: list[Generated] = []
    for given in samplings:
        sampling = given.resolved(pipeline)
        name = f"{sampling.steps} steps, w {sampling.guidance:g}"
        videos = [generate(pipeline, scene, sampling) for scene in scenes]
        silent = _silent(pipeline, scenes, sampling, config.num_silent)
        results.append(_result(name, sampling, scenes, videos, codec=codec, silent=silent))
        shown = shown or videos
        if config.own_start:
            videos = [generate(pipeline, _from_own_start(scene), sampling) for scene in scenes]
            results.append(_result(f"{name}, own start", sampling, scenes, videos, codec=codec))
        if len(long_scenes) > 1:
            videos = [generate(pipeline, scene, sampling) for scene in long_scenes]
            results.append(_result(f"{name}, {config.long_duration_s:g} s", sampling, long_scenes, videos, codec=codec))
    return results, scenes, shown


def training_figures(run: TrainingRun) -> dict[str, Any]:
    """What the network was trained with, and its losses during training."""
    recipe = run.recipe()
    return {
        "clips": len(read_truth(run.run)),
        "steps": run.steps,
        "batch_size": recipe.batch_size,
        "lr": recipe.optimizer.lr,
        "schedule": recipe.optimizer.schedule,
        "ema_decay": recipe.ema.decay,
        "median_s_per_step": statistics.median(run.logged("s_per_step").values()),
        "loss": rounded(run.logged("loss", every=max(run.steps // 10, 1))),
        "validation_loss": rounded(run.logged("validation_loss")),
    }


def print_table(results: Sequence[Result]) -> None:
    """One line for each result."""
    print(
        f"{'':<26} {'r (95 %)':<20} {'median':>6} {'others':>7} {'silent':>7} {'dE own':>7} {'others':>7} "
        f"{'motion':>7} {'sharp':>6} {'jumps 0-1, 1-2':>15} {'of the head':>12} {'s/video':>8} {'forwards':>8}"
    )
    for result in results:
        s = result.summary
        mean, low, high = s.r_mean
        silent = "-" if s.r_silent is None else f"{s.r_silent[0]:.3f}"
        print(
            f"{result.name:<26} {f'{mean:.3f} [{low:.3f}, {high:.3f}]':<20} {s.r_median:6.3f} {s.r_others[0]:7.3f} "
            f"{silent:>7} {s.identity[0]:7.1f} {s.identity_others[0]:7.1f} {s.motion_accuracy:7.0%} "
            f"{s.sharpness_ratio:6.2f} {f'{s.jump_first[0]:.2f}, {s.jump_second[0]:.2f}':>15} "
            f"{f'{s.head_jump_first[0]:.2f}, {s.head_jump_second[0]:.2f}':>12} {s.wall_s:8.2f} "
            f"{s.num_forwards:8.0f}"
        )


def _scenes(config: EvaluationConfig, indices: range, duration_s: float) -> list[Scene]:
    return [
        make_scene(index, held_out_performance(index, duration_s=duration_s, swing=config.swing), size=config.size)
        for index in indices
    ]


def _from_own_start(scene: Scene) -> Scene:
    return replace(scene, portrait=scene.take.frames[0])


def _result(
    name: str,
    sampling: StudySampling | None,
    scenes: Sequence[Scene],
    videos: Sequence[Generated],
    *,
    codec: Autoencoder,
    silent: Sequence[Generated | None] | None = None,
) -> Result:
    scores = score_videos(scenes, videos, silent or [None] * len(scenes), codec)
    return Result(name=name, sampling=sampling, summary=summarise(scores), scores=scores)


def _silent(
    pipeline: SoulPipeline, scenes: Sequence[Scene], sampling: StudySampling, num: int
) -> list[Generated | None]:
    """The first `num` scenes made without sound, None for the rest."""
    return [
        generate(pipeline, scene, sampling, waveform=torch.zeros_like(scene.take.waveform)) if at < num else None
        for at, scene in enumerate(scenes)
    ]
