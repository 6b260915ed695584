"""Processes that have imported our code and done nothing yet, forked from one server that imported it once.

To import PyTorch, diffusers and DeepSpeed takes seven seconds of a core, more than most of what the tests start.
"""

from __future__ import annotations

import atexit
import multiprocessing
import os
import runpy
import socket
import sys
import tempfile
import weakref
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing.context import ForkServerContext
from pathlib import Path
from typing import Any

import torch

from tests.paths import ROOT

IMPORTED = [
    "bench.generation.job",
    "curation.commands.curating",
    "curation.commands.prepare",
    "curation.commands.run",
    "tests.worlds.evaluations",
    "tests.worlds.killed_trainings",
    "tests.worlds.networks",
    "tests.worlds.pipelines",
]
NOBODY = 65534


def fresh_processes() -> ForkServerContext:
    """The context that starts such processes."""
    processes = multiprocessing.get_context("forkserver")
    processes.set_forkserver_preload(IMPORTED)
    return processes


def answer_of(function: Callable[..., Any], *arguments: Any) -> Any:
    """What a module's function returns in such a process; it raises what the function raises."""
    with ProcessPoolExecutor(1, mp_context=fresh_processes()) as pool:
        return pool.submit(function, *arguments).result(timeout=300)


class FreshPython:
    """`python WORDS` in such a process, with one thread, from the folder of the project.

    Args:
        words: `-c CODE ARGUMENTS` or `-m MODULE ARGUMENTS`.
        environment: variables beside those of this process.
        as_nobody: whether root's rights are given up before the words are run.
    """

    def __init__(self, *words: str, environment: Mapping[str, str] | None = None, as_nobody: bool = False) -> None:
        self._folder = tempfile.TemporaryDirectory()
        self._files = [Path(self._folder.name) / name for name in ("stdout", "stderr")]
        for file in self._files:
            file.touch()
        self._process = fresh_processes().Process(
            target=_run,
            args=(words, os.environ | (environment or {}), [str(file) for file in self._files], as_nobody),
        )
        self._process.start()
        # It may start processes of its own, which a daemon may not; one that a failed test has left ends all the same.
        weakref.finalize(self, self._process.kill)
        assert self._process.pid is not None
        self.pid = self._process.pid

    @property
    def stdout(self) -> str:
        """What it has written by now."""
        return self._files[0].read_text()

    @property
    def stderr(self) -> str:
        """What it has written there by now."""
        return self._files[1].read_text()

    def poll(self) -> int | None:
        """Its exit status, negative for a signal, or None while it runs."""
        return self._process.exitcode

    def wait(self, timeout: float = 300.0) -> int:
        """Its exit status at its end.

        Raises:
            TimeoutError: it has not ended within so many seconds.
        """
        self._process.join(timeout)
        if self._process.exitcode is None:
            self._process.kill()
            raise TimeoutError(f"it has not ended within {timeout} s: {self.stdout}{self.stderr}")
        return self._process.exitcode

    def kill(self) -> None:
        """End it by SIGKILL, and wait for that; it may have ended by itself."""
        self._process.kill()
        self._process.join()


def start_ranks(world: int, *words: str) -> list[FreshPython]:
    """Start the same words in `world` processes that are told of each other as by `torchrun`."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        shared = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free.getsockname()[1]), "WORLD_SIZE": str(world)}
    return [
        FreshPython(*words, environment=shared | {"RANK": str(rank), "LOCAL_RANK": str(rank)}) for rank in range(world)
    ]


def run_ranks(world: int, *words: str) -> None:
    """Run the same words in `world` such processes to their end."""
    ranks = start_ranks(world, *words)
    assert [rank.wait() for rank in ranks] == [0] * world, [rank.stderr for rank in ranks]


def _run(words: Sequence[str], environment: Mapping[str, str], files: Sequence[str], as_nobody: bool) -> None:
    for number, file in enumerate(files, start=1):
        opened = os.open(file, os.O_WRONLY | os.O_APPEND)
        os.dup2(opened, number)
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(ROOT)
    torch.set_num_threads(1)
    if as_nobody and os.getuid() == 0:
        os.setgroups([])
        os.setgid(NOBODY)
        os.setuid(NOBODY)
    kind, what, *arguments = words
    sys.argv = [kind, *arguments]
    try:
        if kind == "-m":
            runpy.run_module(what, run_name="__main__", alter_sys=True)
        else:
            exec(compile(what, "<string>", "exec"), {"__name__": "__main__"})
    finally:
        # As at the end of every Python; multiprocessing leaves it out.
        atexit._run_exitfuncs()
