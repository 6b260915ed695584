"""`python -m curation encode`: what it does and prints."""

from __future__ import annotations

import argparse
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from rich.console import Console
from rich.table import Table
from rich.text import Text

from curation.encoding.config import EncodeConfig, ModelConfig
from curation.encoding.encoded import EncodedDirectory
from curation.encoding.job import EncodeJob
from curation.encoding.networks import is_light
from curation.shards.columns import numbers, strings
from curation.shards.run_directory import RunDirectory
from curation.shards.versions import Version
from infra.config import ConfigError, load_section
from infra.jobs.console import Words, announced_ray, display
from infra.jobs.engine import run_in_pool, run_inline, run_on_ray
from infra.jobs.reach import check_reach, for_nodes
from infra.jobs.watch import Report

WORDS = Words(doing="encoding", counts="clips", kept="encoded", rejected="skipped")
COLUMNS = ("encoded", "reason", "bucket", "pool", "num_frames", "fps", "has_audio", "size", "wav_size")


def encode(options: argparse.Namespace) -> None:
    """Encode what is committed and not encoded yet.

    Raises:
        ConfigError: no curated shards, no such stage or model, or other settings than before.
    """
    console = Console(markup=False)
    if options.engine == "ray":
        check_reach({"RUN": options.run}, shared=options.shared_paths)
        options.run = for_nodes(options.run)
    config = load_section(EncodeConfig, options.profile, "encode", options.overrides)
    config.target(options.stage)
    job = EncodeJob(
        run=options.run, stage=options.stage, model=_model(options), config=config, decisions=options.decisions
    )
    curated = job.clips()
    shards = curated.names()
    if not shards:
        raise ConfigError(f"{options.run} holds no curated shards; run `make curate` first")
    for note in (*_missing(curated), *job.check()):
        console.print(note, soft_wrap=True, highlight=False)
    if job.directory.is_begun() and is_light(job.model):
        # Light encoders are loaded here, so that another model is refused before Ray starts.
        job.describe()
    units = job.pending()
    job = replace(job, num_done=len(shards) - len(units))
    clips = job.num_clips(units)
    console.print(
        f"{len(shards)} curated shards: {len(units)} to encode with {clips} clips, {len(shards) - len(units)} done",
        soft_wrap=True, highlight=False,
    )  # fmt: skip
    start = time.monotonic()
    if options.engine == "inline":
        job.describe()
        _show(console, clips, lambda report: run_inline(units, job, report))
    elif units or job.is_other_model():
        with announced_ray(console, job.name):
            run_in_pool(job, job.describe)
            _show(console, clips, lambda report: run_on_ray(units, job, report))
    else:
        _show(console, clips, lambda report: run_inline(units, job, report))
    print_summary(job.directory, console, clips / (time.monotonic() - start) if units else None)


def print_summary(directory: EncodedDirectory, console: Console, clips_per_s: float | None) -> None:
    """Print totals of all that is committed."""
    table = directory.index(COLUMNS)
    if "encoded" not in table.column_names:
        table = pa.table({name: pa.array([], pa.string()) for name in COLUMNS})
    is_encoded = pc.fill_null(table["encoded"].cast(pa.bool_()), fill_value=False)
    encoded, skipped = table.filter(is_encoded), table.filter(pc.invert(is_encoded))
    reasons = Counter(reason.partition(":")[0] for reason in strings(skipped, "reason"))
    buckets, pools = (Counter(strings(encoded, name).tolist()) for name in ("bucket", "pool"))
    num_bytes = np.nansum(numbers(encoded, "size")) + np.nansum(numbers(encoded, "wav_size"))
    hours = float(np.nansum(numbers(encoded, "num_frames") / numbers(encoded, "fps"))) / 3600
    num_heard = int(np.nansum(numbers(encoded, "has_audio")))
    grid = Table(title="Encoding", show_header=False, box=None)
    lines: list[tuple[str, str, str]] = [
        ("clips", str(encoded.num_rows), f"{num_heard} with sound"),
        *(("  skipped", str(count), reason) for reason, count in reasons.most_common()),
        *(("  bucket", str(count), bucket) for bucket, count in buckets.most_common()),
        *(("  pool", str(count), pool) for pool, count in pools.most_common()),
        ("size", f"{num_bytes / 1e9:.3g}", "GB"),
        ("hours", f"{hours:.3g}", "of clips, crops beside those that they were made from"),
    ]
    if clips_per_s is not None:
        lines.append(("speed", f"{clips_per_s:.2f}", "clips/s, starting included"))
    for name, value, note in lines:
        grid.add_row(name, Text(value, justify="right"), note)
    console.print(grid)
    console.print(f"encoded  {directory.path}", soft_wrap=True, highlight=False)


def _missing(curated: RunDirectory) -> list[str]:
    """A line for each reason why a version has not all clips that it could have."""
    if not isinstance(curated, Version):
        return []
    lines = []
    if work := curated.work():
        lines.append(f"note: {len(work):,} sources have clips that are still to be computed for {curated.name}")
    if newer := curated.newer_shards():
        lines.append(f"note: {len(newer):,} shards are newer than {curated.name}, and not in it")
    return lines


def _model(options: argparse.Namespace) -> str:
    if options.model:
        return str(options.model)
    return load_section(ModelConfig, options.profile, "model").source


def _show(console: Console, clips: int, run: Callable[[Report], None]) -> None:
    with display(console, clips, WORDS) as drawing:
        run(drawing.show)
