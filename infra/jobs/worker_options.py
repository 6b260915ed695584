"""The options of `infra.jobs.workers.Workers`, in a module of their own because `--help` must not import Ray."""

from __future__ import annotations

import argparse
from typing import Final

from infra.command_line import add_shared_paths

WORKER_CPUS: Final = 0.8
"""CPUs an actor reserves; below 1 so that Ray's own tasks find room."""


def add_worker_options(parser: argparse.ArgumentParser) -> None:
    """Add the options to a command."""
    group = parser.add_argument_group("workers")
    add = group.add_argument
    add("--ray", action="store_true", help="on a Ray cluster: RAY_ADDRESS's, or one started here")
    add("--workers", type=int, metavar="N", help="with --ray: actors; default one a CPU, or as the GPUs hold")
    add("--worker-cpus", type=float, default=WORKER_CPUS, metavar="N", help="with --ray: CPUs an actor reserves")
    add("--worker-gpus", type=float, default=0.0, metavar="N", help="with --ray: GPUs an actor reserves")
    add_shared_paths(group)
