"""What a run over a million sources costs before and after the work: its ledger is read from an object store.

    python -m bench.speed.ledger [--sources 1000000]

A store on loopback (`bench/speed/object_store.py`) holds a Parquet manifest of the sources and made commits of eight
sources each. To write them in minutes, their rows go straight into parts of some thousand commits by the code that
writes parts, and the real `tidy` merges these. The commits' own files have their names; a tail that is in no part and a
sample of them have their rows too, the others are names of one of these, in which a row's thumbnail is not found.

Each row of the table is a process of its own that asks s3fs: a run that is resumed at 0, 50 and 99.9 % (list the
manifest, read what is committed, subtract), and then, over all clips, the summary, the report, the opening of `browse`
and `decide`.

References: the same rows with a GET for each commit, taken of a sample of commits and multiplied, for the first; Arrow
reading the same columns of one file of all rows, for the others.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

from infra.command_line import run_alone


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What the command takes."""
    add = parser.add_argument
    add("--sources", type=int, default=1_000_000, help="videos, each of one clip (default: %(default)s)")
    add("--sampled", type=int, default=2000, help="commits that the reference reads one by one (default: %(default)s)")
    add("--folder", type=Path, help="where the store lies; a temporary folder when it is not given")


if __name__ == "__main__" and "--measure" not in sys.argv:
    sys.exit(run_alone("bench.speed.ledger", __doc__, add_arguments))  # ahead of the imports that take seconds

import json
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

import cv2
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import s3fs

from bench.speed.object_store import ROOT, counted, object_store
from curation.browse.collection import open_collection
from curation.clip.schema import Pool, Source
from curation.decisions.changes import changes
from curation.decisions.decide import columns_needed, decide_again
from curation.decisions.index import decided_index
from curation.pipeline import STAGES, CurationConfig
from curation.planning import PlanningConfig, plan_units
from curation.report import write_report
from curation.report.summary import summarise
from curation.shards.clip_table import COLUMNS
from curation.shards.done_units import DONE_COLUMNS, Done
from curation.shards.run_directory import RunDirectory
from curation.shards.settings import remember_settings
from curation.sources import list_sources
from curation.sources.header_cache import HeaderCache
from curation.sources.header_readers import HeaderFile
from curation.sources.headers import Header
from infra.config import load_section
from infra.storage.files import join, write_atomically
from infra.storage.index_parts import SHARD, Rows, part_file, together

SESSION: Final = "bench"
MANIFEST: Final = "s3://bucket/manifest.parquet"
RUN: Final = "s3://bucket/run"
PER_COMMIT: Final = 8
TAIL: Final = 50
"""Commits that are in no part yet."""
LINKS: Final = 30_000
"""Names of one file, which a file system bounds."""
SOURCES_AT_ONCE: Final = 32_768
DONE: Final = (0.0, 0.5, 0.999)
SOUND: Final = frozenset({"sync_curve", "sound_type", "sync_verdict"})
"""Scores that are no numbers; made clips have none of sound."""
BRIEFS: Final = ("one person talking; the camera is static", "two people walk; the camera pans", "a person sings")


@dataclass(frozen=True, kw_only=True, slots=True)
class Cost:
    """What one process took."""

    seconds: float
    cpu_s: float
    """Of the process: what stays the same while other work is on the machine."""
    peak_gb: float
    """Of its memory."""
    result: str
    requests: dict[str, int]


def plan() -> str:
    """What `plan` and `run` do before the work: the units that are still to be done, headers known."""
    began_s = time.perf_counter()
    sources = list_sources(MANIFEST, Pool.HUMAN)
    listing_s = time.perf_counter() - began_s
    directory = RunDirectory(RUN)
    done = Done.of(directory.index([*DONE_COLUMNS, "config_hash"]), directory.shards)
    plan = plan_units(sources, done, PlanningConfig(), cache=HeaderCache(RUN, print))
    to_do = f"{plan.num_done:,} units done, {len(plan.units):,} to do"
    return f"{plan.num_sources:,} sources, listed in {listing_s:.1f} s of these; {to_do}"


