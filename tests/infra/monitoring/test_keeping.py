"""`make monitor`: what it is told to watch, and what a person hears where something is missing."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from infra.monitoring import grafana
from infra.monitoring.__main__ import main
from infra.monitoring.prometheus import configuration, follow_ray, write_configuration
from infra.watched import Monitor, announced_monitor, targets_folder
from tests.paths import ROOT
from tests.worlds.waiting import until
from tests.worlds.watching import Watch, needs_prometheus, watched_machine


@pytest.fixture(autouse=True)
def own_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOUL_MONITORING", str(tmp_path / "watch"))
    monkeypatch.setenv("RAY_TMPDIR", str(tmp_path / "tmp"))


def test_without_prometheus_a_person_hears_how_to_get_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PROMETHEUS", "/nowhere/prometheus")
    assert main(["run", "--port", "0"]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "no Prometheus here at /nowhere/prometheus" in said
    assert "apt install prometheus" in said
    assert "curation watch" in said


def test_a_machine_is_watched_once(capsys: pytest.CaptureFixture[str]) -> None:
    with announced_monitor(Monitor(pid=os.getpid(), prometheus="http://127.0.0.1:9090")):
        assert main(["run"]) == 2
    assert "watched already" in capsys.readouterr().err


@needs_prometheus
def test_a_port_that_is_taken_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        assert main(["run", "--port", str(taken.getsockname()[1])]) == 2
    assert "cannot listen" in capsys.readouterr().err


SERVER = """
import sys
from prometheus_client import start_http_server
from infra.watched import announced
server, _ = start_http_server(0, addr="127.0.0.1")
with announced("soul-training", f"127.0.0.1:{server.server_port}"):
    print(server.server_port, flush=True)
    sys.stdin.read()
"""


@needs_prometheus
def test_a_process_that_is_killed_is_missed_and_one_that_ends_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with watched_machine(tmp_path / "watch", monkeypatch) as watch:
        words = [sys.executable, "-c", SERVER]
        killed, ended = (
            subprocess.Popen(words, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            for _ in range(2)
        )
        assert killed.stdout is not None
        at = f"127.0.0.1:{int(killed.stdout.readline())}"
        until(lambda: watch.value('count(up{job="soul-training"} == 1)') == 2, patience_s=60)
        killed.send_signal(signal.SIGKILL)
        for process in (killed, ended):
            process.communicate(timeout=60)
        until(lambda: missed(watch) == [at], patience_s=60)
        # Longer than the monitor takes to tidy up, and Prometheus to look again.
        time.sleep(12.0)
        assert missed(watch) == [at]
        assert watch.value('up{job="soul-training"}') == 0


def missed(watch: Watch) -> list[str]:
    """Where Prometheus finds nobody, so that it alerts or is about to."""
    return [each["metric"]["instance"] for each in watch.now('ALERTS{alertname="SoulServerGone"}')]


def test_the_configuration_names_our_targets_and_rules(tmp_path: Path) -> None:
    path = write_configuration(tmp_path, targets_folder())
    read = yaml.safe_load(path.read_text())
    assert read == configuration(str(targets_folder()))
    assert Path(read["rule_files"][0]).parent.is_dir()


def test_rays_list_counts_while_a_cluster_answers(tmp_path: Path) -> None:
    targets = targets_folder()
    targets.mkdir(parents=True)
    follow_ray(targets)
    assert not list(targets.iterdir()), "no cluster has ever been here"
    listed = tmp_path / "tmp" / "ray" / "prom_metrics_service_discovery.json"
    listed.parent.mkdir(parents=True)
    with socket.create_server(("127.0.0.1", 0)) as node:
        addresses = [f"127.0.0.1:{node.getsockname()[1]}", "127.0.0.1:1"]
        listed.write_text(json.dumps([{"labels": {"job": "ray"}, "targets": addresses}]))
        follow_ray(targets)
        assert json.loads((targets / "ray.json").read_text())[0]["targets"] == addresses, "a node that died is missed"
    follow_ray(targets)
    assert not list(targets.iterdir()), "the cluster is gone"
    listed.write_text("[{")
    follow_ray(targets)


def test_grafana_gets_our_boards_and_rays_and_lets_itself_be_embedded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "grafana"
    program.symlink_to(sys.executable)
    monkeypatch.setenv("GRAFANA", str(program))
    assert grafana.program() == [str(program), "server"]
    variables = grafana.variables(tmp_path, "127.0.0.1", 3000, "http://127.0.0.1:9090")
    provisioning = Path(variables["GF_PATHS_PROVISIONING"])
    boards = yaml.safe_load((provisioning / "dashboards/boards.yaml").read_text())["providers"]
    folders = {each["folder"]: variables[each["options"]["path"].removeprefix("$")] for each in boards}
    assert len(list(Path(folders["Soul"]).glob("*.json"))) == 4
    assert folders["Ray"].startswith(str(tmp_path / "tmp" / "ray"))
    (source,) = yaml.safe_load((provisioning / "datasources/prometheus.yaml").read_text())["datasources"]
    assert source["name"] == "Prometheus", "as Ray's dashboard asks for it"
    assert variables[source["url"].removeprefix("$")] == "http://127.0.0.1:9090"
    assert variables["GF_SECURITY_ALLOW_EMBEDDING"] == variables["GF_AUTH_ANONYMOUS_ENABLED"] == "true"
    monkeypatch.setenv("GRAFANA", str(tmp_path / "none"))
    assert grafana.program() is None
