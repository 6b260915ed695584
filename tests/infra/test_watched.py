"""How those that watch and those that are watched find each other on a machine."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from infra.jobs import cluster
from infra.watched import (
    Monitor,
    announce,
    announced,
    announced_monitor,
    folder,
    forget_the_dead,
    running_monitor,
    targets_folder,
)


@pytest.fixture(autouse=True)
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOUL_MONITORING", str(tmp_path / "watch"))


def test_a_monitor_is_known_while_it_lives() -> None:
    assert running_monitor() is None
    monitor = Monitor(pid=os.getpid(), prometheus="http://127.0.0.1:9090", grafana="http://127.0.0.1:3000")
    with announced_monitor(monitor):
        assert running_monitor() == monitor
    assert running_monitor() is None


@pytest.mark.parametrize("text", ["{", "[]", '{"pid": 1}', '{"pid": 4194304, "prometheus": "http://127.0.0.1:9090"}'])
def test_what_a_monitor_that_died_left_behind_is_none(text: str) -> None:
    folder().mkdir()
    (folder() / "monitor.json").write_text(text)
    assert running_monitor() is None


def test_rays_dashboard_is_told_of_what_watches(monkeypatch: pytest.MonkeyPatch) -> None:
    assert cluster.watched_by() == {}
    with announced_monitor(Monitor(pid=os.getpid(), prometheus="http://a:1")):
        assert cluster.watched_by() == {"RAY_PROMETHEUS_HOST": "http://a:1"}
    with announced_monitor(Monitor(pid=os.getpid(), prometheus="http://a:1", grafana="http://a:2")):
        assert cluster.watched_by()["RAY_GRAFANA_HOST"] == "http://a:2"


def test_files_of_processes_that_are_gone_are_removed() -> None:
    mine = announce("soul-serving", "127.0.0.1:8000")
    dead = mine.with_name("soul-training-127.0.0.1-9400-4194304.json")
    dead.write_text("[]")
    forget_the_dead()
    assert list(targets_folder().glob("*.json")) == [mine]


def test_what_cannot_be_announced_works_all_the_same(tmp_path: Path) -> None:
    (tmp_path / "watch").write_text("a file in the folder's place")
    with announced("soul-serving", "127.0.0.1:8000"):
        assert (tmp_path / "watch").is_file()
