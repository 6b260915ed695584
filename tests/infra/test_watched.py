"""How those that watch and those that are watched find each other on a machine."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from infra.jobs import cluster
from infra.watched import (
    KEEP_S,
    LeftBehind,
    Monitor,
    announce,
    announced,
    announced_monitor,
    folder,
    running_monitor,
    targets_folder,
)
from tests.infra.monitoring.test_rules import ALERTS
from tests.paths import ROOT
from tests.worlds.waiting import until


@pytest.fixture(autouse=True)
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOUL_MONITORING", str(tmp_path / "watch"))


def test_a_monitor_is_known_while_it_lives() -> None:
    assert running_monitor() is None
    monitor = Monitor(pid=os.getpid(), prometheus="http://127.0.0.1:9090", grafana="http://127.0.0.1:3000")
    with announced_monitor(monitor):
        assert running_monitor() == monitor
    assert running_monitor() is None


GONE = 4194304
"""A number that no process has: Linux gives smaller ones."""


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "[]",
        '{"pid": 1}',
        '{"pid": 1, "prometheus": "http://127.0.0.1:9090"}',
        f'{{"pid": {GONE}, "prometheus": "http://127.0.0.1:9090", "began_s": 1.0}}',
    ],
)
def test_what_a_monitor_that_died_left_behind_is_none(text: str) -> None:
    folder().mkdir()
    (folder() / "monitor.json").write_text(text)
    assert running_monitor() is None


def test_another_process_with_the_number_of_a_monitor_is_none() -> None:
    with announced_monitor(Monitor(pid=os.getpid(), prometheus="http://127.0.0.1:9090")):
        path = folder() / "monitor.json"
        said = json.loads(path.read_text())
        path.write_text(json.dumps({**said, "began_s": said["began_s"] - 60}))
        assert running_monitor() is None


def test_rays_dashboard_is_told_of_what_watches(monkeypatch: pytest.MonkeyPatch) -> None:
    assert cluster.watched_by() == {}
    with announced_monitor(Monitor(pid=os.getpid(), prometheus="http://a:1")):
        assert cluster.watched_by() == {"RAY_PROMETHEUS_HOST": "http://a:1"}
    with announced_monitor(Monitor(pid=os.getpid(), prometheus="http://a:1", grafana="http://a:2")):
        assert cluster.watched_by()["RAY_GRAFANA_HOST"] == "http://a:2"


def announced_elsewhere() -> tuple[subprocess.Popen[str], Path]:
    """A process that is announced until it ends, and the file that says so."""
    program = (
        "import sys; from infra.watched import announced\n"
        "with announced('soul-training', '127.0.0.1:9400'): print('here', flush=True); sys.stdin.read()"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", program], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "here\n"
    (path,) = targets_folder().glob("soul-training-*.json")
    return process, path


def test_who_ends_in_order_is_forgotten_at_once() -> None:
    process, path = announced_elsewhere()
    process.communicate()
    assert not path.exists()


def test_who_is_killed_is_looked_for_until_the_alert_has_fired() -> None:
    mine, left_behind = announce("soul-serving", "127.0.0.1:8000"), LeftBehind()
    process, path = announced_elsewhere()
    left_behind.tidy(0.0)
    process.kill()
    until(lambda: psutil.Process(process.pid).status() == psutil.STATUS_ZOMBIE)
    left_behind.tidy(100.0)
    process.communicate()
    (alert,) = (rule for rule in ALERTS if rule["alert"] == "SoulServerGone")
    assert float(alert["for"].removesuffix("m")) * 60 < KEEP_S / 2
    left_behind.tidy(100.0 + KEEP_S)
    assert path.exists()
    left_behind.tidy(101.0 + KEEP_S)
    assert list(targets_folder().glob("*.json")) == [mine]


def test_who_takes_the_place_of_one_that_was_killed_is_looked_for_instead() -> None:
    left_behind = LeftBehind()
    process, path = announced_elsewhere()
    process.kill()
    process.communicate()
    left_behind.tidy(0.0)
    assert path.exists()
    successor = announce("soul-training", "127.0.0.1:9400")
    left_behind.tidy(1.0)
    assert list(targets_folder().glob("*.json")) == [successor]


def test_who_was_killed_before_anything_watched_is_forgotten_at_once() -> None:
    mine = announce("soul-serving", "127.0.0.1:8000")
    place, pid, began_s = mine.stem.rsplit("-", 2)
    assert pid == str(os.getpid())
    for stem in (f"soul-training-127.0.0.1-9400-{GONE}-{began_s}", f"{place}-{pid}-{int(began_s) - 60}"):
        mine.with_name(f"{stem}.json").write_text("[]")
    rays = mine.with_name("ray.json")
    rays.write_text("[]")
    LeftBehind()
    assert set(targets_folder().glob("*.json")) == {mine, rays}


def test_what_cannot_be_announced_works_all_the_same(tmp_path: Path) -> None:
    (tmp_path / "watch").write_text("a file in the folder's place")
    with announced("soul-serving", "127.0.0.1:8000"):
        assert (tmp_path / "watch").is_file()
