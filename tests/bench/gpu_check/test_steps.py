"""The whole check, tiny and on the CPU: no hour of a GPU is lost to a typo."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from bench.gpu_check.run import LINES, TABLE, run
from bench.gpu_check.schedule import STEPS
from bench.gpu_check.steps.training import NOISE
from tests.bench.gpu_check.conftest import told, work_untraced

Lines = list[dict[str, Any]]


@pytest.fixture(scope="module", params=["untraced", pytest.param("traced", marks=pytest.mark.slow)])
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the check has written."""
    out = tmp_path_factory.mktemp("check")
    with pytest.MonkeyPatch.context() as patch:
        if request.param == "untraced":
            patch.setattr("bench.gpu_check.run.work", work_untraced)
        run(told(out, budget=1000.0))
    return out


@pytest.fixture(scope="module")
def lines(folder: Path) -> Lines:
    """Its figures."""
    return [json.loads(line) for line in (folder / LINES).read_text().splitlines()]


@pytest.mark.parametrize("step", [step.name for step in STEPS if step.name not in {"attention", "video"}])
def test_all_of_a_step_is_measured(lines: Lines, step: str) -> None:
    own = [line for line in lines if line["step"] == step]
    # Tests run on busy machines, on which more blocks can take less time.
    assert not [line for line in own if not line.get("missing", NOISE).startswith(NOISE)]
    assert [line for line in own if "seconds" in line or "error" in line]
    assert all(line["seconds"] > 0 for line in own if "seconds" in line)


def test_a_kernel_that_is_not_there_says_so_and_the_others_are_measured(lines: Lines) -> None:
    own = [line for line in lines if line["step"] == "attention"]
    assert {line["what"].split(", ", 1)[1] for line in own if "missing" not in line} >= {
        "native, forward",
        "native, backward",
    }
    assert {line["what"].split(", ")[1] for line in own if "missing" in line} >= {"_native_cudnn", "sage"}


def test_an_encoder_that_is_not_there_says_so_and_x264_is_measured(lines: Lines) -> None:
    own = [line for line in lines if line["step"] == "video"]
    assert [line["what"].rsplit(", ", 1)[1] for line in own if "seconds" in line] == ["h264", "h264"]
    assert {line["what"].rsplit(", ", 1)[1] for line in own if "missing" in line} == {"h264_nvenc", "hevc_nvenc"}


def test_the_table_has_every_figure(folder: Path, lines: Lines) -> None:
    table = (folder / TABLE).read_text()
    assert all(line["what"] in table for line in lines)
    assert "100%" in next(row for row in table.splitlines() if "product of 256² bf16" in row)


def test_on_a_cpu_the_device_computes_what_the_cpu_does(lines: Lines) -> None:
    errors = {line["what"]: line["error"] for line in lines if line["step"] == "parity"}
    assert errors["tiny network, fp32"] == errors["small Wan decoder, fp32"] == 0
    assert errors["decoding as a stream"] < 1e-5
    assert 1e-4 < errors["tiny network, bf16 autocast"] < 3e-2


def test_an_average_that_was_swapped_in_leaves_the_weights_as_they_were(lines: Lines) -> None:
    assert [line["weights_restored"] for line in lines if "weights_restored" in line] == [True] * 4


def test_a_training_goes_on_from_its_checkpoint(lines: Lines) -> None:
    assert [line["goes_on"] for line in lines if "goes_on" in line] == [True] * 2
    assert next(line["error"] for line in lines if line["what"].endswith("a step after resuming")) == 0


def test_the_clamp_finds_the_nearest_centroids(lines: Lines) -> None:
    assert next(line for line in lines if line["step"] == "kernels")["largest_excess_distance"] < 1e-5
