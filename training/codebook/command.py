"""`python -m training codebook`: encoded shards to RUN/codebook.safetensors and RUN/codebook.png."""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from infra.config import ConfigError, persons_mistakes
from infra.storage.files import join, remove, write_atomically
from infra.storage.write_errors import NotWrittenError, writing
from model.generation.codebook import Codebook
from model.weights.directory import CODEBOOK_FILE, INDEX_FILE
from model.weights.files import read_json
from training.codebook.clustering import MIN_POINTS, BuiltCodebook, Iteration, Vectors, build_codebook, num_gpus
from training.codebook.config import CodebookConfig
from training.codebook.plot import PERCENTILES, plot_codebook
from training.codebook.vectors import EncodedVectors

PLOT_FILE = "codebook.png"


def run(options: argparse.Namespace) -> None:
    """Build the codebook of a run, plot it, and write both.

    Raises:
        ConfigError: there is nothing to build the codebook from, or it does not fit the model directory.
        NotWrittenError: the codebook or the plot cannot be written.
    """
    console = Console(stderr=True, markup=False)
    config = CodebookConfig(centroids=options.centroids, iterations=options.iterations, seed=options.seed)
    vectors = EncodedVectors(options.run, options.stages, options.decisions)
    if options.model is not None:
        _check_model(options.model, vectors.channels)
    for folder in (options.run, *([str(options.model)] if options.model else [])):
        _check_writable(folder)
    _say(console, f"reading  {', '.join(vectors.stages)} of {options.run}: {len(vectors):,} shard(s)")
    built = _build(console, vectors, config)
    for line in _summary(built):
        _say(console, line)
    written = _write(built.codebook, options.run, options.model)
    for path in written:
        _say(console, f"wrote  {path}")


class Watched:
    """The vectors of a run with a bar for each pass over its shards."""

    def __init__(self, vectors: EncodedVectors, bar: Progress) -> None:
        self.vectors = vectors
        self.bar = bar

    def __iter__(self) -> Iterator[Vectors]:
        """The vectors of each shard in turn."""
        return iter(self.bar.track(self.vectors, description="reading shards"))


def _build(console: Console, vectors: EncodedVectors, config: CodebookConfig) -> BuiltCodebook:
    where = f"{num_gpus()} GPU(s)" if num_gpus() else "the CPU (faiss finds no GPU)"

    def on_sampled(num_vectors: int, num_centroids: int) -> None:
        if num_centroids < config.centroids:
            _say(
                console,
                f"{num_vectors:,} vectors are too few for {config.centroids:,} centroids "
                f"(at least {MIN_POINTS} for each): building {num_centroids:,}",
            )
        _say(console, f"K-Means  {num_vectors:,} vectors, {num_centroids:,} centroids, on {where}")

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal) as bar:
        task = bar.add_task("K-Means", total=config.iterations, start=False)
        built = build_codebook(
            Watched(vectors, bar),
            config,
            on_sampled=on_sampled,
            on_iteration=lambda done: _show(console, bar, task, done),
        )
        bar.update(task, total=len(built.iterations))
        return built


def _show(console: Console, bar: Progress, task: TaskID, done: Iteration) -> None:
    bar.start_task(task)
    line = f"mean squared distance {done.objective:.5g}"
    if done.num_empty:
        line += f", {done.num_empty:,} empty centroids moved"
    bar.update(task, completed=done.number, description=line)
    if bar.disable:
        _say(console, f"iteration {done.number}: {line} ({done.seconds:.1f} s)")


def _summary(built: BuiltCodebook) -> list[str]:
    codebook = built.codebook
    thresholds = ", ".join(f"{codebook.threshold_at(percentile):.4g} at {percentile} %" for percentile in PERCENTILES)
    lines = [
        f"codebook  {len(codebook.centroids):,} centroids of {codebook.centroids.shape[1]} channels, clustered on "
        f"{built.num_sampled:,} of {built.num_vectors:,} vectors",
        f"distances  median {codebook.threshold_at(50):.4g}; τ {thresholds}; largest {codebook.threshold_at(100):.4g}",
    ]
    if built.num_bad:
        lines.append(f"passed over {built.num_bad:,} vectors with NaN or infinity")
    if built.num_dropped:
        lines.append(f"left out {built.num_dropped:,} centroids to which no vector is nearest")
    return lines


def _write(codebook: Codebook, run: str, model: Path | None) -> list[str]:
    """Write codebook and plot atomically; returns the paths."""
    with tempfile.TemporaryDirectory(prefix="soul-") as folder:
        with writing(Path(folder) / CODEBOOK_FILE, then="make space there, or point TMPDIR elsewhere"):
            codebook.save(Path(folder) / CODEBOOK_FILE)
        data = (Path(folder) / CODEBOOK_FILE).read_bytes()
    files = {join(run, CODEBOOK_FILE): data, join(run, PLOT_FILE): plot_codebook(codebook)}
    if model is not None:
        files[str(model / CODEBOOK_FILE)] = data
    for path, content in files.items():
        try:
            write_atomically(path, content)
        except OSError as error:
            raise NotWrittenError(f"{path} could not be written: {error}") from error
    return list(files)


def _check_model(model: Path, channels: int) -> None:
    """Refuse a model directory that the codebook will not fit, before hours of clustering."""
    if not (model / INDEX_FILE).is_file():
        raise ConfigError(f"--model {model}: not a model directory, it has no {INDEX_FILE}")
    with persons_mistakes():
        in_channels = read_json(model / "transformer" / "config.json").get("in_channels")
    if in_channels != channels:
        raise ConfigError(
            f"--model {model}: the model has {in_channels} latent channels, the encoded shards {channels}"
        )


def _check_writable(folder: str) -> None:
    """Find out before hours of clustering whether a folder can be written to."""
    probe = join(folder, f"{CODEBOOK_FILE}.probe")
    try:
        write_atomically(probe, b"probe")
        remove(probe)
    except OSError as error:
        raise NotWrittenError(f"{folder} cannot be written to: {error}") from error


def _say(console: Console, line: str) -> None:
    console.print(line, highlight=False, soft_wrap=True)
