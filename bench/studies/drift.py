"""Does the codebook clamp slow the drift of long videos? The same model, people and noise, with and without it.

    python -m bench.studies.drift --model DIR --clips 20 --people 10 --percentiles none 99 95

The model directory needs a codebook (`make codebook`). Writes `drift.json`, `drift.png` (the paper's Fig. 7, small) and
each clip's statistics (`drift_clips.json`) to `--out`, and prints a table and its verdict.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from itertools import product
from pathlib import Path
from typing import Final

from infra.command_line import run_alone


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What the command takes."""
    add = parser.add_argument
    add("--model", type=Path, required=True, help="model directory with a codebook")
    add("--out", type=Path, help="where figures go (default: DIR/../bench)")
    add("--clips", type=int, default=20, help="of each video (default: %(default)s)")
    add("--people", type=int, default=10, help="held-out people (default: %(default)s)")
    add("--percentiles", nargs="+", default=["none", "99", "95"], help="of the clamp (default: none 99 95)")
    add("--steps", type=int, help="denoising steps (default: the model's)")
    add("--guidance", type=float, help="guidance scale (default: the model's)")
    add("--device", default="cpu", help="default: %(default)s")
    add("--threads", type=int, default=2, help="of torch on a CPU (default: %(default)s)")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the study; returns the exit status."""
    return run_alone("bench.studies.drift", __doc__, add_arguments, arguments)


if __name__ == "__main__":
    sys.exit(main())  # ahead of the imports that take seconds

import torch
from rich.console import Console
from rich.progress import track

from bench.studies.drift_figure import draw_figure
from bench.studies.drift_scores import DRIFTS, ClipStatistics, Comparison, clip_statistics, compare, verdict
from bench.studies.generation import Generated, Scene, StudySampling, generate, load_pipeline, make_scene
from bench.studies.talking_faces.dataset import held_out_performance
from bench.studies.talking_faces.performance import FPS
from model.codecs.geometry import pixel_frames
from model.generation.pipeline import SoulPipeline

UNTREATED: Final = "none"
DRIFT_FROM: Final = 2_000
"""This study uses the held-out performances from this number on."""


def run(options: argparse.Namespace) -> None:
    """Run the study.

    Raises:
        ValueError: a mistake in what was asked for; one line.
    """
    torch.set_num_threads(options.threads)
    percentiles = [_percentile(text) for text in options.percentiles]
    if None not in percentiles or options.clips < 2:
        raise ValueError("drift compares with no clamp over several clips: --percentiles needs none, --clips 2 or more")
    pipeline = load_pipeline(str(options.model), options.device)
    pipeline.set_progress_bar_config(disable=True)
    duration_s = frames_of_clips(pipeline, options.clips) / FPS
    scenes = [
        make_scene(index, held_out_performance(index, duration_s=duration_s))
        for index in range(DRIFT_FROM, DRIFT_FROM + options.people)
    ]
    sampling = StudySampling(steps=options.steps, guidance=options.guidance).resolved(pipeline)
    statistics, shown = measure_drift(pipeline, scenes, percentiles, sampling)
    comparisons = compare(statistics, UNTREATED)
    untreated = next(c for c in comparisons if c.treatment == UNTREATED)
    verdicts = [verdict(c, untreated) for c in comparisons if c.treatment != UNTREATED]
    out = options.out or options.model.absolute().parent / "bench"
    out.mkdir(parents=True, exist_ok=True)
    report = {
        "sampling": asdict(sampling),
        "clips": options.clips,
        "people": options.people,
        "comparisons": [asdict(comparison) for comparison in comparisons],
        "verdicts": verdicts,
    }
    (out / "drift.json").write_text(json.dumps(report, indent=1))
    clips = {name: [[asdict(clip) for clip in clips] for clips in people] for name, people in statistics.items()}
    (out / "drift_clips.json").write_text(json.dumps(clips, indent=1))
    draw_figure(out / "drift.png", statistics, shown)
    print_table(comparisons, statistics)
    print("\n".join(verdicts))
    print(f"{out / 'drift.json'}\n{out / 'drift.png'}")


def measure_drift(
    pipeline: SoulPipeline, scenes: Sequence[Scene], percentiles: Sequence[float | None], sampling: StudySampling
) -> tuple[dict[str, list[list[ClipStatistics]]], dict[str, Generated]]:
    """Statistics of each clip of each person under each percentile, and the first person's videos.

    Args:
        pipeline: a model with a codebook.
        scenes: people.
        percentiles: of the clamp; None for no clamp.
        sampling: the same for all.

    Raises:
        ValueError: the model has no codebook.
    """
    codebook = pipeline.codebook
    if codebook is None:
        raise ValueError("the model has no codebook.safetensors: there is nothing to clamp with")
    statistics: dict[str, list[list[ClipStatistics]]] = {}
    shown: dict[str, Generated] = {}
    console = Console(stderr=True, markup=False)
    work = list(product(percentiles, scenes))
    for percentile, scene in track(work, "making videos", console=console, disable=not console.is_terminal):
        name = UNTREATED if percentile is None else f"{percentile:g} %"
        # Without a codebook the pipeline does not clamp.
        pipeline.codebook = None if percentile is None else codebook
        video = generate(pipeline, scene, sampling, percentile=percentile)
        statistics.setdefault(name, []).append([clip_statistics(clip, codebook) for clip in video.clips])
        shown.setdefault(name, video)
    pipeline.codebook = codebook
    return statistics, shown


def frames_of_clips(pipeline: SoulPipeline, num_clips: int) -> int:
    """Pixel frames of the longest video of `num_clips` clips."""
    length, overlap = int(pipeline.config.clip_latents), int(pipeline.config.overlap_latents)
    return pixel_frames(length + (num_clips - 1) * (length - 1 - overlap))


def print_table(comparisons: Sequence[Comparison], statistics: dict[str, list[list[ClipStatistics]]]) -> None:
    """Drift under each treatment, and the share of unusual latents at the end."""
    print(f"{'clamp':<8} " + " ".join(f"{measure:>24}" for measure in DRIFTS) + f" {'beyond, last clip':>18}")
    for comparison in comparisons:
        drifts = [comparison.drift[measure] for measure in DRIFTS]
        cells = [f"{mean:.3f} [{low:.3f}, {high:.3f}]" for mean, low, high in drifts]
        people = statistics[comparison.treatment]
        beyond = sum(clips[-1].beyond for clips in people) / len(people)
        print(f"{comparison.treatment:<8} " + " ".join(f"{cell:>24}" for cell in cells) + f" {beyond:18.1%}")


def _percentile(text: str) -> float | None:
    if text == UNTREATED:
        return None
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 100:
        raise ValueError(f"a percentile is none or a number of 0 to 100, not {text!r}")
    return value
