"""Dividing GPUs: whole ones apart, parts together, and too few told."""

from __future__ import annotations

import pytest

from infra.config import ConfigError
from infra.servers.gpus import divide, visible_gpus

EIGHT = [str(index) for index in range(8)]


def test_each_server_gets_gpus_of_its_own() -> None:
    given = divide({"captions": 2, "defects": 1, "claims": 4, "finevq": 1}, EIGHT)
    taken = [gpu for gpus in given.values() for gpu in gpus.split(",")]
    assert sorted(taken) == EIGHT
    assert {name: len(gpus.split(",")) for name, gpus in given.items()} == {
        "claims": 4,
        "captions": 2,
        "defects": 1,
        "finevq": 1,
    }


def test_parts_share_a_gpu_and_leave_whole_ones_whole() -> None:
    given = divide({"a": 0.5, "b": 1, "c": 0.5, "d": 0}, ["4", "6"])
    assert given["a"] == given["c"] != given["b"]
    assert given["d"] == ""
    thirds = divide({"a": 1 / 3, "b": 1 / 3, "c": 1 / 3}, ["0"])
    assert set(thirds.values()) == {"0"}


def test_too_few_are_told_in_one_line() -> None:
    with pytest.raises(ConfigError, match=r"a, b want 3 GPUs, and this machine has 2: .*--only NAME") as caught:
        divide({"a": 1, "b": 2}, ["0", "1"])
    assert "\n" not in str(caught.value)
    with pytest.raises(ConfigError, match=r"want 1\.2 GPUs"):
        divide({"a": 0.6, "b": 0.6}, ["0"])


def test_what_a_scheduler_leaves_visible_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3, GPU-ab")
    assert visible_gpus() == ["3", "GPU-ab"]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert visible_gpus() == []
