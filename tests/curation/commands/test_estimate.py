"""What a plan would take: wall seconds of a worker, and wall time on the actors there are."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from curation.__main__ import main
from curation.commands.cost import COST_COLUMNS, stage_cost
from curation.commands.estimate import span, wall_seconds
from curation.pipeline import STAGES
from curation.shards.run_directory import RunDirectory
from infra.jobs.placement import ActorRange, PlacedPool, PoolConfig
from tests.worlds.synthetic_run import source, write_run
from tests.worlds.videos import add_video

ALL = PoolConfig(name="all", stages=("a", "b"))
FIRST, SECOND = PoolConfig(name="first", stages=("a",)), PoolConfig(name="second", stages=("b",))

SEVERAL = PoolConfig(name="all", stages=("a", "b"), units_in_flight=4)


@pytest.mark.parametrize(
    ("pools", "measured", "num_units", "seconds"),
    [
        ([(ALL, 1)], {}, 100, 300.0),
        ([(ALL, 4)], {}, 100, 75.0),
        ([(ALL, 4)], {"a": 1.0, "b": 2.0}, 100, 75.0),
        # Two pools work at the same time, and the slower one decides.
        ([(FIRST, 1), (SECOND, 1)], {"a": 1.0, "b": 2.0}, 100, 200.0),
        ([(FIRST, 1), (SECOND, 4)], {"a": 1.0, "b": 2.0}, 100, 100.0),
        # An actor may work on several videos at a time.
        ([(SEVERAL, 2)], {"a": 1.0, "b": 2.0}, 100, 37.5),
        # One video keeps one actor busy, however many there are.
        ([(ALL, 4)], {"a": 1.0, "b": 2.0}, 1, 300.0),
    ],
)
def test_wall_time_is_the_slowest_pools(
    pools: list[tuple[PoolConfig, int]], measured: dict[str, float], num_units: int, seconds: float
) -> None:
    placed = [PlacedPool(config=pool, actors=ActorRange(min=1, max=actors)) for pool, actors in pools]
    assert wall_seconds(placed, measured, 3.0, 100.0, num_units) == pytest.approx(seconds)


def test_stages_are_measured_on_what_is_committed(tmp_path: Path) -> None:
    run = str(tmp_path)
    assert stage_cost(RunDirectory(run).index(COST_COLUMNS)) == {}
    units = [source(f"/in/{name}.mp4", 640, 480, 10.0) for name in "ab"]
    times = {"probe": 1.0, "faces": 4.0}
    write_run(run, [replace(unit.fail("scenes", "undecodable", ""), stage_seconds=times) for unit in units])
    assert stage_cost(RunDirectory(run).index(COST_COLUMNS)) == pytest.approx({"probe": 0.1, "faces": 0.4})


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.0, "0 seconds"), (12.3, "12 seconds"), (119.0, "119 seconds"), (150.0, "2.5 minutes"), (9000.0, "2.5 hours")],
)
def test_spans(seconds: float, text: str) -> None:
    assert span(seconds) == text


def test_plan_says_whose_seconds_they_are(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    add_video(tmp_path / "in", "a.mp4", seconds=2.0)
    words = ["plan", str(tmp_path / "in"), "--run", str(tmp_path / "run")]
    assert main(words) == 0
    told = capsys.readouterr().out
    assert "CPU hours" not in told
    assert "work    about 2 seconds of one worker's time: 1 s a second of video, the profile's estimate" in told
    cpus = len(os.sched_getaffinity(0))
    assert f"time    about 2 seconds on the {cpus} actors that {cpus} CPUs hold" in told
    assert all(stage in told for stage in STAGES)

    monkeypatch.setenv("RAY_ADDRESS", "10.0.0.1:6379")
    assert main(words) == 0
    assert "as the cluster at RAY_ADDRESS has room" in capsys.readouterr().out


def test_pools_that_do_not_fit_this_machine_are_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    add_video(tmp_path / "in", "a.mp4", seconds=1.0)
    pools = "execution.pools=[{name: all, num_gpus: 1, actors: 4}]"
    assert main(["plan", str(tmp_path / "in"), "--run", str(tmp_path / "run"), "--set", pools]) == 0
    assert "not on this machine: the profile's actors ask for 4 GPUs" in capsys.readouterr().out