def summary() -> str:
    """The totals."""
    found = summarise(RUN)
    return f"{found.num_clips:,} clips, {found.num_kept:,} kept"


def report() -> str:
    """The page."""
    return write_report(RUN)


def browse() -> str:
    """What the clips' page reads before it answers."""
    return f"{open_collection(RUN, lambda _done, _of: None).table.num_rows:,} rows"


def decide() -> str:
    """Other thresholds, applied to all clips."""
    index = decided_index(RUN)
    decided = decide_again(index.read(index.config), index.config.stages)
    return f"{len(decided.state):,} rows, {len(changes(decided).moves):,} moves"


MEASURED: Final[dict[str, Callable[[], str]]] = {
    "plan": plan,
    "summary": summary,
    "report": report,
    "browse": browse,
    "decide": decide,
}


def run(options: argparse.Namespace) -> None:
    """Make the store, ask, and print the table."""
    with temporary(options.folder) as folder, object_store(folder) as address:
        made = MadeRun(folder / "bucket", options.sources, options.sampled)
        made.write_manifest()
        made.write_headers()
        print(f"{options.sources:,} sources in commits of {PER_COMMIT}", flush=True)
        for done in DONE:
            began_s = time.perf_counter()
            made.commit_up_to(int(done * options.sources))
            wrote = f"made in {time.perf_counter() - began_s:,.0f} s"
            counted(address)
            tell(f"plan, {100 * done:g} % done", measure("plan", address), wrote)
            if done and made.num_commits:
                one_by_one(made, options.sampled, address)
        made.commit_up_to(options.sources)
        scan_s = made.reference()
        for name in ("summary", "report", "browse", "decide"):
            cost = measure(name, address)
            tell(name, cost, f"{cost.cpu_s / scan_s:.1f} × Arrow reading one file of all rows (CPU {scan_s:.1f} s)")


@contextmanager
def temporary(folder: Path | None) -> Iterator[Path]:
    """The folder, or one that is deleted afterwards."""
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
        yield folder
        return
    with tempfile.TemporaryDirectory(prefix="soul-ledger-") as made:
        yield Path(made)


def measure(name: str, address: str) -> Cost:
    """Run one of `MEASURED` in a process of its own."""
    counted(address)
    command = [sys.executable, "-m", "bench.speed.ledger", "--measure", name]
    finished = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True)
    found = json.loads(finished.stdout.splitlines()[-1])
    return Cost(**found, requests=counted(address))


def tell(name: str, cost: Cost, note: str) -> None:
    """Print a row of the table."""
    kinds = ("LIST", "GET", "HEAD", "PUT")
    asked = ", ".join(f"{cost.requests.get(kind, 0):,} {kind}" for kind in kinds if cost.requests.get(kind))
    megabytes = cost.requests.get("bytes_out", 0) / 1e6
    told = f"{asked}, {megabytes:,.0f} MB; {cost.result}; {note}"
    print(f"{name:<20}{cost.seconds:8.1f} s (CPU {cost.cpu_s:.1f} s) {cost.peak_gb:6.2f} GB  {told}", flush=True)


def one_by_one(made: MadeRun, most: int, address: str) -> None:
    """Read some commits with a GET each, as an index without parts is read, and tell what all of them would take."""
    directory, names = RunDirectory(RUN), made.real_names
    counted(address)
    began_s, began_cpu_s = time.perf_counter(), time.process_time()
    sampled = names[:most]
    for name in sampled:
        directory.rows_of(name, ["source_key"])
    seconds, cpu_s = time.perf_counter() - began_s, time.process_time() - began_cpu_s
    share = made.num_commits / len(sampled)
    sent = counted(address)["bytes_out"] / 1e6
    told = f"{made.num_commits:,} GET, {share * sent:,.0f} MB; {len(sampled):,} commits read and multiplied"
    print(f"{'  one GET a commit':<20}{share * seconds:8.1f} s (CPU {share * cpu_s:.1f} s)  {told}", flush=True)


