"""RTMO and RTMPose as MMDeploy exports them, with networks that see the same person in every picture.

RTMO:    input `(B, 3, 640, 640)`, 0 to 255   → dets `(B, N, 5)` box and score, keypoints `(B, N, 17, 3)`, in pixels
RTMPose: input `(B, 3, 256, 192)`, normalised → simcc_x `(B, 17, 384)`, simcc_y `(B, 17, 512)`, two bins a pixel
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

from curation.tiny_models.figure import BOX, JOINTS

Array = npt.NDArray[Any]

OPSET: Final = 17
IR_VERSION: Final = 10
"""Of what MMDeploy writes and every onnxruntime reads; the onnx package would write newer ones."""
RTMO_SIDE: Final = 640
RTMPOSE_SIZE: Final = (192, 256)
"""Width, height."""
BINS_PER_PIXEL: Final = 2
NUM_CANDIDATES: Final = 20
"""People that RTMO reports, the last ones with scores that count for nothing, as without suppression in the network."""
SCORE: Final = 0.9
PATCH: Final = 16


def write_rtmo(path: Path) -> None:
    """RTMO whose first candidate is the person of `figure`; what is in the picture changes nothing."""
    rng = np.random.default_rng(0)
    dets = rng.uniform(0, RTMO_SIDE, (1, NUM_CANDIDATES, 5))
    dets[..., 2:4] += dets[..., :2]
    dets[..., 4] = rng.uniform(0, 0.05, NUM_CANDIDATES)
    dets[0, 0] = [*(edge * RTMO_SIDE for edge in BOX), SCORE]
    keypoints = rng.uniform(0, RTMO_SIDE, (1, NUM_CANDIDATES, len(JOINTS), 3))
    keypoints[..., 2] = rng.uniform(0, 0.05, keypoints.shape[:-1])
    keypoints[0, 0] = np.concatenate([JOINTS * RTMO_SIDE, np.full((len(JOINTS), 1), SCORE)], 1)
    _save(
        path,
        [
            helper.make_node("ReduceMean", ["input"], ["mean"], axes=[1, 2, 3], keepdims=1),
            helper.make_node("Mul", ["mean", "zero"], ["nothing"]),  # (B, 1, 1, 1): gives the outputs their batch
            helper.make_node("Add", ["all_keypoints", "nothing"], ["keypoints"]),
            helper.make_node("Squeeze", ["nothing", "last_axis"], ["nothing_3d"]),
            helper.make_node("Add", ["all_dets", "nothing_3d"], ["dets"]),
        ],
        (3, RTMO_SIDE, RTMO_SIDE),
        {"dets": dets.shape[1:], "keypoints": keypoints.shape[1:]},
        {
            "zero": np.zeros((1, 1, 1, 1), np.float32),
            "last_axis": np.array([3], np.int64),
            "all_dets": dets.astype(np.float32),
            "all_keypoints": keypoints.astype(np.float32),
        },
    )


def write_rtmpose(path: Path) -> None:
    """RTMPose whose scores peak at the joints of `figure`, with a little of the picture through random weights."""
    rng = np.random.default_rng(0)
    width, height = RTMPOSE_SIZE

    def bumps(fractions: npt.NDArray[np.float32], num_bins: int) -> npt.NDArray[np.float32]:
        places = fractions[:, None] * num_bins - np.arange(num_bins)
        return np.asarray(SCORE * np.exp(-((places / 6) ** 2)), np.float32)[None]

    num_x, num_y = width * BINS_PER_PIXEL, height * BINS_PER_PIXEL
    _save(
        path,
        [
            helper.make_node("Conv", ["input", "patches"], ["seen"], kernel_shape=[PATCH] * 2, strides=[PATCH] * 2),
            helper.make_node("Tanh", ["seen"], ["bounded"]),
            helper.make_node("ReduceMean", ["bounded"], ["columns"], axes=[2], keepdims=0),
            helper.make_node("ReduceMean", ["bounded"], ["rows"], axes=[3], keepdims=0),
            helper.make_node("MatMul", ["columns", "to_x"], ["noise_x"]),
            helper.make_node("MatMul", ["rows", "to_y"], ["noise_y"]),
            helper.make_node("Add", ["noise_x", "peaks_x"], ["simcc_x"]),
            helper.make_node("Add", ["noise_y", "peaks_y"], ["simcc_y"]),
        ],
        (3, height, width),
        {"simcc_x": (len(JOINTS), num_x), "simcc_y": (len(JOINTS), num_y)},
        {
            "patches": rng.normal(0, 0.02, (len(JOINTS), 3, PATCH, PATCH)).astype(np.float32),
            "to_x": rng.normal(0, 0.005, (width // PATCH, num_x)).astype(np.float32),
            "to_y": rng.normal(0, 0.005, (height // PATCH, num_y)).astype(np.float32),
            "peaks_x": bumps(JOINTS[:, 0], num_x),
            "peaks_y": bumps(JOINTS[:, 1], num_y),
        },
    )


def _save(
    path: Path,
    nodes: Sequence[onnx.NodeProto],
    input_shape: Sequence[int],
    outputs: Mapping[str, Sequence[int]],
    constants: Mapping[str, Array],
) -> None:
    """Write a network with one input, `input`; shapes are without the batch, which is free."""

    def value(name: str, shape: Sequence[int]) -> onnx.ValueInfoProto:
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", *shape])

    graph = helper.make_graph(
        nodes,
        path.stem,
        [value("input", input_shape)],
        [value(name, shape) for name, shape in outputs.items()],
        [numpy_helper.from_array(values, name) for name, values in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)
    onnx.checker.check_model(model)
    onnx.save(model, str(path))
