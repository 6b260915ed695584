"""One server's process: started in a group of its own with a log, asked whether it works, and ended whole."""

from __future__ import annotations

import ctypes
import os
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from contextlib import suppress
from http.client import HTTPException
from pathlib import Path
from typing import Final

import psutil

from infra.config import ConfigError
from infra.jobs.environments import ROOT

ASK_TIMEOUT_S: Final = 5.0
END_TIMEOUT_S: Final = 20.0
"""How long a server may take to end by itself."""
DEATH_LINES: Final = 3
"""Lines of its log that are told when it has died."""
TAIL_BYTES: Final = 8192
MAX_TAIL: Final = 400
DIE_WITH_PARENT: Final = 1
"""PR_SET_PDEATHSIG of Linux's prctl."""
LIBC: Final = ctypes.CDLL(None)


class ServerProcess:
    """A process that serves over HTTP, and all that it starts."""

    def __init__(self, words: Sequence[str], *, log: Path, variables: Mapping[str, str], health: str) -> None:
        """Start it; `health` is the address that answers once it can work.

        Raises:
            ConfigError: there is no such program.
        """
        self.health = health
        self.log = log
        self.started_s = time.monotonic()
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("ab") as sink:
            self.log_begins = sink.tell()
            try:
                self.process = subprocess.Popen(
                    words,
                    cwd=ROOT,
                    stdin=subprocess.DEVNULL,
                    stdout=sink,
                    stderr=subprocess.STDOUT,
                    env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1", **variables},
                    # A group of its own: ctrl-C reaches only us, and the group can be ended whole.
                    start_new_session=True,
                    preexec_fn=_die_with_parent,  # noqa: PLW1509 (it calls the C library alone)
                )
            except OSError as error:
                raise ConfigError(f"{words[0]} does not start: {error.strerror}") from error
        self.family: dict[int, psutil.Process] = {}

    def alive(self) -> bool:
        """Whether it still runs."""
        with suppress(psutil.NoSuchProcess):
            # What it has started may get into groups of their own, and outlive it there.
            self.family |= {child.pid: child for child in psutil.Process(self.process.pid).children(recursive=True)}
        return self.process.poll() is None

    def works(self) -> bool:
        """Whether it answers."""
        try:
            with urllib.request.urlopen(self.health, timeout=ASK_TIMEOUT_S) as answer:
                return bool(answer.status == 200)
        except (urllib.error.URLError, OSError, HTTPException):
            return False

    def death(self) -> str:
        """How it ended, in a few words."""
        code = self.process.poll() or 0
        return f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with status {code}"

    def last_words(self, lines: int = DEATH_LINES) -> str:
        """The last lines of its log since it was started, as one; says so where it wrote none."""
        with self.log.open("rb") as file:
            end = file.seek(0, os.SEEK_END)
            file.seek(max(self.log_begins, end - TAIL_BYTES))
            said = [line.strip() for line in file.read().decode(errors="replace").splitlines() if line.strip()]
        words = " | ".join(said[-lines:]) or "(nothing in its log)"
        return words if len(words) <= MAX_TAIL else f"... {words[-MAX_TAIL:]}"

    def end(self) -> None:
        """End it and all that it has started; kill what does not end by itself."""
        self.alive()
        self._signal_group(signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(END_TIMEOUT_S)
        self._signal_group(signal.SIGKILL)
        for child in self.family.values():
            with suppress(psutil.NoSuchProcess):
                child.kill()
        self.process.wait()

    def _signal_group(self, number: signal.Signals) -> None:
        # The group has the number of its first process, which stays taken while the group has any member.
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, number)


def _die_with_parent() -> None:
    LIBC.prctl(DIE_WITH_PARENT, signal.SIGTERM)


def check_free(host: str, port: int, name: str) -> None:
    """Check that a server could listen at an address.

    Raises:
        ConfigError: it could not.
    """
    try:
        with socket.create_server((host, port)):
            """Free."""
    except OSError as error:
        raise ConfigError(f"server {name!r} cannot listen at {host}:{port}: {error.strerror}") from error


def free_port() -> int:
    """A port that nobody listens at now."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return int(listening.getsockname()[1])
