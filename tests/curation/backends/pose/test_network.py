"""Which ONNX files are taken for which network, and batches of any exported size."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from onnx import helper

from curation.backends.pose.network import PictureNetwork
from infra.config import ConfigError
from tests.worlds.onnx_networks import constant_network, save_network
from tests.worlds.pose_networks import square_rtmo, square_rtmpose

SIMCC = {"simcc_x": ("B", 17, "2W"), "simcc_y": ("B", 17, "2H")}


def open_network(path: Path) -> PictureNetwork:
    return PictureNetwork(path, kind="an RTMPose network", outputs=SIMCC, device="cpu", threads=1)


@pytest.mark.parametrize("batch", [1, 3, "batch"])
def test_every_batch_gives_what_one_by_one_gives(tmp_path: Path, batch: int | str) -> None:
    network = open_network(square_rtmpose(tmp_path / "rtmpose.onnx", batch))
    assert network.batch == (None if batch == "batch" else batch)
    assert (network.width, network.height) == (48, 64)
    pictures = list(np.random.default_rng(0).normal(0.0, 2.0, (5, 3, 64, 48)).astype(np.float32))
    together = network(pictures)
    assert len(together) == 5
    for picture, (simcc_x, simcc_y) in zip(pictures, together, strict=True):
        assert (simcc_x.shape, simcc_y.shape) == ((17, 96), (17, 128))
        ((alone_x, alone_y),) = network([picture])
        np.testing.assert_allclose(simcc_x, alone_x, rtol=1e-5)
        np.testing.assert_allclose(simcc_y, alone_y, rtol=1e-5)
    assert network([]) == []


def refused(path: Path, line: str) -> None:
    with pytest.raises(ConfigError, match=f"^{re.escape(f'{path} is not an RTMPose network: {line}')}$"):
        open_network(path)


def test_another_networks_outputs(tmp_path: Path) -> None:
    refused(
        square_rtmo(tmp_path / "rtmo.onnx", 1),
        "expected outputs simcc_x (B, 17, 320), simcc_y (B, 17, 320), found dets (1, 2, 5), keypoints (1, 2, 17, 3)",
    )


def test_another_number_of_joints(tmp_path: Path) -> None:
    answers = {"simcc_x": np.zeros((1, 133, 96), np.float32), "simcc_y": np.zeros((1, 133, 128), np.float32)}
    refused(
        constant_network(tmp_path / "wholebody.onnx", (1, 3, 64, 48), answers),
        "expected outputs simcc_x (B, 17, 96), simcc_y (B, 17, 128), found simcc_x (1, 133, 96), simcc_y (1, 133, 128)",
    )


def test_dimensions_that_are_declared_as_mere_names_are_measured(tmp_path: Path) -> None:
    path = tmp_path / "named.onnx"
    values = {"x": np.zeros((1, 17, 96), np.float32), "y": np.zeros((1, 17, 100), np.float32)}
    nodes = [helper.make_node("Identity", [axis], [f"simcc_{axis}"]) for axis in values]
    names = {"simcc_x": ("a", "b", "c"), "simcc_y": ("a", "b", "d")}
    save_network(path, nodes, (1, 3, 64, 48), names, values)
    refused(
        path,
        "expected outputs simcc_x (B, 17, 96), simcc_y (B, 17, 128), found simcc_x (1, 17, 96), simcc_y (1, 17, 100)",
    )


def test_an_input_that_is_no_picture_of_a_known_size(tmp_path: Path) -> None:
    answers = {"simcc_x": np.zeros((1, 17, 96), np.float32), "simcc_y": np.zeros((1, 17, 128), np.float32)}
    path = constant_network(tmp_path / "free.onnx", (1, 3, "height", "width"), answers)
    refused(path, "expected one input (B, 3, height, width) of a known size, found input (1, 3, height, width)")
