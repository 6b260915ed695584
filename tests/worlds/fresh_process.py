"""Processes that have imported the model and done nothing yet, forked from one server that imported it once."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing.context import ForkServerContext
from typing import Any

IMPORTED = ["model.network.sequence_parallel", "tests.worlds.networks", "tests.worlds.pipelines"]


def fresh_processes() -> ForkServerContext:
    """The context that starts such processes."""
    processes = multiprocessing.get_context("forkserver")
    processes.set_forkserver_preload(IMPORTED)
    return processes


def answer_of(function: Callable[..., Any], *arguments: Any) -> Any:
    """What a module's function returns in such a process; it raises what the function raises."""
    with ProcessPoolExecutor(1, mp_context=fresh_processes()) as pool:
        return pool.submit(function, *arguments).result(timeout=300)
