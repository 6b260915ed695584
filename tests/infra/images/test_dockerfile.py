"""The Dockerfile of all images: its form, what it copies, its packages, and how its containers run."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from packaging.version import Version

from infra.config import load_section
from infra.jobs.cluster import OWN_SETTINGS
from infra.jobs.environments import VARIABLE
from infra.servers.config import ANYWHERE, ServersConfig
from infra.soul import ENTRIES
from tests.infra.images.dockerfile import (
    DEVICES,
    DOCKERFILE,
    TARGETS,
    Ignored,
    copied,
    filled,
    last,
    lineage,
    stages,
    variables,
    words,
)
from tests.paths import ROOT

LISTS = ROOT / "infra" / "environments"
SERVERS = ("vllm", "finevq")
PIN = re.compile(r"[A-Za-z0-9._-]+(\[[a-z,]+\])?==(\d+!)?[A-Za-z0-9.+]+( *;.*)?")
PADDLES_INDEX = "--extra-index-url=https://www.paddlepaddle.org.cn/"


def test_hadolint_has_nothing_to_say() -> None:
    hadolint = Path(sys.executable).parent / "hadolint"
    done = subprocess.run(
        [hadolint, "--no-color", "--failure-threshold", "style", DOCKERFILE],
        check=False,
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stdout) == (0, "")


def test_it_has_a_stage_for_every_image() -> None:
    assert set(TARGETS) <= set(stages())
    for target in TARGETS:
        for device in DEVICES:
            assert lineage(target, device)[-1].name == "base-cpu", target


def test_every_stage_stands_on_a_stage_before_it_or_on_an_image_with_a_version() -> None:
    known: set[str] = set()
    for stage in stages().values():
        for base in {filled(stage.base, device) for device in DEVICES} - known - {"scratch"}:
            image, _, tag = base.partition(":")
            assert image == "python"
            assert re.fullmatch(r"3\.\d+-slim-bookworm", tag)
        known.add(stage.name)
    for stage in stages().values():
        for rest in stage.all("COPY"):
            if rest.startswith("--from="):
                assert rest.removeprefix("--from=").split()[0] in known


@pytest.mark.parametrize("device", DEVICES)
def test_what_it_copies_is_there_and_in_the_context(device: str) -> None:
    ignored = Ignored(ROOT / ".dockerignore")
    paths = list(copied(device))
    assert paths
    for stage, path in paths:
        place = ROOT / path.strip("/")
        assert place.exists(), (stage, path)
        files = (
            [place] if place.is_file() else [file for file in place.rglob("*.py") if "__pycache__" not in file.parts]
        )
        for file in files:
            assert file.relative_to(ROOT).as_posix() not in ignored, (stage, path)


def test_the_context_holds_no_run_no_weights_no_environment_and_no_history() -> None:
    ignored = Ignored(ROOT / ".dockerignore")
    for path in (
        "runs/local/index.parquet", "models/retinaface.pth", "videos/a.mp4", ".venv/bin/python", ".git/config", ".env",
        ".venv-paddle/pyvenv.cfg", ".coverage/part", "tests/paths.py", "docs/talking.gif", "soul.egg-info/PKG-INFO",
        "infra/__pycache__/soul.cpython-311.pyc", "infra/jobs/__pycache__/job.cpython-311.pyc",
    ):  # fmt: skip
        assert path in ignored, path


def test_the_code_has_every_part_of_the_project() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    parts = {name.rstrip("*") for name in project["tool"]["setuptools"]["packages"]["find"]["include"]}
    code = {path for stage, path in copied("cpu") if stage == "code"}
    # Ray would otherwise send the nodes of a cluster the weights and runs that lie in the folder of the code.
    assert code == parts | {".gitignore", "LICENSE", "README.md", "pyproject.toml"}


def lists() -> Iterator[tuple[str, Path]]:
    """Each list of packages that is installed, with the stage."""
    for device in DEVICES:
        for stage, path in copied(device):
            if path.endswith(".txt"):
                yield stage, ROOT / path


def test_every_package_has_its_version_and_comes_from_the_registry() -> None:
    found = dict.fromkeys(path for _, path in lists())
    assert {path.name for path in found} >= {"curation.txt", "core-cuda.txt", "paddle-cpu.txt", "train-cuda.txt"}
    for path in found:
        for line in path.read_text().splitlines():
            if not line or line.startswith("#"):
                continue
            if line.startswith("-"):
                is_paddles = path.name == "paddle-cuda.txt" and line.startswith(PADDLES_INDEX)
                assert is_paddles or line.startswith(("--only-binary=", "--no-binary=")), (path.name, line)
            else:
                assert PIN.fullmatch(line), (path.name, line)


def test_what_a_build_runs_asks_the_registries_alone() -> None:
    for stage in stages().values():
        assert not stage.all("ADD"), stage.name
        for rest in stage.all("RUN"):
            assert "://" not in rest, stage.name
            assert not re.search(r"\b(curl|wget)\b(?!=)", rest), stage.name


def test_python_is_the_one_for_which_the_lists_are_made() -> None:
    image = stages()["base-cpu"].base
    python = image.removeprefix("python:").partition("-")[0]
    assert f"listed for Python {python}," in (LISTS / "build.sh").read_text()
    for _, path in lists():
        head = [line for line in path.read_text().splitlines() if line.startswith("#")]
        named = re.search(r"Python\s+(3\.\d+)", " ".join(line.lstrip("# ") for line in head))
        assert named is None or named[1] == python, path.name


def test_setuptools_has_the_version_of_the_lists_and_can_read_the_project() -> None:
    text = DOCKERFILE.read_text()
    given = set(re.findall(r"setuptools==([\d.]+)", text))
    assert len(given) == 1
    assert f"setuptools=={given.copy().pop()}\n" in (LISTS / "core-cuda.txt").read_text()
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    least = project["build-system"]["requires"][0].removeprefix("setuptools>=")
    for version in given | {
        line.removeprefix("setuptools==")
        for _, path in lists()
        for line in path.read_text().splitlines()
        if line.startswith("setuptools==")
    }:
        assert Version(version) >= Version(least)


@pytest.mark.parametrize("target", TARGETS)
def test_a_container_is_not_roots(target: str) -> None:
    for device in DEVICES:
        # As numbers: Kubernetes cannot tell of a name whether it is root's (runAsNonRoot).
        assert last(target, device, "USER") == "1000:1000"
    assert "useradd --no-log-init --uid 1000" in " ".join(stages()["base-cpu"].all("RUN"))


@pytest.mark.parametrize("target", TARGETS)
def test_a_container_runs_a_command_that_hears_sigterm(target: str) -> None:
    for device in DEVICES:
        assert words(last(target, device, "ENTRYPOINT")) == ["tini", "--", "soul"]
        assert words(last(target, device, "CMD"))[0] in {"--help", *ENTRIES}


def test_gpus_are_seen_where_the_packages_can_use_them() -> None:
    for target in TARGETS:
        assert variables(target, "cuda")["NVIDIA_VISIBLE_DEVICES"] == "all"
        assert variables(target, "cuda")["NVIDIA_DRIVER_CAPABILITIES"] == "compute,utility"
        assert not any(name.startswith("NVIDIA_") for name in variables(target, "cpu"))


def test_nodes_of_a_cluster_have_the_settings_of_our_own_clusters() -> None:
    given = variables("core", "cpu")
    for name in ("RAY_worker_killing_policy_by_group", "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO"):
        assert given[name] == OWN_SETTINGS[name]


def test_environments_are_built_where_they_are_looked_for() -> None:
    for name in ("paddle", *SERVERS):
        folder = f"{variables(name, 'cuda')[VARIABLE]}/{name}"
        assert f"build.sh python3 {folder} " in stages()[f"packages-{name}"].all("RUN")[-1]
        assert f"--from=packages-{name} {folder} {folder}" in stages()[name].all("COPY")


@pytest.mark.parametrize("name", SERVERS)
def test_a_server_listens_where_others_ask_it(name: str) -> None:
    command = words(last(name, "cuda", "CMD"))
    only, override = command[command.index("--only") + 1], command[command.index("--set") + 1]
    profile = command[command.index("--profile") + 1]
    server = load_section(ServersConfig, profile, "servers", [override]).chosen([only])[only]
    assert server.host == ANYWHERE
    assert last(name, "cuda", "EXPOSE") == str(server.port)
    health = last(name, "cuda", "HEALTHCHECK").partition("CMD ")[2]
    assert words(health)[-1] == f"http://127.0.0.1:{server.port}{server.health}"


def test_a_login_shell_finds_the_commands() -> None:
    login = ROOT / "infra" / "images" / "login.sh"
    assert "infra/images/login.sh /etc/profile.d/soul.sh" in stages()["base-cpu"].all("COPY")
    done = subprocess.run(
        ["/bin/sh", "-c", f'. {login} && echo "$PATH"'],
        check=True,
        capture_output=True,
        text=True,
        env={"PATH": "/bin"},
    )
    assert done.stdout.strip() == "/opt/venv/bin:/bin"
    assert variables("core", "cpu")["PATH"] == "/opt/venv/bin:$PATH"
