"""RTMO and RTMPose as ONNX networks that find one red square: their answers are known from the picture alone."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
from onnx import helper

from tests.worlds.onnx_networks import save_network

Image = npt.NDArray[np.uint8]

RTMO_SIDE = 160
RTMPOSE_SIZE = 48, 64
"""Width and height of the input."""
REACH = 20.0
"""Half the side of the box that `square_rtmo` puts around a square, in pixels of its input."""


def red_square(picture: Image, x: float, y: float, half: int = 6) -> Image:
    """`picture` with a square whose middle is at the corner of pixels `(x, y)`."""
    picture[round(y) - half : round(y) + half, round(x) - half : round(x) + half] = (0, 0, 255)
    return picture


def square_rtmo(path: Path, batch: int | str = "batch", score: float = 0.9) -> Path:
    """An RTMO that finds one person, all of whose joints are in the middle of the red; the second has too low a score.

    It looks at the channel that is red in BGR, above the bars' brightness, and takes the mean place of what it sees.
    """
    side = RTMO_SIDE
    places = np.arange(side, dtype=np.float32) + 0.5
    box = np.array([[-REACH, -REACH, REACH, REACH, score], [-REACH, -REACH, REACH, REACH, 0.1]], np.float32)
    joints = np.concatenate([np.zeros((2, 17, 2)), np.full((2, 17, 1), 0.8)], axis=2).astype(np.float32)
    nodes = [
        helper.make_node("Conv", ["input", "channels"], ["red_raw"], kernel_shape=[1, 1]),
        helper.make_node("Sub", ["red_raw", "dark"], ["red_above"]),
        helper.make_node("Relu", ["red_above"], ["red"]),  # (B, 1, H, W)
        helper.make_node("ReduceSum", ["red", "all_but_batch"], ["total_raw"], keepdims=1),
        helper.make_node("Max", ["total_raw", "tiny"], ["total"]),  # (B, 1, 1, 1)
        *(
            node
            for axis, grid in (("x", "grid_x"), ("y", "grid_y"))
            for node in (
                helper.make_node("Mul", ["red", grid], [f"weighted_{axis}"]),
                helper.make_node("ReduceSum", [f"weighted_{axis}", "all_but_batch"], [f"moment_{axis}"], keepdims=1),
                helper.make_node("Div", [f"moment_{axis}", "total"], [f"{axis}4"]),
            )
        ),
        helper.make_node("Mul", ["x4", "nothing"], ["zero4"]),
        helper.make_node("Concat", ["x4", "y4", "zero4"], ["joint4"], axis=3),  # (B, 1, 1, 3)
        helper.make_node("Add", ["joint4", "joints"], ["keypoints"]),
        helper.make_node("Concat", ["x4", "y4", "x4", "y4", "zero4"], ["box4"], axis=3),
        helper.make_node("Squeeze", ["box4", "second"], ["box3"]),  # (B, 1, 5)
        helper.make_node("Add", ["box3", "boxes"], ["dets"]),
    ]
    return save_network(
        path,
        nodes,
        (batch, 3, side, side),
        {"dets": (batch, 2, 5), "keypoints": (batch, 2, 17, 3)},
        {
            "channels": np.array([-0.5, -0.5, 1.0], np.float32).reshape(1, 3, 1, 1),
            "dark": np.array(120.0, np.float32),
            "tiny": np.array(1e-3, np.float32),
            "nothing": np.array(0.0, np.float32),
            "all_but_batch": np.array([1, 2, 3], np.int64),
            "second": np.array([1], np.int64),
            "grid_x": places.reshape(1, 1, 1, side),
            "grid_y": places.reshape(1, 1, side, 1),
            "boxes": box[None],
            "joints": joints[None],
        },
    )


def square_rtmpose(path: Path, batch: int | str = "batch", peak: float = 3.0) -> Path:
    """An RTMPose that puts the peaks of all joints in the middle of the red, `peak` high for a square that fills the
    input.

    It looks at the first channel, red after the way MMPose normalises.
    """
    width, height = RTMPOSE_SIZE

    def bins(length: int) -> npt.NDArray[np.float32]:
        distance = np.arange(length)[:, None] + 0.5 - np.arange(2 * length)[None] / 2
        return np.exp(-(distance**2) / (2 * 4.0**2)).astype(np.float32)

    nodes = [
        helper.make_node("Conv", ["input", "channels"], ["red_raw"], kernel_shape=[1, 1]),
        helper.make_node("Sub", ["red_raw", "dark"], ["red_above"]),
        helper.make_node("Relu", ["red_above"], ["red"]),
        helper.make_node("ReduceMean", ["red"], ["columns"], axes=[2], keepdims=0),  # (B, 1, W)
        helper.make_node("ReduceMean", ["red"], ["rows"], axes=[3], keepdims=0),  # (B, 1, H)
        helper.make_node("MatMul", ["columns", "bins_x"], ["profile_x"]),
        helper.make_node("MatMul", ["rows", "bins_y"], ["profile_y"]),
        helper.make_node("Mul", ["profile_x", "joints"], ["simcc_x"]),  # (B, 17, 2W)
        helper.make_node("Mul", ["profile_y", "joints"], ["simcc_y"]),
    ]
    return save_network(
        path,
        nodes,
        (batch, 3, height, width),
        {"simcc_x": (batch, 17, 2 * width), "simcc_y": (batch, 17, 2 * height)},
        {
            "channels": np.array([1.0, -0.5, -0.5], np.float32).reshape(1, 3, 1, 1),
            "dark": np.array(1.0, np.float32),
            "bins_x": bins(width),
            "bins_y": bins(height),
            "joints": np.full((1, 17, 1), peak, np.float32),
        },
    )
