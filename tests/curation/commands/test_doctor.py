"""The doctor names what each backend runs with and lacks; a run refuses to begin with the same lines."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from ray._private.accelerators import NvidiaGPUAcceleratorManager

from curation.__main__ import main
from tests.worlds.videos import add_video

SYNCNET = ["--set", "stages.sync.backend=syncnet"]


def missing(text: str) -> list[str]:
    return [line for line in text.splitlines() if line.startswith("missing  ")]


def test_what_is_there_is_named_and_the_profile_can_run(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor"]) == 0
    printed = capsys.readouterr().out
    assert "local can run here" in printed
    assert not missing(printed)


def test_missing_weights_are_a_line_of_their_own_and_a_run_refuses_with_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    weights = str(tmp_path / "syncnet.model")
    chosen = [*SYNCNET, "--set", f"models.syncnet.weights={weights}"]
    assert main(["doctor", *chosen]) == 1
    printed = capsys.readouterr()
    (line,) = missing(printed.out)
    assert weights in line
    assert printed.err == "soul: local cannot run here: 1 of the lines above begin with `missing`\n"

    add_video(tmp_path / "bucket", "a.mp4", size=(320, 240), seconds=0.4)
    run = tmp_path / "run"
    assert main(["run", str(tmp_path / "bucket"), "--run", str(run), "--engine", "inline", *chosen]) == 2
    refused = capsys.readouterr()
    assert missing(refused.out) == [line]
    assert not run.exists(), "nothing is made for a run that cannot begin"


def test_an_environment_that_is_not_built_names_its_target(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SOUL_ENVIRONMENTS", str(tmp_path))
    pools = "execution.pools=[{name: a, environment: paddle}]"
    assert main(["doctor", "--set", pools]) == 1
    assert "make env-paddle" in missing(capsys.readouterr().out)[0]


def test_an_environment_of_another_ray_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    python = tmp_path / "paddle" / "bin" / "python"
    python.parent.mkdir(parents=True)
    shown = f'{{"python": "{sys.version_info.major}.{sys.version_info.minor}", "ray": "2.1.0"}}'
    python.write_text(f"#!/bin/sh\necho '{shown}'\n")
    python.chmod(0o755)
    monkeypatch.setenv("SOUL_ENVIRONMENTS", str(tmp_path))
    assert main(["doctor", "--set", "execution.pools=[{name: a, environment: paddle}]"]) == 1
    assert "has Ray 2.1.0 where the driver has" in missing(capsys.readouterr().out)[0]


@pytest.mark.parametrize("num_gpus", [0, 1])
def test_gpus_that_this_machine_lacks_are_told(
    num_gpus: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setattr(NvidiaGPUAcceleratorManager, "get_current_node_num_accelerators", lambda: num_gpus)
    assert main(["doctor", "--set", "execution.pools=[{name: a, num_gpus: 0.5}]"]) == (0 if num_gpus else 1)
    told = [] if num_gpus else ["missing  pool 'a' reserves 0.5 GPUs an actor, and this machine has none"]
    assert missing(capsys.readouterr().out) == told
