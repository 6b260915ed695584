"""Trainings that end by SIGKILL at a given moment, each in a process of its own.

`killed_trainings.py '[{"stage": …, "run": …, "overrides": […], "moment": "Snapshot.write", "call": 3}, …]'`: a
training dies when it returns from that call of the method. So the moment does not depend on how fast the machine is.
torch and DeepSpeed are imported once, and every training is a fork.
"""

import json
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

os.environ.setdefault("DS_ACCELERATOR", "cpu")
import deepspeed  # noqa: F401 (it looks for its accelerator when it is imported)

from training.distributed.ranks import join_ranks
from training.distributed.snapshot import Snapshot
from training.recipes.recipe import load_recipe
from training.stage import run_stage
from training.trainer import Trainer

CLASSES = {"Trainer": Trainer, "Snapshot": Snapshot}


def die_after(moment: str, call: int) -> None:
    """Let this process kill itself when it returns from the given call of a method."""
    owner, method = moment.split(".")
    original: Callable[..., Any] = getattr(CLASSES[owner], method)
    calls = 0

    def deadly(*args: Any, **kwargs: Any) -> Any:
        nonlocal calls
        calls += 1
        value = original(*args, **kwargs)
        if calls == call:
            os.kill(os.getpid(), signal.SIGKILL)
        return value

    setattr(CLASSES[owner], method, deadly)


def main() -> None:
    torch.set_num_threads(1)
    for job in json.loads(sys.argv[1]):
        child = os.fork()
        if child == 0:
            die_after(job["moment"], job["call"])
            recipe = load_recipe(job["stage"], "local", job["overrides"])
            run_stage(job["stage"], recipe, Path(job["run"]), join_ranks())
            os._exit(1)
        _, status = os.waitpid(child, 0)
        assert os.WIFSIGNALED(status), f"{job} ended before that moment"
        assert os.WTERMSIG(status) == signal.SIGKILL


if __name__ == "__main__":
    main()
