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

from infra.jobs import cluster
from tests.paths import ROOT


def test_only_an_address_that_names_a_cluster_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    assert cluster.given_address() is None
    for own in ("", "local"):
        monkeypatch.setenv("RAY_ADDRESS", own)
        assert cluster.given_address() is None
    monkeypatch.setenv("RAY_ADDRESS", "10.0.0.1:6379")
    assert cluster.given_address() == "10.0.0.1:6379"


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
        cluster._knock(f"127.0.0.1:{port}")
        cluster._knock(f"ray://127.0.0.1:{port}")
    with pytest.raises(ConnectionError, match=f"no Ray cluster at RAY_ADDRESS=ray://127.0.0.1:{port}: .*refused"):
        cluster._knock(f"ray://127.0.0.1:{port}")
    cluster._knock("auto")


def test_of_what_workers_print_ray_s_own_lines_are_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    rays = "[2026-11-27 00:04:47,364 I 2624 2624] logging.cc:303: Set ray log level from environment variable"
    server = "[2026-11-27 00:04:47,364 E 2624 2624] (raylet) node_manager.cc:30: A worker died"
    lines = {"lines": [rays, "step 3  loss 3.055", server], "pid": 7, "ip": "127.0.0.1", "is_err": False, "job": "1"}
    cluster._print_what_is_ours(lines, ignore_prefix=True)
    cluster._print_what_is_ours({**lines, "lines": ["Task failed. Traceback"], "pid": "raylet"}, ignore_prefix=False)
    assert capsys.readouterr().out == "step 3  loss 3.055\n"


KNOWN = """
import os
import ray
from infra.jobs import cluster

with cluster.ray_session(num_cpus=1, dashboard=False):
    worker = ray.get(ray.remote(lambda: os.getpid()).remote())
    assert worker in {process.pid for process in cluster._started_here()}
assert cluster._started_here() == []
"""


def test_a_cluster_of_our_own_knows_its_workers() -> None:
    subprocess.run([sys.executable, "-c", KNOWN], cwd=ROOT, check=True, timeout=180, stdin=subprocess.DEVNULL)


def test_a_process_that_does_not_end_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster, "ENDING_TIMEOUT_S", 0.2)
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(3600)"]) as process:
        cluster._see_off([psutil.Process(process.pid)])
        assert process.wait(10) == -signal.SIGKILL


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_first_signal_interrupts_and_later_ones_do_not_disturb(number: signal.Signals) -> None:
    before = [signal.getsignal(each) for each in cluster.ENDING]

    def work() -> None:
        with cluster._interrupted_once():
            try:
                signal.raise_signal(number)
            finally:
                signal.raise_signal(signal.SIGINT)
                signal.raise_signal(signal.SIGTERM)
                cleared.append(True)

    cleared: list[bool] = []
    with pytest.raises(KeyboardInterrupt):
        work()
    assert cleared
    assert [signal.getsignal(each) for each in cluster.ENDING] == before


def test_what_the_shell_has_told_a_command_to_ignore_stays_ignored() -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with cluster._interrupted_once():
            signal.raise_signal(signal.SIGINT)
    finally:
        signal.signal(signal.SIGINT, before)
