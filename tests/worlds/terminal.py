"""A shell in a pseudo-terminal with job control, and the processes that were started in it."""

from __future__ import annotations

import errno
import fcntl
import os
import pty
import re
import select
import signal
import struct
import termios
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from tests.paths import ROOT

MARK = "SOUL_TEST_TERMINAL"
"""The variable that all processes of a terminal have in their environment, also those that have left its session."""
CONTROLS = re.compile(r"\x1b\[[0-9;?]*[a-zA-Z]|\x1b[=>]|\r")
PROMPT = re.compile(r"status=(\d+)> ")


@dataclass(frozen=True, kw_only=True, slots=True)
class Process:
    """A process that lives, or has ended and not been waited for."""

    pid: int
    state: str
    """The state as `ps` shows it; T means stopped by job control."""
    command: str
    standard_input: str
    """A path, or Linux's name for it."""


@dataclass(kw_only=True, slots=True)
class Terminal:
    """An interactive bash, and the text on its screen; leaving the context ends everything that was started in it."""

    environment: dict[str, str] = field(default_factory=dict)
    """Added to the test's own environment, from which the variables of Ray are removed."""
    mark: str = field(default_factory=lambda: uuid.uuid4().hex)
    shell: int = 0
    screen: int = -1
    text: str = ""
    """What was written so far, without the codes that move the cursor."""
    modes: list[Any] = field(default_factory=list)
    """Modes of the terminal while the shell waits for a line."""
    _read: int = 0

    def __enter__(self) -> Self:
        """Open it."""
        inherited = {key: value for key, value in os.environ.items() if not key.startswith("RAY_")}
        environment = inherited | {"TERM": "xterm", "PS1": "status=$?> ", MARK: self.mark} | self.environment
        self.shell, self.screen = pty.fork()
        if self.shell == 0:
            os.chdir(ROOT)
            os.execvpe("bash", ["bash", "--norc", "--noprofile", "-i"], environment)
        fcntl.ioctl(self.screen, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 160, 0, 0))
        assert self.status(60.0) == 0, "the shell does not start"
        self.modes = termios.tcgetattr(self.screen)
        return self

    def __exit__(self, *_: object) -> None:
        """End what is left."""
        while left := self.processes():
            for process in left:
                os.kill(process.pid, signal.SIGKILL)
            time.sleep(0.1)
        os.kill(self.shell, signal.SIGKILL)
        os.waitpid(self.shell, 0)
        os.close(self.screen)

    @property
    def end(self) -> str:
        """The last of the text, for the message of a failure."""
        return self.text[-3000:]

    def type(self, line: str) -> None:
        """Type a command and the return key."""
        os.write(self.screen, line.encode() + b"\n")

    def press(self, key: str) -> None:
        """Press control and a letter."""
        os.write(self.screen, bytes([ord(key.upper()) - ord("@")]))

    def status(self, timeout_s: float, meanwhile: Callable[[], object] = lambda: None) -> int | None:
        """The exit status of the command that was typed, once it has ended; None if it does not in time."""
        found = self._wait(PROMPT, timeout_s, meanwhile)
        return int(found[1]) if found else None

    def run(self, line: str, timeout_s: float, meanwhile: Callable[[], object] = lambda: None) -> int | None:
        """Type a command and wait for its exit status; `meanwhile` is called about every second."""
        self.type(line)
        return self.status(timeout_s, meanwhile)

    def shows(
        self, pattern: str, timeout_s: float, meanwhile: Callable[[], object] = lambda: None
    ) -> re.Match[str] | None:
        """Wait for a text to appear after the one that was waited for last; `meanwhile` as in `run`."""
        return self._wait(re.compile(pattern), timeout_s, meanwhile)

    def processes(self) -> list[Process]:
        """All living processes that were started in the terminal, except for the shell."""
        found = []
        for directory in Path("/proc").iterdir():
            if not directory.name.isdigit() or int(directory.name) == self.shell:
                continue
            try:
                if f"{MARK}={self.mark}".encode() not in (directory / "environ").read_bytes():
                    continue
                found.append(
                    Process(
                        pid=int(directory.name),
                        state=(directory / "stat").read_text().rpartition(")")[2].split()[0],
                        command=(directory / "cmdline").read_text(errors="replace").replace("\0", " ").strip(),
                        standard_input=str((directory / "fd/0").readlink()),
                    )
                )
            except OSError:
                continue  # it has ended meanwhile
        return found

    def left_behind(self, timeout_s: float = 15.0) -> list[Process]:
        """Processes that still live after a time in which they may end."""
        end = time.monotonic() + timeout_s
        while (left := self.processes()) and time.monotonic() < end:
            time.sleep(0.1)
        return left

    def _wait(self, wanted: re.Pattern[str], timeout_s: float, meanwhile: Callable[[], object]) -> re.Match[str] | None:
        end = time.monotonic() + timeout_s
        next_s = time.monotonic() + 1.0
        while not (found := wanted.search(self.text, self._read)):
            if time.monotonic() >= end or not self._receive():
                return None
            if time.monotonic() >= next_s:
                meanwhile()
                next_s = time.monotonic() + 1.0
        self._read = found.end()
        return found

    def _receive(self) -> bool:
        """Take what comes within half a second; False when the shell has ended."""
        ready, _, _ = select.select([self.screen], [], [], 0.5)
        if not ready:
            return True
        try:
            # A read may cut a code that moves the cursor in two; the second half does no harm here.
            self.text += CONTROLS.sub("", os.read(self.screen, 65536).decode(errors="replace"))
        except OSError as error:
            if error.errno == errno.EIO:
                return False
            raise
        return True
