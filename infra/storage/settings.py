"""By what a process reaches its object stores: what the driver was given must reach every worker of a cluster."""

from __future__ import annotations

import os
from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any, Final, Self

import fsspec.config

PREFIXES: Final = ("AWS_", "FSSPEC_", "GCSFS_", "GOOGLE_CLOUD_", "AZURE_STORAGE_", "HF_ENDPOINT", "HF_TOKEN")
"""Beginnings of the environment variables that stores' clients read."""
OF_THE_MACHINE: Final = frozenset(
    {
        "AWS_EXECUTION_ENV",
        "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
        "AWS_CONTAINER_CREDENTIALS_FULL_URI",
        "AWS_CONTAINER_AUTHORIZATION_TOKEN",
        "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
        "AWS_ROLE_ARN",
        "AWS_ROLE_SESSION_NAME",
        "AWS_WEB_IDENTITY_TOKEN_FILE",
    }
)
"""Those of them that say where a process runs, or who it is there, and hold nowhere else: a pod's service account has
an identity of its own, whose token is a file of the pod."""


@dataclass(frozen=True, kw_only=True, slots=True)
class StorageSettings:
    """Settings of stores' clients. They hold secrets: nothing prints them, and they travel with the work alone."""

    environment: Mapping[str, str] = field(default_factory=dict, repr=False)
    config: Mapping[str, Any] = field(default_factory=dict, repr=False)
    """What fsspec has been configured with, by environment variables or files."""

    @classmethod
    def here(cls) -> Self:
        """Those of this process."""
        own = {
            name: value
            for name, value in os.environ.items()
            if name.startswith(PREFIXES) and name not in OF_THE_MACHINE
        }
        return cls(environment=own, config=deepcopy(fsspec.config.conf))

    def apply(self) -> None:
        """Make them this process's own; what only this machine has been given stays."""
        os.environ.update(self.environment)
        fsspec.config.conf.update(deepcopy(dict(self.config)))
