"""Environments of ours: where they are, and whether what runs in one fits the driver."""

from __future__ import annotations

import sys
import venv
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import ray

from infra.config import ConfigError
from infra.jobs import pool_worker
from infra.jobs.engine import run_in_pool, run_on_ray
from infra.jobs.environments import ROOT, VARIABLE, Versions, environment_python, runtime_env
from infra.jobs.placement import ExecutionConfig, PoolConfig
from infra.jobs.progress import Progress
from tests.worlds.toy_job import ToyJob, Unit

POOL = PoolConfig(name="text", actors=1, num_cpus=0.5, environment="paddle")


@pytest.fixture
def paddle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An environment with the packages of this one, and its Python."""
    folder = tmp_path / "environments" / "paddle"
    venv.create(folder, symlinks=True)
    (packages,) = folder.glob("lib/python*/site-packages")
    (packages / "ours.pth").write_text("".join(f"{path}\n" for path in sys.path if path.endswith("site-packages")))
    monkeypatch.setenv(VARIABLE, str(folder.parent))
    return folder / "bin" / "python"


def test_an_environment_is_beside_the_code_or_where_the_variable_says(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    missing = (
        rf"\Aenvironment 'nowhere' is not there: no {ROOT}/.venv-nowhere/bin/python; `make env-nowhere` builds it\Z"
    )
    with pytest.raises(ConfigError, match=missing):
        environment_python("nowhere")
    monkeypatch.setenv(VARIABLE, str(tmp_path))
    with pytest.raises(ConfigError, match=f"no {tmp_path}/nowhere/bin/python"):
        environment_python("nowhere")


def test_the_workers_of_a_cluster_of_our_own_find_the_code(paddle: Path) -> None:
    own = runtime_env("paddle", is_joined=False)
    assert own == {"py_executable": str(paddle), "env_vars": {"PYTHONPATH": str(ROOT)}}
    assert runtime_env("paddle", is_joined=True) == {"py_executable": str(paddle)}


@pytest.mark.parametrize(
    ("changed", "line"),
    [
        ({"ray": "2.59.0"}, f"Ray {ray.__version__} where the driver has 2.59.0;"),
        ({"python": "3.99"}, f"Python {sys.version_info[0]}.{sys.version_info[1]} where the driver has 3.99;"),
        ({"python": "3.99", "ray": "1"}, f"where the driver has 3.99, Ray {ray.__version__} where the driver has 1;"),
    ],
)
def test_what_differs_is_said_in_one_line(changed: dict[str, str], line: str) -> None:
    here = Versions.here()
    here.check("paddle")
    with pytest.raises(ConfigError) as told:
        replace(here, **changed).check("paddle")
    assert str(told.value).startswith(f"environment 'paddle' ({sys.executable}) has ")
    assert line in str(told.value)
    assert str(told.value).endswith("build it anew: make env-paddle")


def fails_to_import() -> None:
    raise ModuleNotFoundError("No module named 'scenedetect'")


class Needy:
    """Cannot be unpickled without a package."""

    def __reduce__(self) -> tuple[Callable[[], None], tuple[()]]:
        return fails_to_import, ()


def test_a_package_that_an_environment_lacks_is_named() -> None:
    job = ray.cloudpickle.dumps(Needy())
    with pytest.raises(
        ConfigError, match=r"environment 'paddle' \(.*\) cannot import .*: No module named 'scenedetect'"
    ):
        pool_worker.unpickled(job, POOL, Versions.here())
    with pytest.raises(ModuleNotFoundError):
        pool_worker.unpickled(job, replace(POOL, environment=None), Versions.here())


def test_an_environment_that_is_not_built_is_told_before_the_directory_is_taken_over(
    ray_cluster: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(VARIABLE, str(tmp_path))
    job = ToyJob(out=tmp_path / "out", execution=ExecutionConfig(pools=(POOL,)))
    with pytest.raises(ConfigError, match="make env-paddle"):
        run_on_ray([Unit(name="a")], job, lambda _: None)
    assert not job.out.exists()


@pytest.mark.slow
def test_actors_run_in_their_environment_and_refuse_another_ray(
    ray_cluster: None, paddle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pools = (replace(POOL, stages=("first",)), PoolConfig(name="all", stages=("second",), actors=1, num_cpus=0.5))
    job, seen = ToyJob(out=tmp_path / "out", execution=ExecutionConfig(pools=pools)), list[Progress]()
    assert run_in_pool(job, lambda: sys.executable) == str(paddle)
    run_on_ray([Unit(name="a")], job, seen.append)
    assert job.results() == {"a": "first second"}
    other = replace(Versions.here(), ray="2.59.0")
    monkeypatch.setattr(Versions, "here", lambda: other)
    with pytest.raises(
        ConfigError, match=rf"\Aenvironment 'paddle' \({paddle}\) has Ray .* where the driver has 2.59.0"
    ):
        run_on_ray([Unit(name="b")], job, lambda _: None)
