"""Evaluations that are killed, or spread over workers on Ray, come to the same table."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from bench.rows import RowStore
from tests.worlds.evaluations import Bench, rendered, table
from tests.worlds.fresh_process import FreshPython


@pytest.fixture(scope="module")
def bench(samples_dir: Path, videos_dir: Path) -> Bench:
    return Bench(samples_dir, videos_dir)


@pytest.fixture(scope="module")
def inline(bench: Bench, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Undisturbed, in one process."""
    out = tmp_path_factory.mktemp("inline")
    bench.evaluate(out, "appearance", controls=("frozen",))
    return out


@pytest.mark.parametrize(
    "workers", [1, pytest.param(2, marks=pytest.mark.slow), pytest.param(3, marks=pytest.mark.slow)]
)
def test_workers_on_ray_give_the_same_table(
    ray_cluster: None, bench: Bench, inline: Path, tmp_path: Path, workers: int
) -> None:
    out = tmp_path / "ray"
    bench.evaluate(out, "appearance", ray=workers)
    alone = [row for row in table(inline) if not row.control]
    assert table(out) == alone
    assert rendered(out, bench.samples) == rendered(tmp_path / "alone", bench.samples, alone)


def test_a_killed_run_goes_on_to_the_same_table(bench: Bench, inline: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    script = (
        "import sys; from pathlib import Path; from tests.worlds.evaluations import Bench; "
        "Bench(Path(sys.argv[1]), Path(sys.argv[2])).evaluate(Path(sys.argv[3]), 'appearance', "
        "controls=('frozen',))"
    )
    samples_dir = next(s.image for s in bench.samples.values() if s.image).parent
    process = FreshPython("-c", script, str(samples_dir), str(bench.videos_dir), str(out))
    deadline = time.monotonic() + 120
    while not RowStore(out).read():
        assert process.poll() is None, process.stderr
        assert time.monotonic() < deadline
        time.sleep(0.05)
    process.kill()
    killed = table(out)
    assert 0 < len(killed) < len(table(inline))
    with (out / "ours.jsonl").open("a") as file:
        file.write('{"method": "ours", "sam')
    missing = bench.evaluate(out, "appearance", controls=("frozen",))
    assert missing == len(table(inline)) - len(killed)
    assert table(out) == table(inline)
    assert rendered(out, bench.samples) == rendered(tmp_path / "undisturbed", bench.samples, table(inline))
