"""The run directory that is meant when none is named: the same for the commands and for make."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

from curation.__main__ import COMMANDS
from infra.command_line import parse_command
from infra.default_run import default_run
from tests.paths import ROOT

SHELL = {
    name: value
    for name, value in os.environ.items()
    if name not in {"MODEL", "IMAGE", "AUDIO", "PROMPT", "OUT", "RUN", "PROFILE", "INPUT"}
    and not name.startswith(("MAKE", "MFLAGS"))
}


def made(folder: Path, *words: str) -> str:
    """The run directory that make passes on."""
    command = ["make", "--dry-run", "--silent", "-f", str(ROOT / "Makefile"), "INSTALLED=", "CURATES=", *words]
    said = subprocess.run(command, cwd=folder, env=SHELL, check=True, capture_output=True, text=True).stdout
    found = re.search(r'--run "([^"]*)"', said)
    assert found is not None, said
    return found.group(1)


def curated(folder: Path, *runs: str) -> None:
    for run in runs:
        (folder / "runs" / run / "shards").mkdir(parents=True)


@pytest.mark.parametrize(
    ("words", "typed", "right"),
    [
        (["curate"], ["run"], "runs/sample"),
        (["curate", "INPUT=/data"], ["run", "/data"], "runs/local"),
        (["curate", "INPUT=/data", "PROFILE=production"], ["run", "/data", "--profile=production"], "runs/production"),
        (
            ["curate", "INPUT=/data", "PROFILE=/my/small.yaml"],
            ["run", "/data", "--profile", "/my/small.yaml"],
            "runs/small",
        ),
        (["curate", "INPUT=/data", "RUN=runs/x"], ["run", "/data", "--run", "runs/x"], "runs/x"),
    ],
)
def test_the_sample_bucket_has_a_run_of_its_own(
    words: list[str], typed: list[str], right: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    commands = {"run": COMMANDS["plan"]}
    assert parse_command("prog", "", commands, typed)[1].run == right
    assert made(tmp_path, *words) == right


@pytest.mark.parametrize(
    ("there", "profile", "right"),
    [
        ((), "local", "runs/local"),
        (("sample",), "local", "runs/sample"),
        (("sample", "local"), "local", "runs/local"),
        (("sample",), "production", "runs/production"),
    ],
)
def test_what_comes_after_curating_goes_on_with_ones_own_videos(
    there: tuple[str, ...], profile: str, right: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    curated(tmp_path, *there)
    monkeypatch.chdir(tmp_path)
    assert default_run(profile, None) == right
    for target in ("encode", "train", "codebook", "report"):
        assert made(tmp_path, target, "STAGE=720p", f"PROFILE={profile}") == right
    assert made(tmp_path, "demo") == "runs/sample"


def test_scoring_before_training_says_what_to_do(tmp_path: Path) -> None:
    for target in ("bench", "negatives"):
        command = ["make", "--silent", "-f", str(ROOT / "Makefile"), "INSTALLED=", target, "STAGE=720p"]
        made = subprocess.run(command, cwd=tmp_path, env=SHELL, check=False, capture_output=True, text=True)
        assert made.returncode == 2
        first, *_ = made.stderr.splitlines()
        assert first == "soul: runs/local/model is not there: train first (make train STAGE=720p), or MODEL=pretrained"
        assert made.stdout == ""


@pytest.mark.parametrize(
    ("trained", "words", "speaker"),
    [
        (False, (), "pretrained"),
        (False, ("IMAGE=face.png", "AUDIO=speech.wav"), "pretrained"),
        (True, (), "pretrained"),
        (True, ("AUDIO=speech.wav",), "pretrained"),
        (True, ("IMAGE=face.png", "AUDIO=speech.wav"), "runs/local/model"),
        (True, ("MODEL=other",), "other"),
        (False, ("MODEL=other", "AUDIO=speech.wav"), "other"),
    ],
)
def test_who_speaks(trained: bool, words: tuple[str, ...], speaker: str, tmp_path: Path) -> None:
    if trained:
        (tmp_path / "runs/local/model").mkdir(parents=True)
    echo = 'PY=printf "%s\\n"'
    command = ["make", "--silent", "-f", str(ROOT / "Makefile"), "INSTALLED=", echo, "generate", *words]
    said = subprocess.run(command, cwd=tmp_path, env=SHELL, check=True, capture_output=True, text=True).stdout.split()
    given = {option: said[said.index(option) + 1] for option in said if option.startswith("--")}
    assert given.pop("--model") == speaker
    assert given.pop("--out") == "runs/local/generated/video.mp4"
    names = {"--image": "IMAGE", "--audio": "AUDIO"}
    assert {f"{names[option]}={value}" for option, value in given.items()} == {w for w in words if "MODEL" not in w}
