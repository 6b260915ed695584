"""Reading YAML into frozen dataclasses, strictly: the one configuration loader of the project."""

from __future__ import annotations

import copy
import dataclasses
import difflib
import hashlib
import json
import types
import typing
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, TypeVar

import yaml
from pydantic import TypeAdapter, ValidationError
from pydantic_core import ErrorDetails

T = TypeVar("T")

PROFILES = Path(__file__).resolve().parent / "profiles"
EXTENDS: Final = "extends"
"""The key by which a profile names the one that it is laid over."""


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
    values = read_profile(profile)
    for key in section.split("."):
        values = values.get(key) or {}
        if not isinstance(values, dict):
            raise ConfigError(f"{profile}: {section}: expected a mapping, found {values!r}")
    return values


def read_profile(profile: str) -> dict[str, Any]:
    """All that a profile says. One that has `extends: OTHER` is laid over the other, which may extend one itself.

    Args:
        profile: the name of a file in `infra/profiles/` or a path to a YAML file. A path after `extends` is seen from
            the file that names it.

    Raises:
        ConfigError: no such file, unreadable YAML, or profiles that extend each other in a circle.
    """
    layers, path, chain = list[dict[str, Any]](), _profile_path(profile), list[Path]()
    while True:
        if path.resolve() in chain:
            circle = [*chain[chain.index(path.resolve()) :], path.resolve()]
            raise ConfigError(f"profiles extend each other in a circle: {' -> '.join(each.name for each in circle)}")
        chain.append(path.resolve())
        values = read_yaml(path)
        extended = values.pop(EXTENDS, None)
        layers.append(values)
        if extended is None:
            return layered((), *reversed(layers))
        if not isinstance(extended, str):
            raise ConfigError(f"{path}: {EXTENDS}: expected the name of a profile, found {extended!r}")
        path = _profile_path(extended, beside=path.parent)


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
        raise ConfigError(_complaint(error.errors(), values, where)) from error


def values_of(settings: Any) -> dict[str, Any]:
    """The nested mappings from which `build` makes such a dataclass again."""
    return {field.name: _values(getattr(settings, field.name)) for field in dataclasses.fields(settings) if field.init}


def _values(value: Any) -> Any:
    if dataclasses.is_dataclass(value):
        return values_of(value)
    if isinstance(value, tuple | list):
        return [_values(each) for each in value]
    return dict(value) if isinstance(value, Mapping) else value


def fingerprint(values: Mapping[str, Any]) -> str:
    """Twelve hex digits that change when any value changes, however deep."""
    plain = json.dumps(values, sort_keys=True, default=str)
    return hashlib.sha256(plain.encode()).hexdigest()[:12]


def _profile_path(profile: str, beside: Path = Path()) -> Path:
    path = beside / profile if profile.endswith((".yaml", ".yml")) else PROFILES / f"{profile}.yaml"
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
        _reject_unknown_in(hints[key], value, f"{where}.{key}")


def _reject_unknown_in(hint: Any, value: Any, where: str) -> None:
    """The same for the value of a field: a dataclass, a union with one, or a collection of them."""
    if dataclasses.is_dataclass(hint):
        _reject_unknown(typing.cast("type", hint), value, where)
        return
    members = [member for member in typing.get_args(hint) if dataclasses.is_dataclass(member)]
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        # Anything but a mapping is for another member of the union, or for nobody: the check of types says so.
        for member in members if isinstance(value, Mapping) else ():
            _reject_unknown(typing.cast("type", member), value, where)
    elif isinstance(value, list | tuple | dict):
        items = value.items() if isinstance(value, dict) else enumerate(value)
        for name, item in items:
            for member in members:
                _reject_unknown(typing.cast("type", member), item, f"{where}[{name}]")


def _complaint(errors: Sequence[ErrorDetails], values: Mapping[str, Any], where: str) -> str:
    """One line on the first value that does not fit.

    Of a union, pydantic reports what each member has against the value. The member meant is the one that got furthest
    into it: a mapping is meant for a dataclass and not for a number.
    """
    first = _path(errors[0], values)
    about = [error for error in errors if _path(error, values)[: len(first)] == first]
    told = max(about, key=lambda error: (len(_path(error, values)), not error["type"].endswith(("_type", "_parsing"))))
    text = told["msg"].removeprefix("Value error, ")
    if told["type"] != "dataclass_type" and any(error["type"] == "dataclass_type" for error in about):
        text += ", or a mapping"
    return f"{'.'.join([where, *map(str, _path(told, values))])}: {text}"


def _path(error: ErrorDetails, values: Any) -> tuple[int | str, ...]:
    """Where in the values an error is, without the names by which pydantic tells the members of a union apart."""
    path: list[int | str] = []
    for step in error["loc"]:
        is_key = isinstance(values, Mapping) and step in values
        if is_key or (isinstance(values, Sequence) and not isinstance(values, str) and isinstance(step, int)):
            values = values[step]
            path.append(step)
    if error["type"] == "missing":
        path.append(error["loc"][-1])
    return tuple(path)


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())
