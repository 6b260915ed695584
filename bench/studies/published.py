"""Do the metrics tell published videos from their controls, and does AV-Align give the paper's figures?

    python -m bench.studies.published --samples DIR --videos InfiniteTalk=DIR Sonic=DIR … --out DIR [--original FILE]

Runs `python -m bench evaluate` on the videos with every control into `DIR/standard`, and AV-Align at native size into
`DIR/native` (both go on where they were stopped), then writes `published.json` and `published.png` beside them.
`--original` is a CSV (`method,sample,av_align`) of the scores that the original script gives the same files.
"""

from __future__ import annotations

import argparse
import csv
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from infra.command_line import run_alone


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What the command takes."""
    add = parser.add_argument
    add("--samples", type=Path, required=True, help="<id>.json, <id>.png, <id>.wav")
    add("--videos", nargs="+", required=True, metavar="NAME=DIR", help="methods and their videos")
    add("--out", type=Path, required=True, help="where rows and figures go")
    add("--original", type=Path, metavar="FILE", help="CSV of the original script's scores: method,sample,av_align")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the study; returns the exit status."""
    return run_alone("bench.studies.published", __doc__, add_arguments, arguments)


if __name__ == "__main__":
    sys.exit(main())  # ahead of the imports that take seconds

import numpy as np

from bench.__main__ import main as bench
from bench.leaderboard.board import build_boards, values_of
from bench.metrics.metric import NoValueError
from bench.metrics.registry import METRICS, MetricsConfig, build_metrics
from bench.report.contrasts import contrasts
from bench.rows import Row, RowStore, current
from bench.samples.method_directories import named_directories
from bench.samples.samples import read_samples, read_videos
from bench.stats.bootstrap import bootstrap_mean
from bench.studies.published_figure import draw_figure
from bench.studies.published_mouth import Speaker, mouth_scores, watch
from bench.studies.published_scores import (
    PAPER,
    common_means,
    common_samples,
    effect,
    meetings,
    method_means,
    order_agreement,
    threshold_means,
    wrong_scores,
)
from curation.media import MediaError

Scores = Mapping[str, Mapping[str, float]]
"""Method → sample → AV-Align."""

FREEZE_VALUES: Final = ("frozen", "longest_freeze", "mouth_speed", "mouth_agreement")
"""Values by which a frozen video should be seen."""


def run(options: argparse.Namespace) -> None:
    """Run the study.

    Raises:
        ValueError: a mistake in what was asked for; one line.
    """
    original = None if options.original is None else read_original(options.original)
    rows = _evaluate(options, "standard", "--controls", "all")
    native_rows = _evaluate(options, "native", "--metrics", "av_align", "--av-align-native")
    protocols: dict[str, Scores] = {
        name: values_of([row for row in group if row.metric == "av_align" and not row.control], "av_align")
        for name, group in (("standard", rows), ("native", native_rows))
    }
    if original is not None:
        protocols["original"] = original
    speakers = _watch_all(options)
    report: dict[str, Any] = {
        "videos": {method: sorted(scores) for method, scores in protocols["standard"].items()},
        "av_align": compare_protocols(protocols),
        "original": None if original is None else compare_with_original(protocols["native"], original),
        "threshold": threshold_means(rows),
        "real and chance": method_means(meetings(rows)),
        "wrong sound": control_effects(rows, speakers),
        "frozen": freeze_detection(rows),
        "controls": suite_contrasts(rows, list(read_samples(options.samples))),
        "per video": protocols,
    }
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "published.json").write_text(json.dumps(report, indent=1))
    draw_figure(options.out / "published.png", meetings(rows), protocols, report["wrong sound"])
    _print(report)
    print(f"{options.out / 'published.json'}\n{options.out / 'published.png'}")


def compare_protocols(protocols: Mapping[str, Scores]) -> dict[str, Any]:
    """Means of every method beside the paper's, and how well the orders of methods agree between protocols.

    Args:
        protocols: `standard`, `native` and, where there is one, `original`.
    """
    methods = [method for method in protocols["standard"] if all(method in scores for scores in protocols.values())]
    means = {
        method: {
            "paper": PAPER.get(method),
            **{name: asdict(bootstrap_mean(list(scores[method].values()))) for name, scores in protocols.items()},
        }
        for method in methods
    }
    orders = {f"{name} against paper": order_agreement(scores, PAPER) for name, scores in protocols.items()}
    orders["standard against native"] = order_agreement(protocols["standard"], common_means(protocols["native"]))
    return {
        "means": means,
        "orders": {name: None if found is None else asdict(found) for name, found in orders.items()},
        "samples of every method": common_samples(protocols["standard"]),
    }


