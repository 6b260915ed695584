"""What the tests of the check share."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import pytest
import torch

from bench.gpu_check.worker import work
from tests.worlds.fresh_process import fresh_processes


@pytest.fixture(scope="package", autouse=True)
def quick_start() -> Iterator[None]:
    """Workers are fresh processes that have imported torch."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("bench.gpu_check.run.get_context", lambda _: fresh_processes())
        yield


def work_untraced(connection: Connection, size: str, device: str | None) -> None:
    """A worker in which compiling does nothing: it takes the check half of its time, and has tests of its own."""
    torch.compiler.set_stance("force_eager")
    work(connection, size, device)


def told(out: Path, **options: Any) -> argparse.Namespace:
    """The command's options, tiny and on the CPU."""
    return argparse.Namespace(**{"out": out, "budget": 100.0, "steps": None, "size": "tiny", "device": "cpu"} | options)
