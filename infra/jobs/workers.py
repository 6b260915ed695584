"""Where a command of the benchmark does its work: in this process, or in actors on a Ray cluster."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self

import ray
from rich.console import Console

from infra.command_line import CommandFailedError
from infra.jobs.cluster import ClusterError, stopped
from infra.jobs.console import Words, announced_ray, display
from infra.jobs.engine import run_inline, run_on_ray
from infra.jobs.job import Job
from infra.jobs.placement import ExecutionConfig, PoolConfig
from infra.jobs.reach import check_reach
from infra.jobs.worker_options import WORKER_CPUS

PATIENCE_S: Final = 5.0
"""For how long a unit is tried again: its files lie on disks, where a fault that lasts so long will last."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Workers:
    """Where the work is done, and with how many actors of what size."""

    on_ray: bool = False
    """Whether to work on a Ray cluster (RAY_ADDRESS's, or one started here) and not in this process."""
    actors: int | None = None
    """Number of actors on Ray; None for one a CPU, or as many as the GPUs hold."""
    cpus: float = WORKER_CPUS
    """CPUs an actor reserves; below 1 so that Ray's own tasks find room."""
    gpus: float = 0.0
    """GPUs an actor reserves."""
    shared_paths: bool = False
    """Whether paths mean the same files on every node of a cluster that is joined."""

    @classmethod
    def from_options(cls, options: argparse.Namespace) -> Self:
        """What was typed; `infra.jobs.worker_options.add_worker_options` adds the options."""
        return cls(
            on_ray=options.ray,
            actors=options.workers,
            cpus=options.worker_cpus,
            gpus=options.worker_gpus,
            shared_paths=options.shared_paths,
        )

    def check_reach(self, places: Mapping[str, Path | None]) -> None:
        """Refuse places that not all workers reach.

        Raises:
            ConfigError: one of them is a path of this machine, and the work is done elsewhere too.
        """
        if self.on_ray:
            named = {what: None if place is None else str(place) for what, place in places.items()}
            check_reach(named, shared=self.shared_paths)

    def execution(self, timeout_s: float) -> ExecutionConfig:
        """The placement of a job on these actors: one pool of them.

        Args:
            timeout_s: an actor that works on one unit this long without a sign of life is ended.
        """
        pool = PoolConfig(name="workers", actors=self.actors, num_cpus=self.cpus, num_gpus=self.gpus)
        return ExecutionConfig(pools=(pool,), unit_timeout_s=timeout_s, patience_s=PATIENCE_S)

    def run(self, units: Sequence[Any], job: Job[Any], words: Words, console: Console) -> None:
        """Process the units of a job and show its progress.

        Raises:
            CommandFailedError: the cluster cannot go on.
        """
        with display(console, len(units), words) as drawing:
            if self.on_ray and units:
                try:
                    with announced_ray(console, job.name):
                        run_on_ray(units, job, drawing.show)
                except ray.exceptions.RayError as error:
                    raise CommandFailedError(stopped(error)) from error
                except (ClusterError, ConnectionError, TimeoutError) as error:
                    raise CommandFailedError(str(error)) from error
            else:
                run_inline(units, job, drawing.show)