def compare_with_original(native: Scores, original: Scores) -> dict[str, Any]:
    """How far our scores at native size are from those of the original script, video by video."""
    pairs = [
        (f"{method}/{sample}", native[method][sample], value)
        for method, values in sorted(original.items())
        for sample, value in sorted(values.items())
        if sample in native.get(method, {})
    ]
    if not pairs:
        raise ValueError("--original has no score of these videos")
    differences = np.array([ours - theirs for _, ours, theirs in pairs])
    return {
        "num_videos": len(pairs),
        "num_equal": int((np.abs(differences) < 1e-9).sum()),
        "mean_difference": float(differences.mean()),
        "largest_difference": float(np.abs(differences).max()),
        "different": {
            name: {"ours": ours, "original": theirs} for name, ours, theirs in pairs if abs(ours - theirs) >= 1e-9
        },
    }


def read_original(path: Path) -> dict[str, dict[str, float]]:
    """Scores of a CSV `method,sample,av_align`.

    Raises:
        ValueError: there is no such file, or it has other columns.
    """
    scores: dict[str, dict[str, float]] = {}
    try:
        with path.open(newline="") as file:
            for line in csv.DictReader(file):
                scores.setdefault(line["method"], {})[line["sample"]] = float(line["av_align"])
    except (OSError, KeyError, ValueError) as error:
        raise ValueError(f"{path} is not a CSV of method,sample,av_align ({error})") from error
    return scores


def control_effects(rows: Sequence[Row], speakers: Sequence[Speaker]) -> dict[str, Any]:
    """Scores with the real sound against every other sample's, many shifts and, for AV-Align, random peaks."""
    every = meetings(rows)
    found = {"av_align": _effects(wrong_scores(every), [one.sample for one in every])}
    samples = [one.sample for one in speakers]
    found["mouth_agreement, shipped map"] = _effects(mouth_scores(speakers, left_out=False), samples)
    if len(set(samples)) > 1:
        found["mouth_agreement, speech left out of the fit"] = _effects(mouth_scores(speakers, left_out=True), samples)
    return found


def suite_contrasts(rows: Sequence[Row], samples: Sequence[str]) -> dict[str, Any]:
    """The controls table of the report: value → control → figures, tested by sample."""
    metrics = build_metrics(list(METRICS), MetricsConfig())
    boards = build_boards(
        rows, samples, {m.name: m.values for m in metrics}, {m.name: m.protocol for m in metrics if not m.available()}
    )
    return {
        column.value.name: {one.control: asdict(one) for one in contrasts(rows, column)}
        for column in boards.main
        if contrasts(rows, column)
    }


def freeze_detection(rows: Sequence[Row]) -> dict[str, dict[str, list[float]]]:
    """Range over videos of each of `FREEZE_VALUES`, for `real` and `frozen` videos: `[least, greatest]`."""
    found: dict[str, dict[str, list[float]]] = {}
    for name in FREEZE_VALUES:
        for control, title in (("", "real"), ("frozen", "frozen")):
            values = [row.values[name] for row in rows if row.control == control and name in row.values]
            if values:
                found.setdefault(name, {})[title] = [min(values), max(values)]
    return found


def _effects(scores: Mapping[str, Sequence[float]], samples: Sequence[str]) -> dict[str, Any]:
    real = scores["real"]
    return {control: asdict(effect(real, wrong, samples)) for control, wrong in scores.items() if control != "real"}


def _evaluate(options: argparse.Namespace, name: str, *extra: str) -> list[Row]:
    out = options.out / name
    status = bench(
        ["evaluate", "--samples", str(options.samples), "--videos", *options.videos, "--out", str(out), *extra]
    )
    if status:
        raise ValueError(f"the evaluation into {out} ended with status {status}")
    return current(RowStore(out).read())


def _watch_all(options: argparse.Namespace) -> list[Speaker]:
    samples, speakers = read_samples(options.samples), []
    for method, directory in named_directories(options.videos).items():
        for id_, path in read_videos(directory, samples).items():
            try:
                if path is not None:
                    speakers.append(watch(method, samples[id_], path))
            except (NoValueError, MediaError) as error:
                print(f"{method}/{id_} has no mouth to compare: {error}", file=sys.stderr)
    return speakers


def _print(report: Mapping[str, Any]) -> None:
    for method, means in report["av_align"]["means"].items():
        cells = [f"{name} {value if name == 'paper' else round(value['value'], 3)}" for name, value in means.items()]
        print(f"{method:<14} " + "  ".join(cells))
    for name, found in report["av_align"]["orders"].items():
        print(f"order, {name}: " + ("unknown" if found is None else f"rho {found['value']:.2f}"))
    for value, controls in report["wrong sound"].items():
        for control, one in controls.items():
            print(
                f"{value}: {control}: {one['real']:.3f} → {one['wrong']:.3f}, lower in {one['lower']} of "
                f"{one['num_videos']}, p {one['p_by_video']:.2g} by video, {one['p_by_sample']:.2g} by sample"
            )
