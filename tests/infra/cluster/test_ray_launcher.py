"""The description for Ray's cluster launcher: what Ray and AWS take of it, and what it means to our commands."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any, Final

import boto3
import pytest
import yaml
from botocore.validate import ParamValidator

from curation.pipeline import STAGES, CurationConfig
from infra.config import load_section
from infra.jobs.cluster import OWN_SETTINGS
from infra.jobs.placement import NodeResources, resolve_pools
from tests.paths import ROOT
from tests.worlds.served_models import running

RAY: Final = ROOT / "infra" / "cluster" / "ray"
READ: Final = """
import sys, json, yaml
from ray.autoscaler._private.util import prepare_config, validate_config
from ray.scripts.scripts import start
config = prepare_config(yaml.safe_load(open(sys.argv[1])))
try:
    validate_config(config)
    for words in json.loads(sys.argv[2]):
        start.make_context("start", words)
except Exception as error:
    sys.exit(getattr(error, "message", str(error)))
"""


def described() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((RAY / "aws.yaml").read_text())
    return found


def ray_starts(config: dict[str, Any]) -> list[list[str]]:
    """The options of every `ray start` in it."""
    commands = [*config["head_start_ray_commands"], *config["worker_start_ray_commands"]]
    parts = [part.strip() for command in commands for part in command.split("&&")]
    return [shlex.split(part)[2:] for part in parts if part.startswith("ray start")]


def read_by_ray(config: dict[str, Any], folder: Path) -> str:
    """What Ray's own loading says against it; empty where it says nothing. Importing Ray warns, so a process does."""
    path = folder / "cluster.yaml"
    path.write_text(yaml.safe_dump(config))
    words = [sys.executable, "-W", "ignore", "-c", READ, str(path), json.dumps(ray_starts(config))]
    read = subprocess.run(words, capture_output=True, text=True, check=False, timeout=120)
    return read.stderr.strip() if read.returncode else ""


def test_ray_loads_it_and_takes_the_options_of_its_nodes(tmp_path: Path) -> None:
    config = described()
    assert len(ray_starts(config)) == 2
    assert read_by_ray(config, tmp_path) == ""
    assert "idle_timeout" in read_by_ray({**config, "idle_timeout": 5}, tmp_path)
    assert "head_node_type" in read_by_ray({**config, "head_node_type": "main"}, tmp_path)
    mistyped = [each.replace("--num-cpus", "--num-cpu") for each in config["head_start_ray_commands"]]
    assert "num-cpu" in read_by_ray({**config, "head_start_ray_commands": mistyped}, tmp_path)


def complaints_of_aws(node_config: dict[str, Any]) -> str:
    """What EC2's own description of its request says against a machine."""
    client = boto3.client("ec2", region_name="us-west-2")
    shape = client.meta.service_model.operation_model("RunInstances").input_shape
    report = ParamValidator().validate({**node_config, "MinCount": 1, "MaxCount": 1}, shape)
    return str(report.generate_report())


def test_aws_takes_every_machine() -> None:
    for name, kind in described()["available_node_types"].items():
        assert complaints_of_aws(kind["node_config"]) == "", name
    assert "Unknown parameter" in complaints_of_aws({"InstanceTyp": "m7i.large"})


def test_the_head_takes_no_work_and_stays_and_only_spot_machines_may_go() -> None:
    config = described()
    kinds = config["available_node_types"]
    head = kinds[config["head_node_type"]]
    assert head["resources"] == {"CPU": 0, "GPU": 0}
    assert "--num-cpus=0" in ray_starts(config)[0]
    spot = {name for name, kind in kinds.items() if "InstanceMarketOptions" in kind["node_config"]}
    assert spot == {name for name in kinds if "spot" in name} == {"gpu-spot"}
    assert {kinds[name]["resources"].get("GPU", 0) for name in kinds if "gpu" in name} == {1}
    # A run is refused where no node holds an actor of a pool, so there is one of each from the beginning.
    assert kinds["cpu"]["min_workers"] >= 1
    assert kinds["gpu"]["min_workers"] >= 1
    assert sum(kind["max_workers"] for kind in kinds.values()) >= config["max_workers"]


def test_the_first_machines_hold_the_pools_of_the_production_profile() -> None:
    kinds = described()["available_node_types"].values()
    first = [NodeResources.from_ray(kind["resources"]) for kind in kinds for _ in range(kind["min_workers"])]
    config = load_section(CurationConfig, "production", "curation")
    nodes = [replace(node, memory_gb=64.0) for node in first]
    placed = resolve_pools(config.execution.pools, tuple(STAGES), nodes)
    on_gpu, beside = (
        sum(pool.actors.min * pool.config.num_cpus for pool in placed if (pool.config.num_gpus > 0) is is_on_gpu)
        for is_on_gpu in (True, False)
    )
    # The sums alone do not say that the actors of a GPU find CPUs on its machine.
    (gpu,), (cpus,) = ([node for node in nodes if (node.num_gpus > 0) is is_gpu] for is_gpu in (True, False))
    assert on_gpu <= gpu.num_cpus
    assert beside + config.execution.writer_cpus <= cpus.num_cpus


