"""Servers on a real Ray cluster of this machine, by Ray Serve, with small processes in place of models."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml

from infra.servers.process import free_port
from tests.paths import ROOT
from tests.worlds.waiting import until

pytest.importorskip("starlette", reason="Ray Serve is not installed: pip install 'ray[serve]'")
pytest.importorskip("grpc_reflection", reason="Ray Serve is not installed: pip install 'ray[serve]'")
pytestmark = pytest.mark.slow

PATIENCE_S = 240.0
URL = "http://127.0.0.1:8000/captions"


LOOPBACK_ALONE = {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0", "RAY_AUTH_MODE": "disabled"}
"""As the clusters that a run starts for itself."""


def ask(path: str, body: bytes | None = None) -> dict[str, Any]:
    request = urllib.request.Request(f"{URL}{path}", body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=30) as answer:
        return dict(json.load(answer))


def gone(number: int) -> bool:
    return not psutil.pid_exists(number) or psutil.Process(number).status() == "zombie"


@pytest.fixture(scope="module")
def cluster() -> Iterator[dict[str, str]]:
    """Variables for a cluster that ends with the test; `ray stop` would end every cluster of the machine."""
    port = free_port()
    words = [sys.executable, "-m", "ray.scripts.scripts", "start", "--head", "--block", "--disable-usage-stats"]
    words += ["--node-ip-address=127.0.0.1", f"--port={port}", "--num-cpus=4", "--include-dashboard=false"]
    variables = {**os.environ, **LOOPBACK_ALONE}
    head = subprocess.Popen(
        words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=variables, start_new_session=True
    )
    try:
        assert head.stdout is not None
        assert any("block forever" in line for line in iter(head.stdout.readline, ""))
        yield {**variables, "RAY_ADDRESS": f"127.0.0.1:{port}"}
    finally:
        family = psutil.Process(head.pid).children(recursive=True)
        os.killpg(head.pid, signal.SIGTERM)
        _, left = psutil.wait_procs(family, timeout=10)
        for process in left:
            process.kill()
        head.communicate()


@pytest.fixture
def profile(tmp_path: Path) -> Path:
    words = ["{python}", "-m", "tests.infra.servers.stand_in", "{host}", "{port}"]
    servers = {
        "captions": {"program": [*words, "family"], "port": 1, "num_gpus": 0},
        "dying": {"program": [*words, "dies"], "port": 2, "num_gpus": 0},
    }
    path = tmp_path / "served.yaml"
    path.write_text(yaml.safe_dump({"servers": {"other": servers}}))
    return path


def serve_models(profile: Path, name: str, variables: dict[str, str]) -> subprocess.Popen[str]:
    words = [sys.executable, "-m", "curation", "serve-models", "--on-cluster", "--profile", str(profile)]
    return subprocess.Popen([*words, "--only", name], cwd=ROOT, stderr=subprocess.PIPE, text=True, env=variables)


def test_requests_reach_a_server_that_is_replaced_when_it_dies(cluster: dict[str, str], profile: Path) -> None:
    command = serve_models(profile, "captions", cluster)
    try:
        assert command.stderr is not None
        assert any("captions answers at http://HEAD:8000" in line for line in iter(command.stderr.readline, ""))
        answer = ask("/v1/chat?x=1", b'{"a": 1}')
        assert (answer["path"], answer["body"]) == ("/v1/chat?x=1", '{"a": 1}')
        with pytest.raises(urllib.error.HTTPError, match="404"):
            ask("/gone")
        os.kill(answer["pid"], signal.SIGKILL)
        again = until(lambda: (found := ask("/health"))["pid"] != answer["pid"] and found, patience_s=PATIENCE_S)
        assert gone(answer["child"])
    finally:
        command.send_signal(signal.SIGTERM)
        _, errors = command.communicate(timeout=PATIENCE_S)
    assert (command.returncode, errors.splitlines()[-1]) == (130, "soul: interrupted; the servers are ended")
    until(lambda: gone(again["pid"]) and gone(again["child"]), patience_s=PATIENCE_S)


def test_a_server_that_does_not_start_is_told_with_its_last_words(cluster: dict[str, str], profile: Path) -> None:
    command = serve_models(profile, "dying", cluster)
    _, errors = command.communicate(timeout=PATIENCE_S)
    assert command.returncode == 1
    last = errors.splitlines()[-1]
    assert last.startswith("soul: dying does not start: dying ended with status 1; the last lines of ")
    assert last.endswith("loading the weights | no weights in models/nothing")


def test_without_a_cluster_it_is_a_persons_mistake(profile: Path) -> None:
    variables = {key: value for key, value in os.environ.items() if key != "RAY_ADDRESS"}
    command = serve_models(profile, "captions", variables)
    _, errors = command.communicate(timeout=PATIENCE_S)
    assert (command.returncode, errors.count("\n")) == (2, 1)
    assert "--on-cluster needs RAY_ADDRESS" in errors
