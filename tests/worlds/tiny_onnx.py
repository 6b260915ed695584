"""Networks of a few nodes as ONNX files, encoded by hand: there is no exporter in the environment."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

Node = tuple[str, Sequence[str], str]
"""Operator, inputs, output."""


def write_onnx(
    path: Path,
    nodes: Sequence[Node],
    input_shape: Sequence[int],
    outputs: Sequence[str],
    constants: Mapping[str, npt.NDArray[np.float32]],
) -> Path:
    """A model with one float input named `pixels`."""
    graph = b"".join(_field(1, _node(*node)) for node in nodes) + _field(2, b"tiny")
    graph += b"".join(_field(5, _tensor(name, values)) for name, values in constants.items())
    graph += _field(11, _value("pixels", input_shape))
    graph += b"".join(_field(12, _value(name, None)) for name in outputs)
    path.write_bytes(_number(1, 8) + _field(7, graph) + _field(8, _number(2, 13)))
    return path


def write_scrfd(path: Path, box: tuple[float, float, float, float], points: npt.NDArray[np.float32]) -> Path:
    """Finds one face in any picture that is not black; `box` and `points` are in pixels of the 640 square."""
    constants: dict[str, npt.NDArray[np.float32]] = {"lift": np.full((1, 1, 1, 1), 0.9, np.float32)}
    for level, stride in enumerate((8, 16, 32)):
        num = 2 * (640 // stride) ** 2
        scores, boxes, offsets = (np.zeros((num, width), np.float32) for width in (1, 4, 10))
        if stride == 16:
            cell_x, cell_y = int((box[0] + box[2]) / 2 // stride), int((box[1] + box[3]) / 2 // stride)
            anchor = 2 * (cell_y * 40 + cell_x) + 1
            x, y = cell_x * stride, cell_y * stride
            scores[anchor] = 1
            boxes[anchor] = np.array([x - box[0], y - box[1], box[2] - x, box[3] - y]) / stride
            offsets[anchor] = ((points - [x, y]) / stride).ravel()
        constants |= {f"scores{level}": scores, f"box{level}": boxes, f"point{level}": offsets}
    nodes: list[Node] = [("ReduceMean", ["pixels"], "mean"), ("Add", ["mean", "lift"], "bright")]
    nodes += [("Mul", [f"scores{level}", "bright"], f"out{level}") for level in range(3)]
    nodes += [("Identity", [f"box{level}"], f"out{3 + level}") for level in range(3)]
    nodes += [("Identity", [f"point{level}"], f"out{6 + level}") for level in range(3)]
    return write_onnx(path, nodes, (1, 3, 640, 640), [f"out{index}" for index in range(9)], constants)


def write_colour_embedding(path: Path) -> Path:
    """Embeds a crop as its mean colour."""
    nodes: list[Node] = [("GlobalAveragePool", ["pixels"], "mean"), ("Flatten", ["mean"], "embedding")]
    return write_onnx(path, nodes, (1, 3, 112, 112), ["embedding"], {})


def _node(operator: str, inputs: Sequence[str], output: str) -> bytes:
    names = b"".join(_field(1, name.encode()) for name in inputs)
    return names + _field(2, output.encode()) + _field(4, operator.encode())


def _tensor(name: str, values: npt.NDArray[np.float32]) -> bytes:
    dims = b"".join(_number(1, size) for size in values.shape)
    return dims + _number(2, 1) + _field(8, name.encode()) + _field(9, values.tobytes())


def _value(name: str, shape: Sequence[int] | None) -> bytes:
    kind = _number(1, 1)
    if shape is not None:
        kind += _field(2, b"".join(_field(1, _number(1, size)) for size in shape))
    return _field(1, name.encode()) + _field(2, _field(1, kind))


def _number(field: int, value: int) -> bytes:
    return _varint(field << 3) + _varint(value)


def _field(field: int, data: bytes) -> bytes:
    return _varint(field << 3 | 2) + _varint(len(data)) + data


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes([*out, value])