def test_ray_makes_no_security_group_which_would_let_everybody_in() -> None:
    """Ray's own rules allow port 22 from any address, and what `provider.security_group` says comes on top."""
    config = described()
    assert "security_group" not in config["provider"]
    for name, kind in config["available_node_types"].items():
        assert kind["node_config"]["SecurityGroupIds"] == ["sg-REPLACE"], name


def test_no_keys_are_written_down() -> None:
    text = (RAY / "aws.yaml").read_text()
    assert not re.search(r"AKIA|ACCESS_KEY|SECRET|TOKEN=", text)
    machines = [kind["node_config"] for kind in described()["available_node_types"].values()]
    assert all(machine["IamInstanceProfile"] == {"Name": "soul"} for machine in machines)


def test_nodes_have_the_settings_of_our_own_clusters_and_targets_that_there_are() -> None:
    setup = " ".join(described()["setup_commands"])
    for name, value in OWN_SETTINGS.items():
        if name != "RAY_BACKEND_LOG_LEVEL":  # for a terminal alone
            assert f"{name}={value}" in setup
    # `make --dry-run` will not do: make runs a recipe that calls make.
    makefile = (ROOT / "Makefile").read_text()
    for name, device in re.findall(r"make env-(\S+) DEVICE=(\S+) PYTHON=python3.11 SOUL_ENVIRONMENTS=", setup):
        assert re.search(rf"^MODEL_ENVIRONMENTS = .*\benv-{name}\b", makefile, re.MULTILINE)
        assert (ROOT / "infra" / "environments" / f"{name}-{device}.txt").exists()
    assert setup.count("make env-") == setup.count("PYTHON=python3.11 SOUL_ENVIRONMENTS=/opt/environments") == 2
    (mounted,) = described()["file_mounts"].values()
    assert (RAY.parents[2] / mounted / "Makefile").exists()


def test_variables_reach_every_shell(tmp_path: Path) -> None:
    (command,) = (each for each in described()["setup_commands"] if ".bashrc" in each)
    (tmp_path / ".bashrc").write_text("# If not running interactively, don't do anything\nreturn\n")
    home = {"HOME": str(tmp_path), "PATH": os.environ["PATH"]}
    for _ in range(2):
        subprocess.run(["bash", "-c", command], env=home, check=True)
    shown = "source ~/.bashrc; echo $SOUL_ENVIRONMENTS $TMPDIR $RAY_worker_killing_policy_by_group $PATH"
    told = subprocess.run(["bash", "-c", shown], env=home, capture_output=True, text=True, check=True).stdout
    assert told.split()[:3] == ["/opt/environments", "/scratch", "true"]
    assert told.split()[3].startswith("/opt/environments/core/bin:")
    assert (tmp_path / ".bashrc").read_text().count("SOUL_ENVIRONMENTS") == 1


@contextmanager
def metadata(*answers: int) -> Iterator[tuple[str, list[str]]]:
    """A machine's metadata, which answers requests for a notice so; its address, and what it was asked."""
    asked: list[str] = []
    left = iter(answers)

    class Handler(BaseHTTPRequestHandler):
        def do_PUT(self) -> None:
            self.answer(200, b"the token")

        def do_GET(self) -> None:
            asked.append(f"{self.path} {self.headers['X-aws-ec2-metadata-token']}")
            self.answer(next(left), b"{}")

        def answer(self, status: int, body: bytes) -> None:
            self.send_response(status)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (its name in the base class)
            """Say nothing."""

    with running(Handler) as address:
        yield address, asked


def test_a_spot_machine_leaves_when_aws_says_that_it_goes(tmp_path: Path) -> None:
    python = tmp_path / "python"
    python.write_text(f'#!/bin/bash\necho "$@" > {tmp_path}/called\n')
    python.chmod(0o755)
    with metadata(404, 200) as (address, asked):
        environment = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "METADATA": address}
        subprocess.run(["bash", str(RAY / "spot-notice.sh"), "110"], env=environment, check=True, timeout=60)
    assert asked == ["/latest/meta-data/spot/instance-action the token"] * 2
    assert (tmp_path / "called").read_text() == "-m infra.jobs.leaving --within 110\n"


def test_the_notice_is_shorter_than_what_aws_gives() -> None:
    (command,) = (each for each in described()["worker_start_ray_commands"] if "spot-notice" in each)
    found = re.search(r"spot-notice.sh (\d+)", command)
    assert found is not None
    assert 60 <= int(found[1]) < 120


@pytest.mark.parametrize("script", sorted(RAY.glob("*.sh")), ids=lambda path: path.name)
def test_scripts_are_bash(script: Path) -> None:
    subprocess.run(["bash", "-n", str(script)], check=True)
