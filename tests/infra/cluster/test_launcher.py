"""The description for Ray's own launcher, held to Ray's schema, to Ray's loading of it, and to its command line."""

from __future__ import annotations

import re
import shlex
from typing import Any

import pytest
import yaml
from ray.autoscaler._private import util
from ray.scripts.scripts import cli

from tests.paths import ROOT

PATH = ROOT / "infra/cluster/ray/aws.yaml"


def config() -> dict[str, Any]:
    return dict(yaml.safe_load(PATH.read_text()))


def test_ray_takes_it() -> None:
    whole = util.prepare_config(config())
    util.validate_config(whole)
    assert whole["available_node_types"].keys() == config()["available_node_types"].keys()


def test_ray_refuses_what_it_does_not_know() -> None:
    with pytest.raises(Exception, match="max_worker"):
        util.validate_config({**util.prepare_config(config()), "max_worker": 4})


def test_the_head_takes_no_work_and_no_machine_is_paid_for_without_any() -> None:
    kinds = config()["available_node_types"]
    head = kinds.pop(config()["head_node_type"])
    assert (head["resources"]["CPU"], head["max_workers"]) == (0, 0)
    assert "InstanceMarketOptions" not in head["node_config"], "the ledger must stay"
    assert {kind["min_workers"] for kind in kinds.values()} == {0}
    assert all(kind["resources"]["CPU"] > 0 for kind in kinds.values())
    assert any("InstanceMarketOptions" in kind["node_config"] for kind in kinds.values())


@pytest.mark.parametrize("which", ["head", "worker"])
def test_rays_command_line_takes_its_words(which: str) -> None:
    *_, line = config()[f"{which}_start_ray_commands"]
    assert "RAY_worker_killing_policy_by_group=true" in line
    words = shlex.split(re.sub(r"^.*?/ray start", "", line, flags=re.DOTALL))
    start = cli.get_command(None, "start")
    assert start is not None
    parsed = start.make_context("start", words)
    assert parsed.params["metrics_export_port"] == 8080
    assert parsed.params["head"] is (which == "head")


def test_what_is_built_and_started_is_in_the_makefile() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    made = re.findall(r"make ([a-z-]+)", " ".join(config()["setup_commands"]))
    assert made
    assert set(made) <= targets
