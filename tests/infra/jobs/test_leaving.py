"""How a head leaves: drivers of submitted jobs are told to end, by a signal that leaves their status their own."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import pytest
import ray

from infra.command_line import CommandFailedError
from infra.jobs import leaving
from tests.worlds.served_models import Answer, Asked, serving

SAVES: Final = """
import signal, sys, time
def hear(*_):
    print("told", flush=True)
    time.sleep(1.5)
    sys.exit(143)
signal.signal(signal.SIGTERM, hear)
print("at work", flush=True)
time.sleep(600)
"""
STANDS: Final = """
import signal, time
signal.signal(signal.SIGTERM, lambda *_: print("told", flush=True))
print("at work", flush=True)
while True:
    time.sleep(600)
"""


class Driver:
    """A job as Ray's dashboard tells of it: its process, of which it knows after a while."""

    def __init__(self, program: str, log: Path, *, joins_after: int = 0) -> None:
        self.log = log
        self.joins_after = joins_after
        """How often the dashboard is asked before the driver has joined the cluster."""
        with log.open("wb") as out:
            self.process = subprocess.Popen([sys.executable, "-c", program], stdout=out)
        while "at work" not in log.read_text():
            time.sleep(0.02)

    def described(self, times_asked: int) -> dict[str, Any]:
        """What the dashboard says."""
        status = {None: "RUNNING", 0: "SUCCEEDED"}.get(self.process.poll(), "FAILED")
        own = {"id": "01000000", "node_ip_address": "127.0.0.1", "pid": str(self.process.pid)}
        return {
            "type": "SUBMISSION", "submission_id": "first", "job_id": None, "status": status,
            "entrypoint": "python -m curation run", "driver_info": own if times_asked > self.joins_after else None,
        }  # fmt: skip


@contextmanager
def dashboard(driver: Driver) -> Iterator[tuple[str, list[str]]]:
    """A dashboard that knows of one job; its address, and what it was asked."""
    asked: list[str] = []

    def respond(one: Asked) -> Answer:
        asked.append(f"{'GET' if one.body is None else 'POST'} {one.path}")
        if one.body is not None:
            return Answer({}, 500)
        if one.path == "/api/version":
            return Answer({"version": "4", "ray_version": ray.__version__, "ray_commit": ray.__commit__})
        return Answer([driver.described(asked.count("GET /api/jobs/"))])

    try:
        with serving(respond) as address:
            yield address, asked
    finally:
        driver.process.kill()
        driver.process.wait()


def test_a_driver_is_told_once_and_its_status_is_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ray writes STOPPED of a job that it is asked to stop, and KubeRay takes that for its end."""
    monkeypatch.setattr(leaving, "HEARD_S", 0.1)
    driver = Driver(SAVES, tmp_path / "log", joins_after=1)
    with dashboard(driver) as (address, asked):
        leaving.end_jobs(address, time.monotonic() + 60)
        assert driver.process.poll() == 143
        assert driver.log.read_text().split("\n") == ["at work", "told", ""]
        assert asked.count("GET /api/jobs/") >= 3
        assert not [each for each in asked if each.startswith("POST")]


def test_the_head_stays_until_it_is_known_how_jobs_ended(tmp_path: Path) -> None:
    driver = Driver(SAVES, tmp_path / "log")
    with dashboard(driver) as (address, _):
        began_s = time.monotonic()
        leaving.end_jobs(address, began_s + 6)
        assert driver.process.poll() == 143
        assert time.monotonic() - began_s >= 6, "no longer than it may"


def test_a_driver_that_does_not_end_is_named(tmp_path: Path) -> None:
    driver = Driver(STANDS, tmp_path / "log")
    with (
        dashboard(driver) as (address, _),
        pytest.raises(CommandFailedError, match="time is over: jobs have not ended: first"),
    ):
        leaving.end_jobs(address, time.monotonic() + 2)
    assert driver.log.read_text().count("told") == 1
