"""Whether a profile can run: for each backend that it chooses, the environment, the packages, the weights, the server.

What is on this machine is looked at; on a cluster, weights and environments must lie at the same paths on every node.
"""

from __future__ import annotations

import importlib.metadata
import json
import subprocess
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Final

from ray._private.accelerators import NvidiaGPUAcceleratorManager

from curation.backends.settings import ModelSettings
from curation.pipeline import CurationConfig, Use, methods_in_use
from infra.config import ConfigError
from infra.jobs.environments import Versions, environment_python
from infra.jobs.placement import PoolConfig
from infra.jobs.reach import given_address

ASK_VERSIONS: Final = """\
import importlib.metadata, json, sys
def version(name):
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None
print(json.dumps({"python": "%d.%d" % sys.version_info[:2], **{name: version(name) for name in sys.argv[1:]}}))
"""
PROBE_TIMEOUT_S: Final = 60.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Readiness:
    """What one backend of a stage runs with, and what it lacks."""

    stage: str
    backend: str
    environment: str | None
    """None for the environment that the run itself has."""
    uses: tuple[str, ...] = ()
    """Weights, servers and versions of packages."""
    missing: tuple[str, ...] = ()
    """One line each, with how to get it."""

    @property
    def ready(self) -> bool:
        """Whether it can run."""
        return not self.missing


def readiness(config: CurationConfig) -> list[Readiness]:
    """Every place of the pipeline, in the order of the stages.

    Raises:
        ConfigError: a backend is chosen that does not exist.
    """
    uses = methods_in_use(config.stages)
    packages: dict[str | None, set[str]] = {}
    for use in uses:
        wanted = packages.setdefault(_environment(config, use), {"ray"})
        for model in _models(config, use):
            wanted.update(model.packages)
    with ThreadPoolExecutor(16) as threads:  # servers that do not answer take their time
        probes = {name: threads.submit(_probe, name, sorted(wanted)) for name, wanted in packages.items()}
        found = {name: probe.result() for name, probe in probes.items()}
        return list(threads.map(lambda use: _check(config, use, found[_environment(config, use)]), uses))


def lacking_gpus(config: CurationConfig) -> list[str]:
    """Pools that reserve GPUs where the run would start Ray on this machine, which has none."""
    if given_address() is not None or NvidiaGPUAcceleratorManager.get_current_node_num_accelerators():
        return []
    return [
        f"pool {pool.name!r} reserves {pool.num_gpus:g} GPUs an actor, and this machine has none"
        for pool in config.execution.pools
        if pool.num_gpus
    ]


@dataclass(frozen=True, kw_only=True, slots=True)
class _Probe:
    """What an environment holds."""

    versions: Mapping[str, str | None]
    problem: str | None = None
    """Why it cannot be used at all."""


def _environment(config: CurationConfig, use: Use) -> str | None:
    return next((pool.environment for pool in config.execution.pools if _runs(pool, use)), None)


def _runs(pool: PoolConfig, use: Use) -> bool:
    return not pool.stages or use.place.stage in pool.stages


def _models(config: CurationConfig, use: Use) -> list[ModelSettings]:
    return [getattr(config.models, name) for name in use.method.models]


def _check(config: CurationConfig, use: Use, probe: _Probe) -> Readiness:
    result = Readiness(stage=use.place.stage, backend=use.name, environment=_environment(config, use))
    missing = [] if probe.problem is None else [probe.problem]
    uses: list[str] = []
    for model in _models(config, use):
        lacks = model.missing()
        missing += lacks
        uses += [] if lacks else [model.found()]
        for package in model.packages if probe.problem is None else ():
            version = probe.versions[package]
            if version is None:
                missing.append(f"package {package} is not installed in {_called(result.environment)}")
            else:
                uses.append(f"{package} {version}")
    return replace(result, uses=tuple(dict.fromkeys(uses)), missing=tuple(dict.fromkeys(missing)))


def _called(environment: str | None) -> str:
    return "the environment of this run" if environment is None else f"environment {environment!r}"


def _probe(name: str | None, packages: Iterable[str]) -> _Probe:
    """The versions of packages in an environment, asked of its own Python."""
    if name is None:
        return _Probe(versions={package: _version(package) for package in packages})
    try:
        python = environment_python(name)
    except ConfigError as error:
        return _Probe(versions={}, problem=str(error))
    try:
        done = subprocess.run(
            [str(python), "-c", ASK_VERSIONS, *packages],
            capture_output=True, text=True, check=True, timeout=PROBE_TIMEOUT_S,
        )  # fmt: skip
        versions = json.loads(done.stdout)
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        return _Probe(versions={}, problem=f"environment {name!r} does not run: {error}")
    differing = Versions.here().differing(Versions(python=versions["python"], ray=versions["ray"]))
    problem = f"environment {name!r} has {', '.join(differing)}: make env-{name}" if differing else None
    return _Probe(versions=versions, problem=problem)


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None
