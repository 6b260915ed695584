"""Runs over the tiny Soul-Bench: what is computed, what is not again, and every bad video's reason."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from bench.evaluation.job import EvaluationJob
from bench.metrics.registry import MetricsConfig
from bench.rows import RowStore
from tests.worlds.bench_samples import BROKEN, EMPTY, FACELESS, MISSING, OTHER, SILENT, TALKING
from tests.worlds.evaluations import Bench, rendered, table


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


def test_a_video_that_no_worker_survives_is_named(bench: Bench, tmp_path: Path) -> None:
    unit = bench.plan("appearance").units(RowStore(tmp_path))[0]
    job = EvaluationJob(out=tmp_path, metrics=MetricsConfig(), names=("appearance",))
    progress = job.commit([job.give_up(unit, "died three times")])
    assert [row.reason for row in table(tmp_path)] == ["crashed"]
    assert (progress.kept, dict(progress.rejected)) == (0, {"appearance/crashed": 1})
