"""Reading YAML into frozen dataclasses, strictly: the one configuration loader of the project."""

from __future__ import annotations

import copy
import dataclasses
import difflib
import hashlib
import json
import typing
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import TypeAdapter, ValidationError

T = TypeVar("T")

PROFILES = Path(__file__).resolve().parent / "profiles"


class ConfigError(ValueError):
    """A person's mistake in a profile, an override or an input; the message is one clear line."""


@contextmanager
def persons_mistakes() -> Iterator[None]:
    """Inside, a ValueError becomes a ConfigError: `model/` raises it for a person's mistake. Elsewhere it is a bug."""
    try:
        yield
    except ConfigError:
        raise
    except ValueError as error:
        raise ConfigError(str(error)) from error


def load_section(cls: type[T], profile: str, section: str, overrides: Sequence[str] = ()) -> T:
    """Build `cls` from a section of a profile.

    Args:
        cls: a dataclass; nested dataclasses are filled in turn.
        profile: the name of a file in `infra/profiles/` or a path to a YAML file.
        section: top-level key of that file; an absent section means the defaults.
        overrides: `dotted.key=value` strings, the value in YAML, applied last.

    Raises:
        ConfigError: no such file, unreadable YAML, an unknown key (the nearest known one is named) or a value
            of the wrong type or range.
    """
    return build(cls, layered(overrides, profile_section(profile, section)), f"{profile}: {section}")


def profile_section(profile: str, section: str) -> dict[str, Any]:
    """The mapping at a dotted path of a profile; empty when the profile says nothing there."""
    values = read_yaml(_profile_path(profile))
    for key in section.split("."):
        values = values.get(key) or {}
        if not isinstance(values, dict):
            raise ConfigError(f"{profile}: {section}: expected a mapping, found {values!r}")
    return values


def read_yaml(path: Path) -> dict[str, Any]:
    """The mapping that a YAML file holds."""
    try:
        document = yaml.safe_load(path.read_text()) or {}
    except (OSError, yaml.YAMLError) as error:
        raise ConfigError(f"cannot read {path}: {_one_line(error)}") from error
    if not isinstance(document, dict):
        raise ConfigError(f"{path}: expected a mapping, found {document!r}")
    return document


def layered(overrides: Sequence[str], *layers: Mapping[str, Any]) -> dict[str, Any]:
    """Nested mappings merged into one: a later one overrides earlier ones, `dotted.key=value` overrides all of them."""
    values: dict[str, Any] = {}
    for layer in layers:
        _lay_over(values, layer)
    for override in overrides:
        _apply(values, override)
    return values


def _lay_over(values: dict[str, Any], layer: Mapping[str, Any]) -> None:
    for key, value in layer.items():
        if isinstance(value, Mapping) and isinstance(values.get(key), dict):
            _lay_over(values[key], value)
        else:
            values[key] = copy.deepcopy(value)


def build(cls: type[T], values: Mapping[str, Any], where: str) -> T:
    """Turn nested mappings into the dataclass `cls`; `where` opens every error message."""
    _reject_unknown(cls, values, where)
    try:
        return TypeAdapter(cls).validate_python(values)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join([where, *map(str, first["loc"])])
        raise ConfigError(f"{key}: {first['msg'].removeprefix('Value error, ')}") from error


def fingerprint(config: Any) -> str:
    """Twelve hex digits that change when any field of a dataclass changes."""
    plain = json.dumps(dataclasses.asdict(config), sort_keys=True, default=str)
    return hashlib.sha256(plain.encode()).hexdigest()[:12]


def _profile_path(profile: str) -> Path:
    path = Path(profile) if profile.endswith((".yaml", ".yml")) else PROFILES / f"{profile}.yaml"
    if not path.is_file():
        known = ", ".join(sorted(file.stem for file in PROFILES.glob("*.yaml")))
        raise ConfigError(f"no profile {profile!r}; there are {known}, or give the path of a YAML file")
    return path


def _apply(values: dict[str, Any], override: str) -> None:
    key, separator, text = override.partition("=")
    if not separator:
        raise ConfigError(f"override {override!r} is not of the form key=value")
    *parents, last = key.strip().split(".")
    for parent in parents:
        values = values.setdefault(parent, {})
        if not isinstance(values, dict):
            raise ConfigError(f"override {override!r}: {parent!r} has no fields")
    values[last] = yaml.safe_load(text)


def _reject_unknown(cls: type, values: Any, where: str) -> None:
    """Walk the mapping beside the dataclass and name the first key that has no field."""
    if not isinstance(values, Mapping):
        raise ConfigError(f"{where}: expected a mapping, found {values!r}")
    hints = typing.get_type_hints(cls)
    known = [field.name for field in dataclasses.fields(cls) if field.init]
    for key, value in values.items():
        if key not in known:
            nearest = difflib.get_close_matches(str(key), known, n=1, cutoff=0.0)[0]
            raise ConfigError(f"{where}: unknown key {key!r}, did you mean {nearest!r}?")
        if dataclasses.is_dataclass(hints[key]):
            _reject_unknown(typing.cast("type", hints[key]), value, f"{where}.{key}")
        elif isinstance(value, list | tuple | dict):
            items = value.items() if isinstance(value, dict) else enumerate(value)
            for name, item in items:
                for item_type in typing.get_args(hints[key]):
                    if dataclasses.is_dataclass(item_type):
                        _reject_unknown(typing.cast("type", item_type), item, f"{where}.{key}[{name}]")


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())
