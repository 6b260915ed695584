"""Deciding again, and telling what that changes."""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from curation.decisions.applying import write_version
from curation.decisions.changes import Changes, Example, changes
from curation.decisions.decide import AFTER_SOUND, Decided, decide_again
from curation.decisions.index import DecidedIndex, decided_index
from curation.decisions.steps import differences, thresholds
from curation.pipeline import CurationConfig
from curation.report.summary import percent
from curation.shards.versions import TO_COMPUTE, State, Version, versions
from infra.config import ConfigError, build, layered, load_section


def decide(console: Console, options: argparse.Namespace) -> None:
    """Decide by other thresholds, tell what changes and, where asked for, write it as a version.

    Raises:
        ConfigError: settings that are no thresholds, or a name that is taken.
    """
    index = decided_index(options.run)
    config = _wanted(index, options.settings, options.overrides)
    changed = differences(index.config, config)
    start = time.perf_counter()
    decided = decide_again(index.read(config), config.stages)
    elapsed_s = time.perf_counter() - start
    told = changes(decided)
    console.print(
        f"{options.run}: {decided.table.num_rows:,} rows decided in {elapsed_s:.2f} s, "
        + (", ".join(f"{name} {before} → {now}" for name, (before, now) in changed.items()) or "nothing set otherwise"),
        soft_wrap=True,
    )
    _tell(console, told, options.examples)
    if options.apply is None:
        if told.moves or told.sound_moves:
            console.print("nothing is written; --apply NAME writes this as a version of the index", style="dim")
        return
    if index.settings.keys() == {config.hash}:
        raise ConfigError(f"{options.run} is decided by these settings already: there is nothing to write")
    version = write_version(options.run, options.apply, decided, index.config, config)
    _tell_version(console, version, decided)


def list_decisions(console: Console, run: str) -> None:
    """Print the thresholds that can be decided anew, the other settings by stage, and the versions.

    Raises:
        ConfigError: nothing says by which settings the run was decided.
    """
    index = decided_index(run)
    console.print("Thresholds that can be decided anew, and their values in this run", style="bold")
    console.print(_grid([(f"  {name}", str(value)) for name, value in thresholds(index.config.stages).items()]))
    console.print(
        "All other settings say what is measured and how clips are cut: they need a run into another --run.",
        style="dim", soft_wrap=True,
    )  # fmt: skip
    names = versions(run)
    console.print("Versions" if names else "No versions yet: --apply NAME makes one", style="bold")
    for name in names:
        version = Version(run, name)
        info, left = version.info, version.work()
        counts = ", ".join(f"{count:,} {state.replace('_', ' ')}" for state, count in info.counts.items())
        console.print(f"  {name}  {info.written}, settings {info.config_hash}: {counts}", soft_wrap=True)
        for setting, (before, now) in info.changes.items():
            console.print(f"    {setting} {before} → {now}", soft_wrap=True)
        if left:
            console.print(f"    {len(left):,} sources wait to be computed", style="yellow")
        if newer := version.newer_shards():
            console.print(f"    {len(newer):,} shards are newer: apply it again to take them in", style="yellow")


def _wanted(index: DecidedIndex, profile: str | None, overrides: Sequence[str]) -> CurationConfig:
    """The run's own settings, or a profile's, with what was set on the command line."""
    if profile is not None:
        return load_section(CurationConfig, profile, "curation", overrides)
    return build(CurationConfig, layered(overrides, index.config.deciding), f"{index.run}: curation")


def _tell(console: Console, told: Changes, num_examples: int) -> None:
    before, now = told.before, told.now
    grid = Table(show_header=True, box=None, pad_edge=False, header_style="dim")
    grid.add_column("")
    for title in ("before", "now", "change"):
        grid.add_column(title, justify="right")

    def row(label: str, one: float, other: float, form: str = "{:,.0f}") -> None:
        difference = form.format(other - one) if other != one else ""
        sign = "+" if other > one else ""
        grid.add_row(label, form.format(one), form.format(other), f"{sign}{difference}")

    row("kept, clips", before.kept, now.kept)
    row("kept, hours", before.kept_s / 3600, now.kept_s / 3600, "{:,.3f}")
    row("rejected, clips and whole sources", before.rejected, now.rejected)
    row("to compute", before.to_compute, now.to_compute)
    for title, one, other in (("rejected by", before.rules, now.rules), ("sound of kept", before.sound, now.sound)):
        names = [name for name in {**one, **other} if title != "rejected by" or one.get(name) != other.get(name)]
        for place, name in enumerate(names):
            row(f"{title if not place else '':<14}{name}", one.get(name, 0), other.get(name, 0))
    console.print(grid)
    if not told.moves:
        console.print("no clip changes sides", style="dim")
    for (was, becomes), examples in told.moves.items():
        console.print(Text(f"{len(examples):,} × {was} → {_becomes(becomes)}", style=_colour(becomes)))
        for example in examples[:num_examples]:
            console.print(Text(f"    {example.key}{_numbers(example)}"), soft_wrap=True)
    for (was, becomes), count in told.sound_moves.items():
        console.print(Text(f"{count:,} × sound {was} → {becomes}"))


def _becomes(reason: str) -> str:
    stage, _, rule = reason.partition("/")
    if rule != TO_COMPUTE:
        return reason
    return f"to compute from {stage} on{', as what is heard changes' if stage == AFTER_SOUND else ''}"


def _colour(reason: str) -> str:
    if reason == State.KEPT:
        return "green"
    return "yellow" if reason.endswith(f"/{TO_COMPUTE}") else "red"


def _numbers(example: Example) -> str:
    if example.value is None or example.threshold is None:
        return ""
    return f"  {example.value:.4g}, threshold {example.threshold:.4g}"


def _tell_version(console: Console, version: Version, decided: Decided) -> None:
    console.print(f"version  {version.run}", soft_wrap=True)
    work = version.work()
    whole = sum(each.wanted is None for each in work.values())
    clips = sum(len(each.wanted) for each in work.values() if each.wanted is not None)
    if not work:
        console.print("nothing is left to be computed")
        return
    parts = [f"{clips:,} clips of {len(work) - whole:,} sources"] if clips else []
    parts += [f"{whole:,} sources that had no clips"] if whole else []
    share = percent(int((decided.state == State.TO_COMPUTE).sum()), decided.table.num_rows)
    console.print(
        f"to compute  {' and '.join(parts)} ({share} of the rows): they are not in the version until "
        "`python -m curation run` with these settings has computed them; it does nothing else",
        soft_wrap=True,
    )


def _grid(rows: Sequence[tuple[str, str]]) -> Table:
    grid = Table.grid(padding=(0, 2))
    for row in rows:
        grid.add_row(*(Text(cell) for cell in row))
    return grid
