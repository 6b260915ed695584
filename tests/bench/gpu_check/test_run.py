"""The budget, and steps that fail or hang."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bench.gpu_check.run import LINES, Worker, run
from bench.gpu_check.schedule import Step
from infra.command_line import CommandFailedError
from tests.bench.gpu_check.conftest import told


@pytest.fixture
def worker() -> Iterator[Worker]:
    """One that a test may kill."""
    made = Worker("tiny", "cpu")
    yield made
    made.kill()


def measured(worker: Worker, name: str, *, limit_s: float = 60) -> tuple[bool, list[dict[str, Any]]]:
    lines: list[dict[str, Any]] = []
    step = Step(name=name, about="", share_s=1)
    return worker.measure(step, limit_s=limit_s, take=lines.append), lines


def test_what_does_not_fit_the_budget_is_skipped_and_said(tmp_path: Path) -> None:
    with pytest.raises(CommandFailedError, match=r"^not measured whole: .*zero; .*table\.txt says why$"):
        run(told(tmp_path, budget=0.001))
    lines = [json.loads(line) for line in (tmp_path / LINES).read_text().splitlines()]
    assert any(line["missing"].startswith("skipped: ") for line in lines)


def test_a_step_that_fails_does_not_end_the_others(worker: Worker) -> None:
    goes_on, (line,) = measured(worker, "no_such_step")
    assert goes_on
    assert line["missing"].startswith("ModuleNotFoundError")
    goes_on, lines = measured(worker, "ceilings")
    assert goes_on
    assert len(lines) == 3
    worker.close()
    assert worker.process.exitcode == 0


def test_a_step_that_hangs_is_stopped(worker: Worker) -> None:
    goes_on, lines = measured(worker, "ceilings", limit_s=0)
    assert not goes_on
    assert lines[-1]["missing"] == "stopped after 0 s"
    assert worker.process.exitcode is not None


def test_a_step_that_kills_its_process_is_named(worker: Worker) -> None:
    worker.process.kill()
    goes_on, (line,) = measured(worker, "ceilings")
    assert not goes_on
    assert line["missing"] == "the process died with status -9"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"steps": "parity,nothing"}, "no step 'nothing'"),
        ({"budget": 0.0}, "--budget 0.0"),
        ({"device": "nonsense"}, "--device nonsense: "),
        ({"size": "full"}, "the full size needs a CUDA device"),
    ],
)
def test_mistakes_are_one_line(tmp_path: Path, options: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        run(told(tmp_path, **options))
