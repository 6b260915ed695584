"""`python -m bench fetch-weights`: get the weights that metrics lack, check them, and put them where metrics look."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

from bench.metrics.registry import METRICS, MetricsConfig, build_metrics
from bench.weights import hub, web
from bench.weights.source import HubWeights, NotFetchedError, WebWeights, Weights, size_text
from infra.command_line import CommandFailedError

COLUMNS = (
    *(TextColumn("{task.description}"), BarColumn(), DownloadColumn()),
    *(TransferSpeedColumn(), TimeRemainingColumn()),
)


def run(options: argparse.Namespace) -> None:
    """Fetch the chosen weights, one after the other, and print a line for each.

    Raises:
        ValueError: there is no such metric, or it needs no weights.
        CommandFailedError: some could not be had; their lines say why.
    """
    chosen = declared(options.only)
    if options.list:
        for metric, weights in chosen.items():
            for each in weights:
                print("\n".join(described(metric, each, options.models)))
        return
    console = Console(stderr=True, markup=False, highlight=False, soft_wrap=True)
    lines, num_lacking = [], 0
    for metric, weights in chosen.items():
        for each in weights:
            try:
                line = fetched(each, options.models, console, named=metric in options.only, mirror=options.mirror)
            except NotFetchedError as error:
                line, num_lacking = f"not fetched: {error}", num_lacking + 1
            lines.append(f"{metric:<9} {line}")
    print("\n".join(lines))
    if num_lacking:
        raise CommandFailedError(
            f"{num_lacking} of {len(lines)} weights were not fetched; the same command tries again"
        )


def declared(only: Sequence[str]) -> Mapping[str, tuple[Weights, ...]]:
    """Metric → its weights, of the metrics that have any.

    Raises:
        ValueError: one of `only` is no metric, or needs no weights.
    """
    metrics = build_metrics(list(only) or list(METRICS), MetricsConfig())
    without = [metric.name for metric in metrics if only and not metric.weights]
    if without:
        raise ValueError(f"{without[0]} needs no weights")
    return {metric.name: metric.weights for metric in metrics if metric.weights}


def fetched(weights: Weights, models: Path, console: Console, *, named: bool, mirror: str | None) -> str:
    """Fetch weights unless they are there already; returns what to tell about them.

    Raises:
        NotFetchedError: they could not be had.
    """
    if isinstance(weights, HubWeights):
        if weights.only_if_named and not named:
            return f"left out, {weights.size_text}: {weights.only_if_named}; --only gets them"
        folder = hub.fetch(weights, models, shows_progress=console.is_terminal)
        size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file() and ".cache" not in path.parts)
        return f"{folder}  {size_text(size)}, checked against the Hub"
    places = ", ".join(map(str, weights.places(models)))
    if weights.are_there(models):
        return f"{places}  there already, SHA-256 right"
    with Progress(*COLUMNS, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task(weights.name, total=weights.download.size)
        web.fetch(weights, models, lambda done, _: progress.update(task, completed=done), mirror=mirror)
    return f"{places}  {weights.size_text}, SHA-256 right"


def described(metric: str, weights: Weights, models: Path) -> Iterator[str]:
    """Lines on where weights come from, their licence and size, and where they go."""
    yield f"{metric}: {weights.name}"
    yield f"  from     {weights.origin}"
    yield f"  licence  {weights.licence}"
    yield f"  size     {weights.size_text}"
    if isinstance(weights, WebWeights):
        for place in weights.places(models):
            yield f"  to       {place}{'' if place.is_file() else '  (not there)'}"
    else:
        yield f"  to       {models / weights.folder if weights.folder else 'the cache of the Hub (HF_HOME)'}"
        if weights.only_if_named:
            yield f"  only with --only {metric}: {weights.only_if_named}"
