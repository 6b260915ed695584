"""Runs over several nodes that are killed, frozen and added while they work: nothing is lost and nothing done twice."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.worlds.machines import Machines, joining, machines
from tests.worlds.tiny_units import PER_COMMIT, POOLS, TinyJob, expected, num_begun

ROUNDS = 20
MANY = 20_000
PLACES = {num: [int(str(pool.actors)) * pool.units_in_flight for pool in pools] for num, pools in POOLS.items()}
IN_FLIGHT = {num: 2 * sum(places) + 3 * places[-1] + 4 * PER_COMMIT for num, places in PLACES.items()}
"""By number of pools, the units at actors, between pools, and finished without a commit."""


@contextmanager
def driver(out: Path, num_units: int, address: str, *, num_pools: int = 2) -> Iterator[subprocess.Popen[bytes]]:
    """A driver that has joined the cluster; it is ended with the block."""
    words = [sys.executable, "-m", "tests.worlds.tiny_run", str(out), str(num_units), str(num_pools)]
    with (out.parent / f"{out.name}.log").open("ab") as log:
        process = subprocess.Popen(words, env=joining(address), stdout=log, stderr=log)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def num_done(out: Path) -> int:
    """Units that are committed, as the driver last said."""
    path = out / "progress"
    return int(path.read_text() or 0) if path.exists() else 0


def wait_until(process: subprocess.Popen[bytes], is_so: Callable[[], bool]) -> bool:
    """Wait for something while the driver runs; whether it came."""
    while process.poll() is None:
        if is_so():
            return True
        time.sleep(0.02)
    return False


def check(out: Path, num_units: int) -> None:
    assert TinyJob(out=out).results() == expected(num_units)


def test_a_node_that_leaves_and_one_that_stands_still_cost_what_was_in_work_there(tmp_path: Path) -> None:
    out = tmp_path / "out"
    with machines(1, 1, 1) as cluster, driver(out, 1200, cluster.address) as process:
        assert wait_until(process, lambda: num_done(out) > 100)
        cluster.kill(cluster.nodes[0])
        cluster.nodes.append(cluster.add(1))
        at = num_done(out)
        assert wait_until(process, lambda: num_done(out) > at + 200)
        cluster.freeze(cluster.nodes[0])
        assert process.wait(timeout=300) == 0
        cluster.thaw()  # it has been given up, and commits nothing any more
        check(out, 1200)
        assert num_begun(out) - 1200 <= 2 * IN_FLIGHT[2]
        time.sleep(2.0)
        check(out, 1200)


def test_a_node_that_says_so_before_it_leaves_costs_nothing(tmp_path: Path) -> None:
    num_units = 6_000
    out = tmp_path / "run"
    with machines(1, 1) as cluster, driver(out, num_units, cluster.address) as process:
        assert wait_until(process, lambda: num_done(out) > 100)
        words = ["-m", "infra.jobs.leaving", "--within", "60", "--node-id", cluster.nodes[0].node_id]
        left = subprocess.run(
            [sys.executable, *words], env=joining(cluster.address), capture_output=True, text=True, check=False
        )
        assert (left.returncode, left.stderr) == (0, "")
        assert process.poll() is None, "the run was over before"
        assert not cluster.processes_left(cluster.nodes[0]), "Ray has ended the node"
        assert process.wait(timeout=200) == 0
    check(out, num_units)
    assert num_begun(out) == num_units, "nothing was begun twice"


def test_sigterm_lets_what_is_in_work_be_committed_and_the_next_run_does_the_rest(tmp_path: Path) -> None:
    out = tmp_path / "out"
    with machines(1) as cluster:
        with driver(out, 1000, cluster.address) as process:
            assert wait_until(process, lambda: num_done(out) > 50)
            process.send_signal(signal.SIGTERM)
            assert process.wait(timeout=120) == 143
        told = (tmp_path / "out.log").read_text()
        done = len(TinyJob(out=out).results())
        assert f"soul: ended by SIGTERM: what was in work is committed, {1000 - done} units are left" in told
        assert 50 < done < 1000
        assert num_begun(out) == done, "what was begun is committed"
        with driver(out, 1000, cluster.address) as process:
            assert process.wait(timeout=120) == 0
        check(out, 1000)
        assert num_begun(out) == 1000


def kill_worker(cluster: Machines, process: subprocess.Popen[bytes]) -> bool:
    victims = cluster.workers("tiny/")
    if victims:
        random.choice(victims).kill()
    return bool(victims)


def kill_node(cluster: Machines, process: subprocess.Popen[bytes]) -> bool:
    cluster.kill(random.choice(cluster.nodes))
    cluster.nodes.append(cluster.add(1))
    return True


def kill_driver(cluster: Machines, process: subprocess.Popen[bytes]) -> bool:
    process.kill()
    return True


KILLS = {"worker": kill_worker, "node": kill_node, "driver": kill_driver}


def round_of_kills(cluster: Machines, out: Path, num_units: int) -> None:
    """One run with a kill of each kind at a random moment, gone on with after its driver is gone."""
    kills = sorted((random.uniform(0.02, 0.95) * num_units, kind) for kind in KILLS)
    while True:
        with driver(out, num_units, cluster.address, num_pools=1) as process:
            while kills and wait_until(process, lambda: num_done(out) >= kills[0][0]):
                KILLS[kills.pop(0)[1]](cluster, process)
            if process.wait(timeout=1800) == 0:
                break
            assert process.returncode == -signal.SIGKILL
    assert not kills


@pytest.mark.slow
@pytest.mark.timeout(7200)
def test_twenty_times_a_worker_a_node_and_the_driver_are_killed_at_random(tmp_path: Path) -> None:
    with machines(1, 1) as cluster:
        for number in range(1, ROUNDS + 1):
            out = tmp_path / str(number)
            round_of_kills(cluster, out, MANY)
            check(out, MANY)
            num_lost = num_begun(out) - MANY
            print(f"round {number}: {num_lost} of {MANY} units begun anew after {len(KILLS)} kills", flush=True)
            assert num_lost <= len(KILLS) * IN_FLIGHT[1]
