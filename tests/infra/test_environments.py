"""The pinned environments agree with each other and with what the project asks for."""

from __future__ import annotations

import os
import re
import subprocess
import tomllib
from collections.abc import Iterable
from importlib.metadata import distributions
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from infra.command_line import TRAINING_MODULES
from tests.paths import ROOT

FOLDER = ROOT / "infra" / "environments"
INSTEAD = {"faiss-cpu": "faiss-gpu"}
"""What the environment for GPUs has in the place of another package."""


def pins(name: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for line in (FOLDER / name).read_text().splitlines():
        if line and not line.startswith(("#", "--")):
            package, separator, version = line.partition("==")
            assert separator, f"{line} is not pinned"
            found[canonicalize_name(package)] = version
    return found


def asked(*, training: bool) -> list[Requirement]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    further = project["optional-dependencies"]["train"] if training else []
    return [Requirement(each) for each in (*project["dependencies"], *further)]


@pytest.mark.parametrize("name", ["curation.txt", "local.txt", "train-cuda.txt"])
def test_all_that_the_project_asks_for_is_pinned(name: str) -> None:
    pinned = pins(name)
    for requirement in asked(training=name != "curation.txt"):
        package: str = canonicalize_name(requirement.name)
        package = INSTEAD.get(package, package) if name == "train-cuda.txt" else package
        assert requirement.specifier.contains(pinned[package], prereleases=True), requirement


def test_curation_has_the_versions_that_training_has_and_nothing_of_its_own() -> None:
    curation = pins("curation.txt")
    assert curation.items() <= pins("local.txt").items()
    assert not curation.keys() & {"torch", "deepspeed", "transformers", "opencv-python"}


def test_the_modules_that_curation_lacks_are_those_of_the_extra() -> None:
    named = {requirement.name for requirement in asked(training=True)} - {r.name for r in asked(training=False)}
    modules = {
        "faiss-cpu": "faiss",
        "pi-heif": "pi_heif",
        "fastapi-offline": "fastapi_offline",
        "huggingface-hub": "huggingface_hub",
        "python-multipart": "python_multipart",
    }
    assert {modules.get(name, name) for name in named} == TRAINING_MODULES


def test_both_environments_have_the_same_versions() -> None:
    local, cuda = pins("local.txt"), pins("train-cuda.txt")
    assert {name: version for name, version in cuda.items() if local.get(name, version) != version} == {}


def test_the_environment_for_gpus_compiles_nothing() -> None:
    lines = (FOLDER / "train-cuda.txt").read_text().splitlines()
    assert "--only-binary=:all:" in lines
    assert [line for line in lines if line.startswith("--no-binary")] == ["--no-binary=deepspeed"]
    # Two packages that are the same module would overwrite each other.
    assert not pins("train-cuda.txt").keys() & {"faiss-cpu", "opencv-python", "flash-attn"}


def made(*words: str) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))}
    return subprocess.run(
        ["make", "--dry-run", *words], cwd=ROOT, env=environment, check=False, capture_output=True, text=True
    )


def needed(names: Iterable[str]) -> set[str]:
    """Packages of these names that are installed here, and all that they need."""
    found: set[str] = set()
    waiting = [canonicalize_name(name) for name in names]
    while waiting:
        name = waiting.pop()
        if name in found or not (installed := list(distributions(name=name))):
            continue
        found.add(name)
        asked_for = map(Requirement, installed[0].requires or ())
        waiting += [canonicalize_name(each.name) for each in asked_for if not each.marker or each.marker.evaluate()]
    return found


def test_what_the_studio_needs_beside_the_project_is_pinned() -> None:
    gradio, project = needed(["gradio"]), needed(requirement.name for requirement in asked(training=True))
    assert "pandas" in gradio - project
    assert gradio - project <= pins("studio.txt").keys()


@pytest.mark.parametrize(("device", "file"), [("cuda", "train-cuda.txt"), ("cpu", "local.txt")])
def test_make_builds_the_environment_of_a_device(device: str, file: str) -> None:
    text = made("env-train", f"DEVICE={device}", "--always-make").stdout
    assert set(re.findall(r"infra/environments/\S+", text)) == {f"infra/environments/{file}"}
    assert ".venv-train/bin/python" in text
    assert ("DS_BUILD_OPS=0" in text) is (device == "cuda")


def test_an_environment_is_renewed_from_the_file_that_it_was_built_from(tmp_path: Path) -> None:
    assert "local.txt" in made("env", f"VENV={tmp_path}").stdout
    (tmp_path / ".cuda").touch()
    assert "train-cuda.txt" in made("env", f"VENV={tmp_path}").stdout


def test_another_device_is_refused() -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))}
    refused = subprocess.run(
        ["make", "env-train", "DEVICE=tpu"], cwd=ROOT, env=environment, check=False, capture_output=True, text=True
    )
    assert refused.returncode == 2
    assert "soul: give DEVICE=cuda or DEVICE=cpu" in refused.stderr