class MadeRun:
    """A run in the store's folder that is written without the store's help."""

    def __init__(self, bucket: Path, num_sources: int, num_real: int) -> None:
        self.bucket = bucket
        self.run = bucket / "run"
        self.num_sources = num_sources
        self.num_done = self.num_commits = 0
        self.template = self.run
        self.every = max(1, num_sources // PER_COMMIT // num_real)
        self.real_names: list[str] = []
        self.random = np.random.default_rng(0)
        self.config = load_section(CurationConfig, "local", "curation", [])
        picture = self.random.integers(0, 256, (14, 24, 3), np.uint8)
        picture = cv2.resize(picture, (192, 108), interpolation=cv2.INTER_CUBIC)
        self.thumbnail = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, 75])[1].tobytes()
        self.directory = RunDirectory(str(self.run))
        self.directory.open_session(SESSION)
        remember_settings(str(self.run), self.config.hash, self.config.deciding)

    def write_manifest(self) -> None:
        """All sources."""
        self.bucket.mkdir(parents=True, exist_ok=True)
        pq.write_table(
            pa.table({"path": [uri(number) for number in range(self.num_sources)]}), self.bucket / "manifest.parquet"
        )

    def write_headers(self) -> None:
        """The headers of all sources, as planning keeps them."""
        cache = HeaderCache(str(self.run), print)
        for number in range(self.num_sources):
            cache.add(HeaderFile(uri(number)), Header(60.0))
        cache.close()

    def commit_up_to(self, num_sources: int) -> None:
        """Write commits until so many sources are done. Parts come as they would, of some thousand commits at first."""
        shards = Path(self.directory.shards)
        while self.num_done < num_sources:
            count = min(SOURCES_AT_ONCE, num_sources - self.num_done)
            table, names = self.rows(range(self.num_done, self.num_done + count)), list[str]()
            for first in range(0, count, PER_COMMIT):
                # Names of real commits are hashes, and so in no order.
                names.append(f"soul-{(self.num_commits * 0x9E3779B97F4A7C15) % (1 << 64):016x}")
                place = shards / f"{names[-1]}.parquet"
                if (
                    self.num_commits % self.every == 0
                    or self.num_commits % LINKS == 0
                    or num_sources - self.num_done - first <= PER_COMMIT * TAIL
                ):
                    pq.write_table(table.slice(first, PER_COMMIT), place, write_page_checksum=True)
                    self.template = place if self.num_commits % LINKS == 0 else self.template
                    self.real_names.append(names[-1])
                else:
                    place.hardlink_to(self.template)
                self.num_commits += 1
            self.num_done += count
            if len(names) > TAIL or self.num_done < num_sources:
                self._write_part(table, names[: len(names) - TAIL if self.num_done == num_sources else None])
        self.directory.tidy(SESSION)

    def _write_part(self, table: pa.Table, names: list[str]) -> None:
        """The part that the real code makes of some commits."""
        shards = pa.array(np.repeat(np.array(names, object), PER_COMMIT)[: table.num_rows], pa.string())
        rows = table.slice(0, len(shards)).drop_columns(["thumbnail"]).append_column(SHARD, shards)
        name, content = part_file(Rows(frozenset(names), together([rows])), self.directory.planned_with)
        write_atomically(join(self.directory.path, name), content)

    def rows(self, numbers: range) -> pa.Table:
        """Rows such as a run has, a clip for each source."""
        table = self.measured.slice(0, len(numbers))
        sources = [Source(uri=uri(number), pool=Pool.HUMAN) for number in numbers]
        named = {
            "key": [source.clip_key(0) for source in sources],
            "source": [source.uri for source in sources],
            "source_key": [source.key for source in sources],
        }
        for name, values in named.items():
            table = table.append_column(name, pa.array(values))
        return table

    @cached_property
    def measured(self) -> pa.Table:
        """All but the names of some rows: a third kept, the others rejected by some rule."""
        count, random = min(SOURCES_AT_ONCE, self.num_sources), self.random
        kept, rule = random.random(count) < 1 / 3, random.integers(0, 20, count)
        stages = [STAGES_OF_RULES[each] for each in rule]
        values: dict[str, Any] = {
            "segment": np.zeros(count, np.int64),
            "num_segments": np.ones(count, np.int64),
            "source_duration_s": random.uniform(5, 120, count),
            "stage_seconds": [
                json.dumps(dict(zip(STAGES, row, strict=True)))
                for row in random.random((count, len(STAGES))).round(4).tolist()
            ],
            "pool": ["human"] * count,
            "config_hash": [self.config.hash] * count,
            "backends": [json.dumps(dict(self.config.decided_by.backends))] * count,
            **{name: ["unknown"] * count for name in ("field_order", "color_range", "color_matrix")},
            "start_s": np.zeros(count),
            "end_s": np.full(count, 4.5),
            "shot_start_s": np.zeros(count),
            "shot_end_s": np.full(count, 5.0),
            "parent_key": pa.nulls(count, pa.string()),
            "shot_type": random.choice(["portrait", "upper_body", "full_body"], count),
            "num_people": random.integers(0, 4, count),
            "audio_type": random.choice(["talking", "singing", "none"], count),
            "width": np.full(count, 1280),
            "height": np.full(count, 720),
            "num_frames": np.full(count, 112),
            "fps": np.full(count, 25.0),
            "caption_brief": [BRIEFS[each] for each in random.integers(0, len(BRIEFS), count)],
            "thumbnail": [self.thumbnail] * count,
            "kept": kept,
            "reject_stage": [None if is_kept else stage for is_kept, stage in zip(kept, stages, strict=True)],
            "reject_rule": [None if is_kept else f"rule_{each % 3}" for is_kept, each in zip(kept, rule, strict=True)],
            "reject_value": np.where(kept, np.nan, random.random(count)),
            "reject_threshold": np.where(kept, np.nan, 0.5),
            "audio_reason": [None if is_kept else "sync/persistent_mismatch" for is_kept in kept],
            "audio_kept": kept,
        }
        assert values.keys() <= COLUMNS.keys()
        scores = [name for name in columns_needed(self.config.stages) if name not in COLUMNS and name not in SOUND]
        unheard = {
            "speech_fraction",
            "audio_level_db",
            *(name for name in scores if name.startswith(("sync_", "sound_"))),
        }
        numbers_of = {name: random.normal(0.5, 0.2, count) for name in scores if name not in unheard}
        return pa.table(values | numbers_of)

    def reference(self) -> float:
        """Seconds of CPU in which Arrow reads the columns of a report of all rows from one file on this machine."""
        columns = [name for name in COLUMNS if name not in ("thumbnail", "shard")]
        table = self.directory.index(columns)
        path = self.bucket.parent / "all.parquet"
        pq.write_table(table, path, compression="zstd")
        del table
        began_cpu_s = time.process_time()
        pq.read_table(path, use_threads=False)
        return time.process_time() - began_cpu_s


STAGES_OF_RULES: Final = [[*STAGES][number % len(STAGES)] for number in range(20)]


def uri(number: int) -> str:
    """Of one source."""
    return f"s3://raw/batch-{number % 997:03d}/video_{number:07d}.mp4"


def measured(name: str) -> None:
    """What a process of `measure` does: one line of JSON at the end."""
    began_s, began_cpu_s = time.perf_counter(), time.process_time()
    result = MEASURED[name]()
    seconds = time.perf_counter() - began_s
    # The system's own count of a process's peak begins with that of the process that started it.
    status = Path("/proc/self/status").read_text()
    peak_gb = int(status.partition("VmHWM:")[2].split()[0]) / 1e6
    s3fs.S3FileSystem.clear_instance_cache()
    print(
        json.dumps(
            {
                "seconds": seconds,
                "cpu_s": time.process_time() - began_cpu_s,
                "peak_gb": peak_gb,
                "result": result,
            }
        )
    )


if __name__ == "__main__":
    measured(sys.argv[2])
