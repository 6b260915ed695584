"""Environments of ours besides the one that this process runs in, for stages whose packages clash with the others'.

Each is built beforehand by `make env-NAME`. Ray starts an actor with its Python, so that the actor sees only its
packages. The path must hold it on every node.
"""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self

import ray

from infra.config import ConfigError

VARIABLE: Final = "SOUL_ENVIRONMENTS"
"""The folder that holds the environments by name; without it they are `.venv-NAME` beside the project's code."""
ROOT: Final = Path(__file__).resolve().parents[2]


def environment_python(name: str) -> Path:
    """The Python of an environment.

    Raises:
        ConfigError: it is not built.
    """
    folder = os.environ.get(VARIABLE)
    environment = Path(folder).expanduser().absolute() / name if folder else ROOT / f".venv-{name}"
    python = environment / "bin" / "python"
    if not os.access(python, os.X_OK):
        raise ConfigError(f"environment {name!r} is not there: no {python}; `make env-{name}` builds it")
    return python


def runtime_env(name: str, *, is_joined: bool) -> dict[str, Any]:
    """Ray's `runtime_env` of an actor or task that runs in an environment.

    Args:
        name: of the environment.
        is_joined: whether the cluster was there before this run: its workers are sent the code. Otherwise they find it
            where this process has it, which an environment of its own does not know.

    Raises:
        ConfigError: it is not built.
    """
    code = {} if is_joined else {"env_vars": {"PYTHONPATH": str(ROOT)}}
    return {"py_executable": str(environment_python(name)), **code}


@dataclass(frozen=True, kw_only=True, slots=True)
class Versions:
    """What must be the same in the driver and its actors: units are pickled, and Ray speaks only with itself.

    Ray does not compare its own version when it starts a worker: one of another version joins in silence.
    """

    python: str
    """Major and minor."""
    ray: str

    @classmethod
    def here(cls) -> Self:
        """Those of this process."""
        return cls(python=f"{sys.version_info.major}.{sys.version_info.minor}", ray=ray.__version__)

    def differing(self, own: Versions) -> list[str]:
        """A phrase for each version of `own`, an environment's, that is not the driver's, which these are."""
        pairs = (("Python", own.python, self.python), ("Ray", own.ray, self.ray))
        return [f"{what} {found} where the driver has {wanted}" for what, found, wanted in pairs if found != wanted]

    def check(self, environment: str) -> None:
        """Compare the driver's, which these are, with those of this process.

        Args:
            environment: the name of the environment that this process runs in.

        Raises:
            ConfigError: they differ.
        """
        if differing := self.differing(Versions.here()):
            raise ConfigError(
                f"environment {environment!r} ({sys.executable}) has {', '.join(differing)}; "
                f"build it anew: make env-{environment}"
            )
