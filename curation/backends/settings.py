"""What the settings of all models have in common."""

from __future__ import annotations

import dataclasses
from typing import Any, ClassVar, Final, Protocol

from infra.config import ConfigError

PLACEMENT: Final = {"placement": True}
"""Metadata of a field that says where and how fast a model runs, and cannot change a decision."""


class ModelSettings(Protocol):
    """The settings of one model, as a profile gives them under `curation.models`."""

    packages: ClassVar[tuple[str, ...]]
    """Distributions that must be installed where it runs."""

    def missing(self) -> list[str]:
        """What is not there (weights, a server), a line each with how to get it; empty when the model can run."""
        ...

    def found(self) -> str:
        """In one phrase what it runs with: weights, device, server."""
        ...


def decisive(settings: Any) -> dict[str, Any]:
    """The fields of a dataclass that can change a decision, nested dataclasses as mappings."""
    return {
        field.name: _plain(getattr(settings, field.name))
        for field in dataclasses.fields(settings)
        if not field.metadata.get("placement")
    }


def require(settings: ModelSettings) -> None:
    """Check that a model can run.

    Raises:
        ConfigError: something is missing; the line says what, and how to get it.
    """
    if lines := settings.missing():
        raise ConfigError("; ".join(lines))


def _plain(value: Any) -> Any:
    return decisive(value) if dataclasses.is_dataclass(value) else value
