"""How long it takes to decide a run again by other thresholds, against computing it, and whether both say the same.

    python -m bench.speed.decide --run RUN [--against OTHER] [--rows 100000]

Every threshold is swept over values between which its score lies, everything else as the run had it: the clips kept,
and those that would have to be computed first, at each value, and the seconds of the whole sweep. What computing takes
is what the workers of RUN took, as its index says. `--against` names runs of the same videos by other thresholds: each
is predicted from RUN's scores, and every row about which the prediction says something is compared. `--rows` repeats
RUN's index to so many rows, and times reading and deciding those.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from infra.command_line import existing_directory, run_alone


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What the command takes."""
    add = parser.add_argument
    add("--run", type=existing_directory, required=True, metavar="RUN", help="a curated run")
    add("--against", type=existing_directory, nargs="*", default=[], metavar="OTHER", help="runs by other thresholds")
    add("--values", type=int, default=9, help="values of each sweep (default: %(default)s)")
    add("--rows", type=int, default=0, help="rows to repeat the index to (default: not)")


if __name__ == "__main__":
    sys.exit(run_alone("bench.speed.decide", __doc__, add_arguments))  # ahead of the imports that take seconds

import json
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from curation.decisions.decide import Decided, columns_needed, decide_again
from curation.decisions.index import DecidedIndex, decided_index
from curation.decisions.steps import steps, thresholds
from curation.pipeline import CurationConfig, StagesConfig
from curation.shards.columns import numbers
from curation.shards.run_directory import RunDirectory
from curation.shards.versions import State

ROWS_A_SHARD = 80
"""Eight sources of ten clips, as curation packs them."""


def run(options: argparse.Namespace) -> None:
    """Print the sweeps, the comparison and the seconds."""
    index = decided_index(str(options.run))
    start = time.perf_counter()
    table = index.read(index.config)
    print(f"{options.run}: {table.num_rows:,} rows read in {time.perf_counter() - start:.2f} s")
    computing_s = _computing_seconds(index.run)
    slowest = 0.0
    for name, values in _sweeps(index.config, table, options.values).items():
        start = time.perf_counter()
        found = [(value, _counts(decide_again(table, _with(index.config, name, value)))) for value in values]
        elapsed_s = time.perf_counter() - start
        slowest = max(slowest, elapsed_s)
        told = "  ".join(f"{value:g}: {kept}{f'+{wait}' if wait else ''}" for value, (kept, wait) in found)
        print(f"  {name:<48} {elapsed_s:5.2f} s   {told}")
    print(f"slowest sweep {slowest:.2f} s; kept clips at each value, after + those that are to be computed first")
    per_value = slowest / options.values
    if computing_s:
        print(f"computing took {computing_s:.1f} s of one worker: {computing_s / per_value:,.0f} × a decision")
    for other in options.against:
        _compare(index, str(other))
    if options.rows:
        _time_rows(index, options.rows)


def _with(config: CurationConfig, name: str, value: Any) -> StagesConfig:
    _, stage, field = name.split(".")
    return replace(config.stages, **{stage: replace(getattr(config.stages, stage), **{field: value})})


def _sweeps(config: CurationConfig, table: pa.Table, count: int) -> Mapping[str, Sequence[Any]]:
    """Values of each threshold, within what its setting may be."""
    scores = {
        f"stages.{step.stage}.{limit.setting}": limit.score
        for step in reversed(steps(config.stages))
        for rule in reversed(step.rules)
        for limit in reversed(rule.limits)
        if limit.setting
    }
    found: dict[str, Sequence[Any]] = {}
    for name, own in thresholds(config.stages).items():
        if isinstance(own, bool):
            found[name] = (False, True)
            continue
        values = numbers(table, scores[name]) if name in scores else np.array([0.5 * own, 2 * own])
        ends = np.array([*values[np.isfinite(values)], own])
        spread = np.linspace(ends.min(), ends.max(), count)
        whole = isinstance(own, int)
        wanted = [round(value) if whole else round(float(value), 6) for value in spread]
        found[name] = [value for value in dict.fromkeys(wanted) if _is_allowed(config, name, value)]
    return found


def _is_allowed(config: CurationConfig, name: str, value: Any) -> bool:
    try:
        _with(config, name, value)
    except ValueError:
        return False
    return True


def _counts(decided: Decided) -> tuple[int, int]:
    return int((decided.state == State.KEPT).sum()), int((decided.state == State.TO_COMPUTE).sum())


def _computing_seconds(run_directory: str) -> float:
    """Seconds of the workers, over all stages."""
    rows = RunDirectory(run_directory).index(["source_key", "stage_seconds"]).to_pylist()
    units = {row["source_key"]: json.loads(row["stage_seconds"] or "{}") for row in rows}
    return float(sum(sum(seconds.values()) for seconds in units.values()))


def _compare(index: DecidedIndex, other: str) -> None:
    """Predict another run's decisions and compare the rows about which something is known."""
    config = decided_index(other).config
    decided = decide_again(index.read(config), config.stages)
    columns = ["key", "source_key", "kept", "reject_stage", "reject_rule", "reject_value"]
    rows = RunDirectory(other).index(columns).to_pylist()
    truth = {row["key"]: row for row in rows}
    compared = equal = 0
    for row, (key, unit) in enumerate(
        zip(decided.table["key"].to_pylist(), decided.table["source_key"].to_pylist(), strict=True)
    ):
        # A source that the other run rejects as a whole has no clips in it; nor are crops made of rejected clips.
        expected = truth.get(key) or truth.get(unit) or truth.get(key.removesuffix("-crop"))
        if decided.state[row] == State.TO_COMPUTE or expected is None:
            continue
        value = None if np.isnan(decided.value[row]) else float(decided.value[row])
        found = (decided.state[row] == State.KEPT, decided.stage[row], decided.rule[row], value)
        compared += 1
        equal += found == tuple(expected[name] for name in columns[2:])
    wait = int((decided.state == State.TO_COMPUTE).sum())
    print(f"against {other}: {equal:,} of {compared:,} decisions equal, {wait:,} rows to be computed first")


def _time_rows(index: DecidedIndex, count: int) -> None:
    """Repeat the index in shards of the usual size, then read and decide it."""
    table = RunDirectory(index.run).index()
    with tempfile.TemporaryDirectory() as folder:
        shards = Path(folder) / "shards"
        shards.mkdir()
        rows = table.take(pa.array(np.arange(count) % table.num_rows)).drop_columns(["shard"])
        for first in range(0, count, ROWS_A_SHARD):
            part = rows.slice(first, ROWS_A_SHARD)
            # Sources of their own, so that shots stay as large as they are.
            tag = f"-{first:09d}"
            for name in ("key", "source_key"):
                named = pa.array([f"{text}{tag}" for text in part[name].to_pylist()])
                part = part.set_column(part.column_names.index(name), name, named)
            pq.write_table(part, shards / f"soul-{first:09d}.parquet", write_page_checksum=True)
        start = time.perf_counter()
        read = RunDirectory(folder).index(columns_needed(index.config.stages))
        reading_s = time.perf_counter() - start
        start = time.perf_counter()
        decide_again(read, index.config.stages)
        deciding_s = time.perf_counter() - start
    print(
        f"{count:,} rows in {-(-count // ROWS_A_SHARD):,} shards: "
        f"read in {reading_s:.1f} s, decided in {deciding_s:.1f} s"
    )
