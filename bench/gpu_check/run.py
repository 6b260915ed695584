"""Runs the steps within a budget: each line is written at once, and no step can end the check.

The steps run in a worker process. Where it dies or hangs, a new one does the steps that are left.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from multiprocessing import get_context
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Any, Final

from bench.gpu_check.figure import REST, Figure
from bench.gpu_check.schedule import FULL_BUDGET_S, STEPS, Step
from bench.gpu_check.table import format_lines
from bench.gpu_check.worker import work
from infra.command_line import CommandFailedError

LINES: Final = "figures.jsonl"
TABLE: Final = "table.txt"

PATIENCE: Final = 2.5
"""A step is stopped when it takes this many times its share: compiling can hang."""


class Worker:
    """A process that measures; see `worker.work`.

    Raises:
        ValueError: the device is not there, or too small.
        CommandFailedError: the process cannot start.
    """

    def __init__(self, size: str, device: str | None) -> None:
        context = get_context("spawn")
        self.connection: Connection
        self.connection, other = context.Pipe()
        self.process: BaseProcess = context.Process(target=work, args=(other, size, device), daemon=True)
        self.process.start()
        other.close()
        try:
            mistake = self.connection.recv()
        except EOFError as error:
            self.process.join()
            raise CommandFailedError(f"the measuring process ended with status {self.process.exitcode}") from error
        if mistake is not None:
            raise ValueError(mistake)

    def measure(self, step: Step, *, limit_s: float, take: Callable[[dict[str, Any]], None]) -> bool:
        """Run a step and hand on its lines; whether the worker can go on.

        Args:
            step: what to run.
            limit_s: after so many seconds, it is stopped.
            take: called with each line.
        """
        deadline = time.monotonic() + limit_s
        try:
            self.connection.send(step.name)
            while self.connection.poll(max(0.0, deadline - time.monotonic())):
                line = self.connection.recv()
                if line is None:
                    return True
                take(line)
        except (EOFError, OSError):
            self.process.join()
            why = f"the process died with status {self.process.exitcode}"
        else:
            why = f"stopped after {limit_s:.0f} s"
        take(Figure(what=REST, missing=why).as_line(step.name))
        self.kill()
        return False

    def close(self) -> None:
        """Let the process end."""
        self.connection.send(None)
        self.process.join(10)
        self.kill()

    def kill(self) -> None:
        """End the process now."""
        self.process.kill()
        self.process.join()


def run(options: argparse.Namespace) -> None:
    """Run the steps that fit.

    Raises:
        ValueError: a mistake in the options.
        CommandFailedError: a step could not be measured whole; what could be is written.
    """
    steps = _chosen(options.steps)
    if options.budget <= 0:
        raise ValueError(f"--budget {options.budget}: seconds, more than 0")
    options.out.mkdir(parents=True, exist_ok=True)
    started = time.monotonic()
    scale = options.budget / FULL_BUDGET_S
    lines: list[dict[str, Any]] = []
    worker: Worker | None = None
    with (options.out / LINES).open("w") as file:

        def take(line: dict[str, Any]) -> None:
            line["at_s"] = round(time.monotonic() - started, 1)
            lines.append(line)
            text = json.dumps(line, ensure_ascii=False)
            file.write(f"{text}\n")
            file.flush()
            print(text, flush=True)

        for step in steps:
            left_s = options.budget - (time.monotonic() - started)
            share_s = step.share_s * scale
            if left_s < share_s:
                why = f"skipped: {left_s:.0f} s left, {share_s:.0f} s needed"
                take(Figure(what=REST, missing=why).as_line(step.name))
                continue
            worker = worker or Worker(options.size, options.device)
            limit_s = min(left_s, PATIENCE * share_s)
            if not worker.measure(step, limit_s=limit_s, take=take):
                worker = None
    if worker is not None:
        worker.close()
    table = format_lines(lines)
    (options.out / TABLE).write_text(f"{table}\n")
    print(table)
    cut = {line["step"]: None for line in lines if line["what"] == REST}
    if cut:
        raise CommandFailedError(f"not measured whole: {', '.join(cut)}; {options.out / TABLE} says why")


def _chosen(names: str | None) -> list[Step]:
    if names is None:
        return list(STEPS)
    wanted = names.split(",")
    known = [step.name for step in STEPS]
    unknown = [name for name in wanted if name not in known]
    if unknown:
        raise ValueError(f"--steps: no step {unknown[0]!r}; there are {', '.join(known)}")
    return [step for step in STEPS if step.name in wanted]
