"""Printing the plan, progress and results of a build."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from bench.builder.briefs import tally
from bench.builder.build import Build
from bench.builder.candidates import Standing, candidates, sign_offs
from bench.builder.publishing import Published
from bench.builder.sign_off import MergedDecisions
from bench.builder.slot_runner import servers
from bench.builder.state import STEPS

PLAIN_INTERVAL_S: Final = 15.0
"""Without a terminal (CI, a log file) a line is printed this often."""


def tell_plan(console: Console, build: Build) -> None:
    """Print what the set will be made of, and by which models."""
    table = Table("dimension", "samples", title=f"{build.spec.name}: {build.spec.target} samples", title_justify="left")
    for name, found in tally(build.briefs).items():
        table.add_row(name, Text(", ".join(f"{value} {count}" for value, count in found.most_common())))
    console.print(table)
    for step, server in servers(build).items():
        _line(console, f"{STEPS[step]:8} {server.model} at {server.url}")
    _line(console, f"set servers and shares in {build.directory.spec}, then: build run --build {build.directory.path}")


@contextmanager
def show_progress(console: Console, build: Build) -> Iterator[Callable[[], None]]:
    """A live bar on a terminal, a line now and then elsewhere. Call the function that it yields after a change."""
    if not console.is_terminal:
        last_s = time.monotonic()

        def line() -> None:
            nonlocal last_s
            if time.monotonic() - last_s > PLAIN_INTERVAL_S:
                last_s = time.monotonic()
                _line(console, _counts(build))

        yield line
        return
    columns = (
        TextColumn("building"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.fields[said]}"),
    )
    with Progress(*columns, console=console) as bar:
        task = bar.add_task("", total=build.spec.target, said="")

        def draw() -> None:
            done = build.spec.target - len(build.state.open(build.spec.max_attempts))
            bar.update(task, completed=done, said=_counts(build))

        draw()
        yield draw
        draw()


def tell_end(console: Console, build: Build) -> None:
    """Print how a run ended: counts, why attempts failed, and which slots were given up."""
    _line(console, _counts(build))
    for reason, count in build.state.reasons().most_common():
        _line(console, f"  failed {count} x  {reason}")
    for slot in build.state.given_up(build.spec.max_attempts):
        _line(console, f"given up: {slot.brief.id}, last {slot.failures[-1]}")


def tell_status(console: Console, build: Build) -> None:
    """Print the state of everything in a build."""
    tell_end(console, build)
    for slot in build.state.open(build.spec.max_attempts):
        if slot.last_silence:
            _line(console, f"unanswered: {slot.brief.id}, {slot.last_silence}")
    shown = candidates(build)
    found = sign_offs(shown, build.state.signed, build.spec.num_reviewers)
    standings = Counter(one.standing for one in found.values())
    _line(console, f"{len(build.state.cases)} real cases")
    _line(console, "sign-off: " + ", ".join(f"{standings[one]} {one.value}" for one in Standing))
    for id_, one in found.items():
        if one.standing is Standing.REJECTED:
            _line(console, f"{'conflict' if one.is_conflict else 'rejected'}: {id_}, {one}")


def tell_merged(console: Console, merged: MergedDecisions) -> None:
    """Print the result of merging reviewers' files."""
    for why in merged.excluded:
        _line(console, f"left out: {why}")
    told = f"{merged.num_recorded} decisions recorded, {merged.num_known} known"
    _line(console, told + (f", {merged.num_outdated} on samples that have changed" if merged.num_outdated else ""))
    for id_, one in merged.conflicts.items():
        _line(console, f"conflict: {id_}, {one}")


def tell_published(console: Console, out: Path, published: Published) -> None:
    """Print the version, and what is in it."""
    manifest = published.manifest
    told = f"{out}: version {manifest['version']}, {manifest['num_samples']} samples"
    left_out = [f"{len(found)} {name.replace('_', ' ')}" for name, found in manifest["left_out"].items() if found]
    _line(console, told + (f"; left out: {', '.join(left_out)}" if left_out else ""))
    if not published.is_new:
        _line(console, "nothing has changed")
        return
    changes = manifest["changes"]
    _line(console, ", ".join(f"{len(changes[name])} {name}" for name in ("added", "removed", "changed")))


def _counts(build: Build) -> str:
    state, most = build.state, build.spec.max_attempts
    given_up, left = len(state.given_up(most)), len(state.open(most))
    num_failed = state.reasons().total()
    told = f"{len(state.approved())} of {build.spec.target} approved, {num_failed} attempts failed"
    return told + (f", {given_up} given up" if given_up else "") + (f", {left} to do" if left else "")


def _line(console: Console, text: str) -> None:
    console.print(Text(text), soft_wrap=True)
