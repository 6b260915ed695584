"""Deadlines of several units in one process; what strikes is seen from outside, because it ends the process."""

from __future__ import annotations

import faulthandler
import subprocess
import sys
import time

import pytest

from infra.jobs.deadlines import deadline, put_off_deadlines, sign_of_life
from tests.paths import ROOT

SEVERAL = """
import threading, time
from infra.jobs.deadlines import deadline, put_off_deadlines

def work(seconds, signs):
    with deadline(seconds) as start_anew:
        for each in signs:
            time.sleep(each)
            start_anew()

def in_threads(*works):
    threads = [threading.Thread(target=work, args=each, daemon=True) for each in works]
    for thread in threads:
        thread.start()
    return threads
"""


def run(code: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", SEVERAL + code]
    return subprocess.run(command, cwd=ROOT, check=False, capture_output=True, text=True, timeout=60)


def test_a_unit_that_gives_signs_does_not_keep_one_alive_that_hangs() -> None:
    process = run("in_threads((0.5, [0.1] * 100), (60.0, [0.1] * 100), (0.6, [30.0])); time.sleep(20); print('late')")
    assert process.returncode == 1
    assert process.stdout == ""
    assert "Timeout" in process.stderr


def test_units_that_end_in_time_leave_no_deadline() -> None:
    process = run(
        "[t.join() for t in in_threads((0.6, [0.1] * 12), (0.4, [0.1]), (0.5, []))]; time.sleep(1); print('ok')"
    )
    assert (process.returncode, process.stdout) == (0, "ok\n"), process.stderr


def test_while_a_server_is_away_no_unit_is_to_blame() -> None:
    process = run("""
in_threads((0.5, [1.5]), (0.6, [1.5]))
for _ in range(13):
    time.sleep(0.1)
    put_off_deadlines()
time.sleep(0.6)
print('ok')
""")
    assert (process.returncode, process.stdout) == (0, "ok\n"), process.stderr


def test_the_watchdog_waits_for_the_earliest(monkeypatch: pytest.MonkeyPatch) -> None:
    armed = list[float]()
    monkeypatch.setattr(time, "monotonic", lambda: 100.0)
    monkeypatch.setattr(faulthandler, "dump_traceback_later", lambda seconds, **_: armed.append(seconds))
    monkeypatch.setattr(faulthandler, "cancel_dump_traceback_later", lambda: armed.append(0.0))
    signs = list[str]()
    with deadline(30.0, lambda: signs.append("a")), deadline(20.0, lambda: signs.append("b")) as start_anew:
        start_anew()
        put_off_deadlines()
        sign_of_life()
    assert armed == [30.0, 20.0, 20.0, 20.0, 20.0, 30.0, 0.0]
    assert sorted(signs) == ["a", "b"], "one that follows at once is not passed on"
    sign_of_life()
    assert len(armed) == 7, "this thread works on nothing"


def test_a_sign_of_life_is_the_unit_s_of_its_thread() -> None:
    lives = run("""
from infra.jobs.deadlines import sign_of_life
with deadline(0.5):
    for _ in range(8):
        time.sleep(0.1)
        sign_of_life()
print('ok')
""")
    assert (lives.returncode, lives.stdout) == (0, "ok\n"), lives.stderr
    dies = run("""
from infra.jobs.deadlines import sign_of_life
in_threads((0.5, [30.0]))
with deadline(0.5):
    for _ in range(80):
        time.sleep(0.1)
        sign_of_life()
print('late')
""")
    assert (dies.returncode, dies.stdout) == (1, "")
