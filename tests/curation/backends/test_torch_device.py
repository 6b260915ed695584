"""Naming a device."""

from __future__ import annotations

import pytest
import torch

from curation.backends.torch_device import torch_device
from infra.config import ConfigError


def test_auto_takes_the_gpu_where_there_is_one() -> None:
    assert torch_device("auto").type == ("cuda" if torch.cuda.is_available() else "cpu")
    assert torch_device("cpu") == torch.device("cpu")


def test_a_gpu_that_is_not_there_is_refused() -> None:
    with pytest.raises(ConfigError, match="device 'cuda:99': torch finds"):
        torch_device("cuda:99")


def test_an_unknown_device_is_refused_in_one_line() -> None:
    with pytest.raises(ConfigError, match="unknown device 'gpu'") as caught:
        torch_device("gpu")
    assert "\n" not in str(caught.value)
