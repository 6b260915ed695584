"""A build: its directory, its spec and plan, and its state; what every command begins with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

from bench.builder.directory import BuildDirectory
from bench.builder.ledger import Entry, Kind, Ledger
from bench.builder.planner import Brief, fingerprint, plan
from bench.builder.spec import BuildSpec, read_spec
from bench.builder.state import State, read_state
from infra.config import layered, read_yaml
from infra.storage.files import write_atomically


@dataclass(kw_only=True, slots=True)
class Build:
    """What is being built, and where it stands."""

    directory: BuildDirectory
    spec: BuildSpec
    briefs: tuple[Brief, ...]
    plan: str
    """Fingerprint of the briefs."""
    ledger: Ledger
    state: State


def open_build(path: Path, overrides: Sequence[str] = ()) -> Build:
    """The build of a directory.

    Raises:
        ValueError: there is none, its spec or ledger is broken, or the spec asks for another plan than it began with.
    """
    directory = BuildDirectory(path)
    directory.check()
    spec = read_spec(directory.spec, overrides)
    briefs = plan(spec)
    ledger, hash_ = Ledger(directory.ledger), fingerprint(briefs)
    if overrides and hash_ != fingerprint(plan(read_spec(directory.spec))):
        raise ValueError(f"--set would change what is built: set target, seed and shares in {directory.spec}")
    entries = ledger.read()
    try:
        state = read_state(briefs, hash_, entries)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    return Build(directory=directory, spec=spec, briefs=briefs, plan=hash_, ledger=ledger, state=state)


def begin(build: Build) -> None:
    """Bind the ledger to the plan, unless it is already."""
    if not any(entry.kind is Kind.PLANNED for entry in build.ledger.read()):
        build.ledger.append([Entry(kind=Kind.PLANNED, data={"plan": build.plan, "target": build.spec.target})])


def lay_out(path: Path, spec: Path, overrides: Sequence[str] = ()) -> Build:
    """Put a spec into a directory, where a build then goes on; one that is there must be the same.

    Raises:
        ValueError: the spec cannot be, or the directory holds another.
    """
    read_spec(spec, overrides)
    text = yaml.safe_dump(layered(overrides, read_yaml(spec)), sort_keys=False) if overrides else spec.read_text()
    directory = BuildDirectory(path)
    if directory.spec.is_file() and directory.spec.read_text() != text:
        raise ValueError(f"{directory.spec} is there already and differs; edit it, or give another --build")
    write_atomically(str(directory.spec), text.encode())
    return open_build(path)
