"""Tiny ONNX networks whose answers are known, with the inputs and outputs of published ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
from onnx import helper, numpy_helper

Array = npt.NDArray[np.float32]
Dims = Sequence[int | str]

OPSET, IR_VERSION = 17, 10
"""What MMPose's exports have; the newest of onnx is ahead of onnxruntime, which then refuses the file."""


def save_network(
    path: Path,
    nodes: Sequence[onnx.NodeProto],
    picture: Dims,
    outputs: Mapping[str, Dims],
    constants: Mapping[str, npt.NDArray[np.generic]],
) -> Path:
    """Write a network of `nodes` whose one input is called `input`; a name among the dimensions is a free one."""
    graph = helper.make_graph(
        list(nodes),
        "made_for_a_test",
        [helper.make_tensor_value_info("input", onnx.TensorProto.FLOAT, list(picture))],
        [helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, list(dims)) for name, dims in outputs.items()],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)
    onnx.checker.check_model(model)
    onnx.save(model, str(path))
    return path


def constant_network(path: Path, picture: Dims, answers: Mapping[str, Array]) -> Path:
    """A network that gives the same `answers`, by output name, to every picture."""
    nodes = [helper.make_node("Identity", [f"{name}_value"], [name]) for name in answers]
    constants = {f"{name}_value": value for name, value in answers.items()}
    return save_network(path, nodes, picture, {name: value.shape for name, value in answers.items()}, constants)
