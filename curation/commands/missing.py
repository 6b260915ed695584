"""What a profile's backends run with and what they lack, printed: by `doctor`, and by a run that cannot begin."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from curation.commands.methods import lesser_methods
from curation.pipeline import CurationConfig
from curation.readiness import Readiness, lacking_gpus


def tell_readiness(console: Console, config: CurationConfig, places: Sequence[Readiness]) -> None:
    """Print a table of all backends."""
    lesser = {(method.stage, method.backend): method.paper for method in lesser_methods(config.stages)}
    table = Table(box=None, header_style="bold", pad_edge=False)
    for column in ("stage", "backend", "environment", ""):
        table.add_column(column, no_wrap=True)
    table.add_column("runs with", overflow="fold")
    for place in places:
        paper = lesser.get((place.stage, place.backend))
        uses = "; ".join(place.uses) or (f"no model (the paper: {paper})" if paper else "no model")
        state = Text("ready", "green") if place.ready else Text("missing", "red")
        table.add_row(place.stage, place.backend, place.environment or "this one", state, Text(uses))
    console.print(table)


def tell_missing(console: Console, config: CurationConfig, places: Sequence[Readiness]) -> int:
    """Print a line for everything without which the chosen backends cannot run; returns how many there are."""
    lines = dict.fromkeys(
        [
            *(f"missing  {place.stage}: {line}" for place in places for line in place.missing),
            *(f"missing  {line}" for line in lacking_gpus(config)),
        ]
    )
    for line in lines:
        console.print(Text(line, "red"), soft_wrap=True)
    return len(lines)


def tell_lesser(console: Console, config: CurationConfig) -> int:
    """Print a line for every stage that would do without the paper's model; returns how many there are."""
    lesser = lesser_methods(config.stages)
    for method in lesser:
        console.print(Text(f"missing  {method}", "red"), soft_wrap=True)
    return len(lesser)
