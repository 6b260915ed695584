"""The parts of a training that depend on its objective."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from training.data.conditioning import Batch, Conditioner
from training.data.loader import SampleReader
from training.distributed.ranks import Ranks
from training.monitoring.metrics import Averages
from training.monitoring.throughput import Throughput
from training.monitoring.validation import HeldOut
from training.objectives.objective import Objective
from training.recipes.recipe import Recipe
from training.result import Result

Finish = Callable[[Path, Averages], None]
"""Writes a clip that was made as the video at a path, and logs what can be measured of it. It needs neither the weights
that the clip was made with nor another rank.

Raises:
    NotWrittenError: the video could not be written; nothing of it is left.
"""


class Viewer(Protocol):
    """Looks now and then at what is trained, besides its loss; nothing that it computes is differentiated."""

    def measure(self, batch: Batch, averages: Averages) -> None:
        """Measure something on a batch of the training; called every `audio_delta_every` steps."""
        ...

    def make(self, held_out: HeldOut) -> Finish:
        """Make a held-out clip under the weights that are in place; all ranks take part, since each may need the others
        in a forward."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class Parts:
    """The parts of a training that depend on its objective."""

    conditioner: Conditioner
    """Makes samples into batches."""
    objective: Objective
    throughput: Throughput
    viewer: Viewer
    result: Result
    """What the stage's model directory is made from."""


BuildParts = Callable[[Recipe, Path, SampleReader, Ranks, Callable[[str], None]], Parts]
"""Puts the parts together from the recipe, the model directory that the stage starts from, the reader of its samples,
the ranks, and a function that shows a line to the person who waits.

Raises:
    ConfigError: the model directory or the samples do not fit what the recipe asks for; one line.
"""
