"""Runs over the tiny Soul-Bench: what is computed, what is not again, and that workers and kills change nothing."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import pytest
from rich.console import Console

from bench.evaluation.job import Evaluation, EvaluationJob
from bench.leaderboard.text import leaderboard
from bench.metrics.registry import METRICS, MetricsConfig, build_metrics
from bench.report.page import ReportInput, write_report
from bench.rows import Row, RowStore, comparable
from bench.samples.samples import Sample, read_samples, read_videos
from infra.jobs.engine import run_inline, run_on_ray
from infra.jobs.ledger import Progress
from infra.jobs.workers import Workers
from tests.paths import ROOT
from tests.worlds.bench_samples import BROKEN, EMPTY, FACELESS, MISSING, OTHER, SILENT, TALKING


def nothing(_: Progress) -> None:
    """Ignores progress."""


def table(out: Path) -> list[Row]:
    return sorted((comparable(row) for row in RowStore(out).read()), key=lambda row: row.key)


def rendered(out: Path, samples: dict[str, Sample], rows: Iterable[Row] | None = None) -> str:
    """The leaderboard as people get it: terminal and CSV. Of `rows`, where they are given, put into `out`."""
    if rows is not None:
        RowStore(out).append(rows)
    catalogue = {metric.name: metric.values for metric in build_metrics(list(METRICS), MetricsConfig())}
    groups: dict[str, dict[str, str]] = {id_: {} for id_ in samples}
    boards = write_report(out, ReportInput(rows=RowStore(out).read(), samples=groups, catalogue=catalogue))
    console = Console(width=160, record=True, file=io.StringIO())
    console.print(leaderboard(boards))
    return console.export_text() + (out / "leaderboard.csv").read_text()


class Bench:
    """One directory of samples and one method, evaluated with cheap metrics."""

    def __init__(self, samples_dir: Path, videos_dir: Path) -> None:
        self.samples, self.videos_dir = read_samples(samples_dir), videos_dir

    def plan(self, *names: str, controls: tuple[str, ...] = (), methods: tuple[str, ...] = ("ours",)) -> Evaluation:
        videos = read_videos(self.videos_dir, self.samples)
        metrics = build_metrics(names, MetricsConfig())
        return Evaluation(
            samples=self.samples, methods=dict.fromkeys(methods, videos), metrics=metrics, controls=controls
        )

    def evaluate(self, out: Path, *names: str, controls: tuple[str, ...] = (), ray: int = 0) -> int:
        """Returns how many rows were missing."""
        units = self.plan(*names, controls=controls).units(RowStore(out))
        job = EvaluationJob(
            out=out, metrics=MetricsConfig(), names=names, workers=Workers(actors=ray or None, cpus=0.5)
        )
        (run_on_ray if ray else run_inline)(units, job, nothing)
        return sum(len(unit.work) for unit in units)


@pytest.fixture(scope="module")
def bench(samples_dir: Path, videos_dir: Path) -> Bench:
    return Bench(samples_dir, videos_dir)


@pytest.fixture(scope="module")
def inline(bench: Bench, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("inline")
    bench.evaluate(out, "av_align", "appearance", controls=("shift+5", "frozen"))
    return out


def test_every_video_has_a_row_and_every_bad_one_its_reason(inline: Path) -> None:
    rows = {(row.sample, row.metric): row for row in table(inline) if not row.control}
    assert len(rows) == 14
    reasons = {sample: rows[sample, "av_align"].reason for sample in (SILENT, BROKEN, EMPTY, MISSING, TALKING, OTHER)}
    assert reasons == {
        SILENT: "silent",
        BROKEN: "unreadable",
        EMPTY: "empty file",
        MISSING: "missing",
        TALKING: None,
        OTHER: None,
    }
    assert rows[SILENT, "appearance"].reason is rows[FACELESS, "appearance"].reason is None
    assert rows[BROKEN, "appearance"].reason == "unreadable"
    assert all(bool(row.values) == (row.reason is None) for row in rows.values())


def test_the_table_counts_and_names_every_bad_video(bench: Bench, tmp_path: Path) -> None:
    bench.evaluate(tmp_path, "mouth_sync")
    text = rendered(tmp_path, bench.samples)
    assert "2,7,1 empty file; 1 missing; 1 no face; 1 silent; 1 unreadable" in text
    assert "n = 2/7; 1 empty file, 1 missing, 1 no face, 1 silent, 1 unreadable" in " ".join(
        "".join(character for character in text if character not in "│┃").split()
    )
    reasons = {row.sample: row.reason for row in table(tmp_path)}
    assert reasons == {
        TALKING: None,
        OTHER: None,
        SILENT: "silent",
        FACELESS: "no face",
        BROKEN: "unreadable",
        EMPTY: "empty file",
        MISSING: "missing",
    }


def test_controls_are_rows_beside_the_true_ones(inline: Path) -> None:
    counts = Counter((row.control, row.metric) for row in table(inline))
    assert counts == {
        ("", "av_align"): 7,
        ("", "appearance"): 7,
        ("shift+5", "av_align"): 6,
        ("frozen", "av_align"): 6,
        ("frozen", "appearance"): 6,
    }
    frozen = {row.metric: row for row in table(inline) if (row.sample, row.control) == (TALKING, "frozen")}
    assert frozen["appearance"].values["frozen"] > 0.85
    assert frozen["av_align"].values["av_align"] == 0
    broken = [row for row in table(inline) if row.sample == BROKEN]
    assert {row.reason for row in broken} == {"unreadable"}


def test_nothing_is_computed_twice_and_only_what_is_new_is(bench: Bench, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert bench.evaluate(out, "appearance") == 7
    first = table(out)
    assert bench.evaluate(out, "appearance") == 0
    assert table(out) == first
    plan = bench.plan("appearance", "av_align", methods=("ours", "theirs"))
    new = Counter((unit.method, work.row.metric) for unit in plan.units(RowStore(out)) for work in unit.work)
    assert new == {("ours", "av_align"): 7, ("theirs", "appearance"): 7, ("theirs", "av_align"): 7}


def test_a_changed_video_is_measured_again_and_a_changed_prompt_only_where_it_is_used(
    samples_dir: Path, videos_dir: Path, tmp_path: Path
) -> None:
    copies = tmp_path / "samples", tmp_path / "videos"
    for copy, original in zip(copies, (samples_dir, videos_dir), strict=True):
        copy.mkdir()
        for path in original.iterdir():
            (copy / path.name).write_bytes(path.read_bytes())
    names = ("appearance", "vtc", "identity_colour")
    before = {work.row.key for unit in Bench(*copies).plan(*names).units(RowStore(tmp_path)) for work in unit.work}
    (copies[1] / f"{EMPTY}.mp4").write_bytes((videos_dir / f"{TALKING}.mp4").read_bytes())
    (copies[0] / f"{TALKING}.json").write_text('{"en_prompt": "A woman sings."}')
    (copies[0] / f"{OTHER}.png").write_bytes((samples_dir / f"{SILENT}.png").read_bytes())
    after = {work.row.key for unit in Bench(*copies).plan(*names).units(RowStore(tmp_path)) for work in unit.work}
    assert {(key[1], key[3]) for key in after - before} == {
        *((EMPTY, name) for name in names),
        (TALKING, "vtc"),
        (OTHER, "identity_colour"),
    }


@pytest.mark.parametrize(
    "workers", [pytest.param(1, marks=pytest.mark.slow), 2, pytest.param(3, marks=pytest.mark.slow)]
)
def test_workers_on_ray_give_the_same_table(
    ray_cluster: None, bench: Bench, inline: Path, tmp_path: Path, workers: int
) -> None:
    out = tmp_path / "ray"
    bench.evaluate(out, "appearance", ray=workers)
    alone = [row for row in table(inline) if row.metric == "appearance" and not row.control]
    assert table(out) == alone
    assert rendered(out, bench.samples) == rendered(tmp_path / "alone", bench.samples, alone)


def test_a_killed_run_goes_on_to_the_same_table(bench: Bench, inline: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    script = (
        "import sys; from pathlib import Path; from tests.bench.evaluation.test_job import Bench; "
        "Bench(Path(sys.argv[1]), Path(sys.argv[2])).evaluate(Path(sys.argv[3]), 'av_align', 'appearance', "
        "controls=('shift+5', 'frozen'))"
    )
    samples_dir = next(s.image for s in bench.samples.values() if s.image).parent
    command = [sys.executable, "-c", script, str(samples_dir), str(bench.videos_dir), str(out)]
    process = subprocess.Popen(command, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)})
    deadline = time.monotonic() + 120
    while not RowStore(out).read():
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.wait()
    killed = table(out)
    assert 0 < len(killed) < len(table(inline))
    with (out / "ours.jsonl").open("a") as file:
        file.write('{"method": "ours", "sam')
    missing = bench.evaluate(out, "av_align", "appearance", controls=("shift+5", "frozen"))
    assert missing == len(table(inline)) - len(killed)
    assert table(out) == table(inline)
    assert rendered(out, bench.samples) == rendered(tmp_path / "undisturbed", bench.samples, table(inline))


def test_a_video_that_no_worker_survives_is_named(bench: Bench, tmp_path: Path) -> None:
    unit = bench.plan("appearance").units(RowStore(tmp_path))[0]
    job = EvaluationJob(out=tmp_path, metrics=MetricsConfig(), names=("appearance",))
    progress = job.commit([job.give_up(unit, "died three times")])
    assert [row.reason for row in table(tmp_path)] == ["crashed"]
    assert (progress.kept, dict(progress.rejected)) == (0, {"appearance/crashed": 1})
