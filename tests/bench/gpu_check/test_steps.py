"""Every step of the check, tiny and on the CPU: no hour of a GPU is lost to a typo."""

from __future__ import annotations

import importlib
from typing import Any

import pytest
import torch

from bench.gpu_check.schedule import STEPS
from bench.gpu_check.setting import build_setting
from tests.worlds.fresh_process import answer_of


def lines_of(step: str) -> list[dict[str, Any]]:
    """What a step finds at the tiny size."""
    torch.manual_seed(0)
    measure = importlib.import_module(f"bench.gpu_check.steps.{step}").measure
    return [figure.as_line(step) for figure in measure(build_setting("tiny", torch.device("cpu")))]


FOUND: dict[str, list[dict[str, Any]]] = {}


def found(step: str) -> list[dict[str, Any]]:
    """The same, measured once, in a process of its own: some steps change torch for the whole process."""
    if step not in FOUND:
        FOUND[step] = answer_of(lines_of, step)
    return FOUND[step]


@pytest.mark.parametrize("step", [step.name for step in STEPS if step.name != "attention"])
def test_all_of_a_step_is_measured(step: str) -> None:
    lines = found(step)
    assert not [line for line in lines if "missing" in line]
    assert [line for line in lines if "seconds" in line or "error" in line]
    assert all(line["seconds"] > 0 for line in lines if "seconds" in line)


def test_a_kernel_that_is_not_there_says_so_and_the_others_are_measured() -> None:
    lines = found("attention")
    assert {line["what"].split(", ", 1)[1] for line in lines if "missing" not in line} >= {
        "native, forward",
        "native, backward",
    }
    assert {line["what"].split(", ")[1] for line in lines if "missing" in line} >= {"_native_cudnn", "sage"}


def test_on_a_cpu_the_device_computes_what_the_cpu_does() -> None:
    errors = {line["what"]: line["error"] for line in found("parity")}
    assert errors["tiny network, fp32"] == errors["small Wan decoder, fp32"] == 0
    assert errors["decoding as a stream"] < 1e-5
    assert 1e-4 < errors["tiny network, bf16 autocast"] < 3e-2


def test_an_average_that_was_swapped_in_leaves_the_weights_as_they_were() -> None:
    restored = [line["weights_restored"] for line in found("zero") if "weights_restored" in line]
    assert restored == [True] * 6


def test_the_clamp_finds_the_nearest_centroids() -> None:
    assert found("kernels")[0]["largest_excess_distance"] < 1e-5
