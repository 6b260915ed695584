"""Which cluster a run uses, and what people are told of it."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
import ray

from infra.command_line import CommandFailedError
from infra.jobs import cluster
from tests.paths import ROOT


def test_a_token_is_spoken_of_where_one_is_needed_and_the_command_exists(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    assert cluster.dashboard_hint() == ""
    monkeypatch.setenv("RAY_AUTH_MODE", "token")
    command = cluster.dashboard_hint().partition("`")[2].partition("`")[0]
    program, what = command.split()
    assert Path(program).is_file()
    assert os.access(program, os.X_OK)
    assert what == "get-auth-token"


def test_an_address_where_nobody_listens_is_told_at_once() -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
        listener.listen()
        cluster.check_listens(f"127.0.0.1:{port}")
        cluster.check_listens(f"ray://127.0.0.1:{port}")
    with pytest.raises(ConnectionError, match=f"no Ray cluster at RAY_ADDRESS=ray://127.0.0.1:{port}: .*refused"):
        cluster.check_listens(f"ray://127.0.0.1:{port}")
    cluster.check_listens("auto")


def test_of_what_workers_print_ray_s_own_lines_are_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    rays = "[2026-11-27 00:04:47,364 I 2624 2624] logging.cc:303: Set ray log level from environment variable"
    server = "[2026-11-27 00:04:47,364 E 2624 2624] (raylet) node_manager.cc:30: A worker died"
    lines = {"lines": [rays, "step 3  loss 3.055", server], "pid": 7, "ip": "127.0.0.1", "is_err": False, "job": "1"}
    cluster.print_our_lines(lines, ignore_prefix=True)
    cluster.print_our_lines({**lines, "lines": ["Task failed. Traceback"], "pid": "raylet"}, ignore_prefix=False)
    assert capsys.readouterr().out == "step 3  loss 3.055\n"


def test_a_cluster_of_our_own_knows_its_workers_and_nobody_elses(
    ray_cluster: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    @ray.remote(num_cpus=0.1)
    def own_pid() -> int:
        return os.getpid()

    worker = ray.get(own_pid.remote())
    assert worker in {process.pid for process in cluster.started_here()}
    monkeypatch.setenv("RAY_ADDRESS", "10.0.0.1:6379")
    assert cluster.started_here() == []


def test_what_ends_a_run_is_told_in_one_line(ray_cluster: None) -> None:
    @ray.remote(num_cpus=0.1, max_retries=0)
    def fail() -> None:
        raise ValueError("needs a codebook")

    with pytest.raises(CommandFailedError) as told, cluster.telling_why_it_stopped():
        ray.get(fail.remote())
    assert str(told.value) == "the run stopped: ValueError: needs a codebook; the same command goes on"


def test_a_process_that_does_not_end_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster, "ENDING_TIMEOUT_S", 0.2)
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(3600)"]) as process:
        cluster.end_processes([psutil.Process(process.pid)])
        assert process.wait(10) == -signal.SIGKILL


SIGNALS = """
import signal
from infra.jobs.cluster import ENDING, interrupted_once

def cleared_after(number):
    cleared = False
    try:
        with interrupted_once():
            try:
                signal.raise_signal(number)
            finally:
                signal.raise_signal(signal.SIGINT)
                signal.raise_signal(signal.SIGTERM)
                cleared = True
    except KeyboardInterrupt:
        return cleared
    raise AssertionError("not interrupted")

before = [signal.getsignal(each) for each in ENDING]
assert all(cleared_after(number) for number in ENDING), "later ones do not disturb"
assert [signal.getsignal(each) for each in ENDING] == before
signal.signal(signal.SIGINT, signal.SIG_IGN)
with interrupted_once():
    signal.raise_signal(signal.SIGINT)  # as a shell has it for what is in its background
assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
"""


def test_the_first_signal_interrupts_and_later_ones_do_not_disturb() -> None:
    """In a process of its own: the signals of this one are the test run's."""
    subprocess.run([sys.executable, "-c", SIGNALS], cwd=ROOT, check=True, timeout=180, stdin=subprocess.DEVNULL)
