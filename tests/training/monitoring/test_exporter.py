"""The log of a training as Prometheus reads it."""

from __future__ import annotations

import json
from pathlib import Path

import httpx2
import pytest
from prometheus_client.parser import text_string_to_metric_families

from infra.config import ConfigError
from infra.servers.process import free_port
from infra.watched import Monitor, announced_monitor, targets_folder
from training.monitoring.config import MonitoringConfig
from training.monitoring.exporter import Exporter
from training.monitoring.log import Logs, open_logs


def read(port: int) -> dict[str, float]:
    text = httpx2.get(f"http://127.0.0.1:{port}/metrics", trust_env=False).text
    samples = [sample for family in text_string_to_metric_families(text) for sample in family.samples]
    assert {sample.labels["stage"] for sample in samples} == {"720p"}
    return {sample.name.removeprefix("soul_training_"): sample.value for sample in samples}


def opened(folder: Path, port: int | None) -> Logs:
    config = MonitoringConfig(prometheus_port=port)
    return open_logs(folder, 3, config, {"steps": 9}, pytest.fail, total_steps=9)


@pytest.fixture
def stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SOUL_MONITORING", str(tmp_path / "watch"))
    return tmp_path / "run" / "train" / "720p"


def test_prometheus_reads_what_was_logged_last(stage: Path) -> None:
    port = free_port()
    logs = opened(stage, port)
    try:
        assert read(port) == {"step": 3, "steps": 9}
        for step, loss in ((4, 2.0), (5, 1.5)):
            logs.scalars(step, {"loss": loss, "loss_sigma_0.0_0.2": 0.5})
        assert read(port) == {"step": 5, "steps": 9, "loss": 1.5, "loss_sigma_0_0_0_2": 0.5}
    finally:
        logs.close()
    with pytest.raises(httpx2.ConnectError):
        read(port)


def test_a_training_says_where_it_is_while_it_lives(stage: Path) -> None:
    exporter = Exporter(stage, 0, 9, 0)
    (path,) = targets_folder().glob("*.json")
    (group,) = json.loads(path.read_text())
    assert group == {"targets": [f"127.0.0.1:{exporter.port}"], "labels": {"job": "soul-training"}}
    exporter.close()
    assert not list(targets_folder().glob("*.json"))


def test_without_a_port_it_is_read_where_somebody_watches(stage: Path) -> None:
    opened(stage, None).close()
    assert not targets_folder().exists(), "nobody watches"
    with announced_monitor(Monitor(pid=1, prometheus="http://127.0.0.1:9090")):
        logs = opened(stage, None)
        assert len(list(targets_folder().glob("*.json"))) == 1
        logs.close()
        opened(stage, 0).close()
        assert not list(targets_folder().glob("*.json")), "0 is none"


def test_a_port_that_is_taken_is_a_persons_mistake(stage: Path) -> None:
    port = free_port()
    first = Exporter(stage, 0, 9, port)
    with pytest.raises(ConfigError, match=f"prometheus_port.*{port}"):
        Exporter(stage, 0, 9, port)
    first.close()


@pytest.mark.parametrize("port", [-1, 65536])
def test_a_port_that_there_cannot_be_is_refused(port: int) -> None:
    with pytest.raises(ValueError, match="prometheus_port"):
        MonitoringConfig(prometheus_port=port)
