"""Processes that train together: who they are, however they were launched, and which of them share a clip."""

from __future__ import annotations

import os
import platform
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch.distributed import ProcessGroup

from infra.command_line import CommandFailedError
from infra.config import ConfigError

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True, slots=True)
class Ranks:
    """This process among those that train together."""

    rank: int
    world: int
    device: torch.device
    sequence_group: ProcessGroup | None = field(repr=False)
    """Ranks that share every clip; None when each has its own."""
    sequence_parallel: int

    @property
    def is_main(self) -> bool:
        """Whether this process writes files and talks to people."""
        return self.rank == 0

    @property
    def data_rank(self) -> int:
        """Which of the ranks that read different data this is."""
        return self.rank // self.sequence_parallel

    @property
    def num_data_ranks(self) -> int:
        """Ranks that read different data."""
        return self.world // self.sequence_parallel

    def sum(self, *values: float) -> list[float]:
        """Each value, summed over the ranks."""
        sums = torch.tensor(values, dtype=torch.float64, device=self.device)
        dist.all_reduce(sums)
        return sums.tolist()

    def gather(self, value: T) -> list[T]:
        """The value of every rank, in the order of ranks."""
        values: list[Any] = [None] * self.world
        dist.all_gather_object(values, value)
        return values

    def broadcast(self, value: T) -> T:
        """The main process's value."""
        values = [value]
        dist.broadcast_object_list(values, src=0, device=self.device)
        return values[0]

    def on_main(self, action: Callable[[], T]) -> T:
        """Do something on the main process alone; all get its result.

        Raises:
            ConfigError, CommandFailedError: raised by the action. They are raised on all ranks, so that none waits for
                one that has failed. An OSError of the action becomes a CommandFailedError.
        """
        value, problem = self.broadcast(_attempt(action) if self.is_main else ([], None))
        if problem is not None:
            raise problem
        return value[0]

    def once_a_node(self, action: Callable[[], T]) -> T:
        """Do something on the first process of each node; all get the result of their own node.

        Raises:
            ConfigError, CommandFailedError: as `on_main`, if the action fails on any node.
        """
        nodes = self.gather(platform.node())
        first = nodes.index(nodes[self.rank])
        answers = self.gather(_attempt(action) if self.rank == first else ([], None))
        for _, problem in answers:
            if problem is not None:
                raise problem
        return answers[first][0][0]

    def sharing(self, sequence_parallel: int) -> Ranks:
        """The same ranks, of which so many share every clip; all ranks call it.

        Raises:
            ConfigError: their number is not a multiple of it.
        """
        if sequence_parallel < 1 or self.world % sequence_parallel:
            raise ConfigError(
                f"{self.world} processes cannot share clips by {sequence_parallel}: parallel.sequence_parallel must "
                "divide their number"
            )
        group = None
        if sequence_parallel > 1:
            starts = range(0, self.world, sequence_parallel)
            members = [list(range(start, start + sequence_parallel)) for start in starts]
            group, _ = dist.new_subgroups_by_enumeration(members)  # type: ignore[no-untyped-call]
        return replace(self, sequence_group=group, sequence_parallel=sequence_parallel)

    def barrier(self) -> None:
        """Wait for all ranks."""
        dist.barrier()


def _attempt(action: Callable[[], T]) -> tuple[list[T], Exception | None]:
    """The action's result in a list, or none and the error that all ranks are to raise."""
    try:
        return [action()], None
    except (ConfigError, CommandFailedError) as error:
        return [], error
    except OSError as error:
        return [], CommandFailedError(str(error))


def join_ranks() -> Ranks:
    """Join the processes that `deepspeed`, `torchrun`, Slurm or Ray started; alone when none of them did. Each has
    clips of its own until `Ranks.sharing`."""
    complete_environment(os.environ)
    has_gpu = torch.cuda.is_available()
    if not has_gpu:
        os.environ.setdefault("DS_ACCELERATOR", "cpu")
    with _without_stderr():
        import deepspeed  # noqa: PLC0415 (it looks for its accelerator when it is imported)

    # DeepSpeed's all-reduce between CPU processes would need a C++ compiler, which may be missing.
    deepspeed.ops.__compatible_ops__["deepspeed_shm_comm"] = False
    local_rank = int(os.environ["LOCAL_RANK"])
    device = torch.device("cuda", local_rank) if has_gpu else torch.device("cpu")
    if has_gpu:
        torch.cuda.set_device(device)
    if not dist.is_initialized():
        backend = "nccl" if has_gpu else "gloo"
        if "RANK" not in os.environ:
            store = dist.HashStore()  # type: ignore[attr-defined]
            dist.init_process_group(backend, store=store, rank=0, world_size=1)
        deepspeed.init_distributed(dist_backend=backend, auto_mpi_discovery=False, verbose=False)
    rank, world = dist.get_rank(), dist.get_world_size()
    return Ranks(rank=rank, world=world, device=device, sequence_group=None, sequence_parallel=1)


def leave_ranks() -> None:
    """Leave the group of processes. A lone process stays in its group: it may train again, and DeepSpeed keeps it."""
    if dist.is_initialized() and dist.get_world_size() > 1:
        dist.destroy_process_group()


def complete_environment(environment: Any) -> None:
    """Set torch's variables of a process from those of Slurm's `srun`."""
    if "RANK" not in environment:
        environment.update(_of_slurm(environment))
    environment.setdefault("LOCAL_RANK", "0")


def _of_slurm(environment: Mapping[str, str]) -> dict[str, str]:
    # A lone `python` inside an allocation has no step: only srun's processes have.
    if "SLURM_STEP_ID" not in environment or int(environment.get("SLURM_STEP_NUM_TASKS", "1")) < 2:
        return {}
    return {
        "RANK": environment["SLURM_PROCID"],
        "LOCAL_RANK": environment["SLURM_LOCALID"],
        "WORLD_SIZE": environment["SLURM_STEP_NUM_TASKS"],
        "MASTER_ADDR": environment.get("MASTER_ADDR", environment.get("SLURM_LAUNCH_NODE_IPADDR", "127.0.0.1")),
        "MASTER_PORT": environment.get("MASTER_PORT", str(20_000 + int(environment["SLURM_JOB_ID"]) % 20_000)),
    }


@contextmanager
def _without_stderr() -> Iterator[None]:
    """Hide the complaints of the compilers that DeepSpeed probes when it is imported; exceptions are still raised."""
    kept = os.dup(2)
    with Path(os.devnull).open("wb") as nowhere:
        os.dup2(nowhere.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
