"""Finding duplicates, and telling what is found."""

from __future__ import annotations

import argparse
import time

import numpy as np
from rich.console import Console
from rich.text import Text

from curation.duplicates.applying import check_free, write_without_duplicates
from curation.duplicates.config import DuplicatesConfig
from curation.duplicates.find import EXACT, NEAR, Found, find_duplicates
from curation.duplicates.prints import Prints, read_prints
from curation.report.summary import percent
from curation.shards.clip_table import open_run
from infra.bars import bars
from infra.config import ConfigError

MEMBERS_SHOWN = 5
"""Of a group."""


def deduplicate(console: Console, options: argparse.Namespace) -> None:
    """Find duplicates, tell of them and, where asked for, write a version without them.

    Raises:
        ConfigError: no run, no such version, nothing kept, a damaged index, or a name that is taken.
    """
    config = DuplicatesConfig(max_distance=options.threshold, max_shift_s=options.max_shift)
    directory = open_run(options.run, options.decisions)
    if options.apply is not None:
        check_free(options.run, options.apply, directory, config)
    start = time.perf_counter()
    with bars(console) as begin:
        prints = read_prints(directory, begin("reading the index"))
        if not len(prints.keys):
            raise ConfigError(f"{directory.run} keeps no clips: there is nothing to compare")
        if prints.num_old == len(prints.keys):
            raise ConfigError(
                f"{directory.run} was curated before clips had fingerprints: none can be compared; curate into another "
                "--run"
            )
        found = find_duplicates(prints, config, begin("comparing clips"))
    elapsed_s = time.perf_counter() - start
    _tell(console, directory.run, found, elapsed_s, options.clusters)
    if options.apply is None:
        if found.is_left_out.any():
            console.print("nothing is written; --apply NAME writes this as a version of the index", style="dim")
        return
    version = write_without_duplicates(options.run, options.apply, directory, config, found)
    console.print(
        f"version  {version.run}: report, browse, encode and others take it as --decisions {options.apply}",
        soft_wrap=True,
    )


def _tell(console: Console, run: str, found: Found, elapsed_s: float, num_clusters: int) -> None:
    prints = found.prints
    clips, seconds = len(prints.keys), np.nan_to_num(prints.seconds)
    out = found.is_left_out
    console.print(
        f"{run}: {clips:,} kept clips, {found.pairs.num_compared:,} pairs that look alike compared in time, "
        f"in {elapsed_s:.1f} s",
        soft_wrap=True,
    )
    _tell_uncompared(console, prints)
    if not out.any():
        console.print("no clip shows the same seconds as another")
        return
    for rule, those in ((EXACT, out & found.is_exact), (NEAR, out & ~found.is_exact)):
        if those.any():
            console.print(
                f"{rule:<7}{int(those.sum()):>9,} clips, {seconds[those].sum() / 3600:,.3f} hours "
                f"({percent(int(those.sum()), clips)} of the clips)"
            )
    console.print(
        f"{'stay':<7}{int((~out).sum()):>9,} clips, {seconds[~out].sum() / 3600:,.3f} hours; "
        f"{len(found.clusters):,} of them have duplicates"
    )
    for stays, members in list(found.clusters.items())[:num_clusters]:
        console.print(Text(f"{len(members):,} × {prints.keys[stays]}", style="green"), soft_wrap=True)
        for row in members[:MEMBERS_SHOWN]:
            how = EXACT if found.is_exact[row] else f"distance {found.distance[row]:.3f}"
            console.print(Text(f"    {prints.keys[row]}  {how}"), soft_wrap=True)
        if len(members) > MEMBERS_SHOWN:
            console.print(f"    and {len(members) - MEMBERS_SHOWN:,} more", style="dim")
    if len(found.clusters) > num_clusters:
        console.print(f"and {len(found.clusters) - num_clusters:,} more groups", style="dim")


def _tell_uncompared(console: Console, prints: Prints) -> None:
    """What could not be compared, or only as files."""
    if prints.num_old:
        console.print(
            f"{prints.num_old:,} clips were curated before there were fingerprints: they are not compared",
            style="yellow", soft_wrap=True,
        )  # fmt: skip
    if blank := int(prints.is_blank.sum()):
        console.print(f"{blank:,} clips are blank: of them only exact copies are found", style="yellow")
    still = (prints.content >= 0) & ~prints.is_blank & (prints.steps == 0)
    if still.any():
        console.print(
            f"{int(still.sum()):,} clips have too few frames a second, or are too short: of them only exact copies are "
            "found",
            style="yellow", soft_wrap=True,
        )  # fmt: skip
