"""Keeping the servers of this machine: started, waited for, restarted when they die, and ended together."""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from infra.command_line import CommandFailedError
from infra.jobs.notes import tell
from infra.servers.config import ServerConfig, asked_at
from infra.servers.gpus import VISIBLE
from infra.servers.process import ServerProcess, check_free
from infra.watched import announce

POLL_S: Final = 0.5
TELL_EVERY_S: Final = 30.0
"""How often a server that is still starting says what it does."""
MAX_DEATHS: Final = 3
"""Deaths in a row without one answer after which it is given up: it would die again."""
FIRST_PAUSE_S: Final = 1.0
"""Before a restart; doubled with every further death in a row."""
MAX_PAUSE_S: Final = 60.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Pace:
    """How often servers are looked at, and how long they are left alone after a death."""

    poll_s: float = POLL_S
    first_pause_s: float = FIRST_PAUSE_S
    tell_every_s: float = TELL_EVERY_S


class Kept:
    """One server, through all its lives."""

    def __init__(self, name: str, config: ServerConfig, *, log: Path, gpus: str, pace: Pace) -> None:
        self.name = name
        self.config = config
        self.log = log
        self.gpus = gpus
        self.pace = pace
        self.words = config.command(config.host, config.port)
        self.url = asked_at(config.host, config.port)
        self.process: ServerProcess | None = None
        self.working = False
        self.watched = ExitStack()
        """Open from its first answer to its end, deaths in between included: what watches this machine is to miss it
        while it is dead."""
        self.is_announced = False
        self.deaths = 0
        self.again_s = 0.0
        self.told_s = 0.0

    def check(self) -> None:
        """Start it where it does not run, see whether it works, and say what has changed.

        Raises:
            CommandFailedError: it has died repeatedly without one answer.
        """
        now_s = time.monotonic()
        if self.process is None:
            if now_s >= self.again_s:
                self._start()
        elif not self.process.alive():
            self._died(self.process.death())
        elif not self.working:
            self._wait_for(self.process, now_s)

    def end(self) -> None:
        """End it: its process, if there is one, and that others look for it."""
        self.watched.close()
        self._end_process()

    def _end_process(self) -> None:
        if self.process is not None:
            self.process.end()
            self.process = None

    def _start(self) -> None:
        variables = {VISIBLE: self.gpus, **self.config.variables}
        health = f"{self.url}{self.config.health}"
        self.process = ServerProcess(self.words, log=self.log, variables=variables, health=health)
        self.working, self.told_s = False, time.monotonic()
        tell(f"{self.name} is starting{f' on GPU {self.gpus}' if self.gpus else ''}; its log is {self.log}")

    def _wait_for(self, process: ServerProcess, now_s: float) -> None:
        took_s = now_s - process.started_s
        if process.works():
            self.working, self.deaths = True, 0
            self._announce()
            tell(f"{self.name} answers at {self.url} after {took_s:.0f} s")
        elif took_s > self.config.start_timeout_s:
            self._died(f"has not answered for {took_s:.0f} s")
        elif now_s - self.told_s >= self.pace.tell_every_s:
            self.told_s = now_s
            tell(f"{self.name} is starting, {took_s:.0f} s: {process.last_words(1)}")

    def _announce(self) -> None:
        if not self.config.has_metrics or self.is_announced:
            return
        with suppress(OSError):  # whether it is watched must not decide whether it works
            path = announce("soul-models", self.url.partition("//")[2])
            self.watched.callback(path.unlink, missing_ok=True)
            self.is_announced = True

    def _died(self, how: str) -> None:
        process = self.process
        assert process is not None, "only what runs can die"
        words = process.last_words()
        # A dead server's own processes may live on, and hold its GPUs and its port.
        self._end_process()
        self.deaths += 1
        if self.deaths >= MAX_DEATHS:
            # Nobody starts it again: its announcement stays, as if this process had been killed.
            self.watched.pop_all()
            raise CommandFailedError(
                f"{self.name} {how}, {self.deaths} times without one answer; the last lines of {self.log}: {words}"
            )
        pause_s = min(self.pace.first_pause_s * 2 ** (self.deaths - 1), MAX_PAUSE_S)
        self.again_s = time.monotonic() + pause_s
        tell(f"{self.name} {how} and is started again in {pause_s:.0f} s; it last said: {words}")


def keep(servers: Mapping[str, ServerConfig], *, logs: Path, gpus: Mapping[str, str], pace: Pace | None = None) -> None:
    """Keep servers until this process is interrupted; ends them then, and also when one is given up.

    Args:
        servers: by name.
        logs: folder for a log of each.
        gpus: what each sees as CUDA_VISIBLE_DEVICES.
        pace: how often they are looked at.

    Raises:
        ConfigError: one cannot listen at its address, or its environment is not built.
        CommandFailedError: one has died repeatedly without one answer.
        KeyboardInterrupt: the process was interrupted; nothing of the servers is left.
    """
    pace = pace or Pace()
    kept = [
        Kept(name, config, log=logs / f"{name}.log", gpus=gpus[name], pace=pace) for name, config in servers.items()
    ]
    for one in kept:
        check_free(one.config.host, one.config.port, one.name)
    told = False
    try:
        while True:
            for one in kept:
                one.check()
            if not told and all(one.working for one in kept):
                told = True
                tell("all servers answer; ctrl-C ends them")
            time.sleep(pace.poll_s)
    finally:
        for one in kept:
            one.end()
