"""Wan2.2-TI2V-5B at its full size on a CPU: from an official release to a video and back.

    python -m bench.studies.full_size --run DIR

A release with random weights is written (the real names, shapes, types and files; UMT5-XXL and whisper-large-v3 beside
it), converted to a model directory, loaded again for a clip of two steps at 64×64, and its backbone exported to the
official layout, where every tensor is compared with the original. Each step is a process of its own; a table tells its
time and its peak memory, and is kept as DIR/table.txt. What the next steps do not need is removed at once.

With the networks in bf16 it takes 50 GB of disk, 20 GB of memory (17.5 GB at the peak, of which 5.4 GB are not mapped
files, which the system can drop) and, on two cores busy with other work, 25 minutes. In fp32: 65 GB of disk and
40 GB of memory.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING, Final

from infra.command_line import CommandFailedError, run_alone

if TYPE_CHECKING:
    from bench.studies.full_size_steps import StudyFiles


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What the command takes."""
    add = parser.add_argument
    add("--run", type=Path, required=True, help="a directory for all that is written; not there yet, or empty")
    add("--size", choices=("full", "tiny"), default="full", help="tiny tries the study itself (default: %(default)s)")
    add(
        "--dtype",
        choices=("bfloat16", "float32"),
        default="bfloat16",
        help="type of the converted networks (default: %(default)s)",
    )


if __name__ == "__main__":
    sys.exit(run_alone("bench.studies.full_size", __doc__, add_arguments))

from bench.efficiency.resident_memory import anonymous_bytes, peak_resident_bytes, reset_peak

DISK_GB: Final = {("full", "bfloat16"): 50, ("full", "float32"): 65}
"""What has to be free; the tiny size needs megabytes."""

POLL_S: Final = 0.1


@dataclass(frozen=True, kw_only=True, slots=True)
class Step:
    """One step of the study."""

    name: str
    """Function of `full_size_steps`."""
    about: str
    """What it does, in half a line."""
    frees: tuple[str, ...] = ()
    """Folders that no later step needs."""


STEPS: Final = (
    Step(name="components", about="write VAE, UMT5, Whisper"),
    Step(name="encoders", about="convert them", frees=("components", "whisper")),
    Step(name="release", about="write the backbone"),
    Step(name="network", about="convert it", frees=("release",)),
    Step(
        name="generate",
        about="load, 2 steps at 64x64",
        frees=("model/text_encoder", "model/vae", "model/audio_encoder"),
    ),
    Step(name="export", about="backbone to official", frees=("model",)),
    Step(name="compare", about="with the original", frees=("exported",)),
)


@dataclass(frozen=True, kw_only=True, slots=True)
class StepCost:
    """What a step took."""

    step: Step
    """Which one."""
    seconds: float
    """Its time, without the start of its process."""
    peak_bytes: int
    """Highest resident memory of its process, mapped files and libraries included."""
    anonymous_bytes: int
    """Highest resident memory that no file stands behind, as seen ten times a second."""
    result: str
    """What it says of itself."""


def run(options: argparse.Namespace) -> None:
    """Run the study and print its table.

    Raises:
        ValueError: the directory is not empty, or the disk has no room.
        CommandFailedError: a step failed; one line that says which and why.
    """
    folder: Path = options.run
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ValueError(f"--run {folder}: exists and is not empty")
    folder.mkdir(parents=True, exist_ok=True)
    needed, free = DISK_GB.get((options.size, options.dtype), 0), shutil.disk_usage(folder).free / 1e9
    if free < needed:
        raise ValueError(f"--run {folder}: needs {needed} GB of disk, {free:.0f} GB are free")
    costs: list[StepCost] = []
    for step in STEPS:
        costs.append(measure(step, folder, options.size, options.dtype))
        print(format_costs(costs[-1:], header=len(costs) == 1), flush=True)
        for name in step.frees:
            shutil.rmtree(folder / name)
    (folder / "table.txt").write_text(format_costs(costs) + "\n", encoding="utf-8")


def measure(step: Step, folder: Path, size: str, dtype: str) -> StepCost:
    """Run a step in a process of its own.

    Raises:
        CommandFailedError: it failed.
    """
    context = get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_take, args=(sender, step.name, folder, size, dtype), daemon=True)
    process.start()
    sender.close()
    assert process.pid is not None
    highest = 0
    while not receiver.poll(POLL_S):
        highest = max(highest, anonymous_bytes(process.pid))
    try:
        seconds, peak, result, failure = receiver.recv()
    except EOFError:
        process.join()
        raise CommandFailedError(f"{step.name}: its process ended with status {process.exitcode}") from None
    process.join()
    if failure is not None:
        raise CommandFailedError(f"{step.name}: {failure}")
    return StepCost(step=step, seconds=seconds, peak_bytes=peak, anonymous_bytes=highest, result=result)


def format_costs(costs: Sequence[StepCost], *, header: bool = True) -> str:
    """The table, a row a step."""
    rows = [f"{'step':<36}{'seconds':>9}{'peak GB':>9}{'of it anonymous':>17}  result"] if header else []
    for cost in costs:
        name = f"{cost.step.name}: {cost.step.about}"
        figures = f"{cost.seconds:9.1f}{cost.peak_bytes / 1e9:9.2f}{cost.anonymous_bytes / 1e9:17.2f}"
        rows.append(f"{name:<36}{figures}  {cost.result}")
    return "\n".join(rows)


def _take(sender: Connection, name: str, folder: Path, size: str, dtype: str) -> None:
    """Run a step; send its seconds, peak, result and why it failed."""
    from bench.studies import full_size_steps  # noqa: PLC0415 (torch: in the processes that need it alone)

    files: StudyFiles = full_size_steps.StudyFiles(run=folder, size=size, dtype=dtype)
    reset_peak()
    started, result, failure = time.perf_counter(), "", None
    try:
        result = full_size_steps.STEPS[name](files)
    except (ValueError, OSError, MemoryError) as error:
        failure = str(error).partition("\n")[0] or type(error).__name__
    sender.send((time.perf_counter() - started, peak_resident_bytes(), result, failure))
