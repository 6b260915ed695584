"""A pose network from an ONNX file: whether it is the one it should be, and running it on batches of pictures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from curation.backends.onnx_session import open_session
from infra.config import ConfigError

Array = npt.NDArray[np.float32]
Dims = tuple[int | str, ...]

BATCH: Final = "B"
"""The dimension that runs over the pictures of a batch."""


class PictureNetwork:
    """An ONNX network that takes float32 pictures `(B, 3, H, W)` and gives the outputs of a known kind of network."""

    def __init__(
        self,
        weights: str | Path,
        *,
        kind: str,
        outputs: Mapping[str, tuple[str | int, ...]],
        device: str,
        threads: int,
    ) -> None:
        """Open the file and check what it holds, by its declarations and by one run on a grey picture.

        Args:
            weights: the ONNX file.
            kind: what messages call this kind of network.
            outputs: dimensions by output name. A number must be met, `B` is the batch, `2W` and `2H` are twice the
                input's width and height, any other name stands for whatever is there.
            device: as `open_session` takes it.
            threads: as `open_session` takes it.

        Raises:
            ConfigError: no such file, or another network's.
        """
        self.session = open_session(weights, device, threads)
        given = [(each.name, tuple(each.shape)) for each in self.session.get_inputs()]
        shape = given[0][1] if len(given) == 1 else ()
        if len(shape) != 4 or shape[1] != 3 or not all(isinstance(side, int) for side in shape[2:]):
            raise ConfigError(
                f"{weights} is not {kind}: expected one input ({BATCH}, 3, height, width) of a known size, "
                f"found {_shapes(given)}"
            )
        self.input = given[0][0]
        self.batch: int | None = shape[0] if isinstance(shape[0], int) else None
        """Pictures that every run takes, as the network was exported; None for any number."""
        self.height, self.width = int(shape[2]), int(shape[3])
        self.outputs = tuple(outputs)
        names = {"2W": 2 * self.width, "2H": 2 * self.height}
        expected = [(name, tuple(names.get(str(each), each) for each in dims)) for name, dims in outputs.items()]
        declared = [(each.name, tuple(each.shape)) for each in self.session.get_outputs()]
        found = declared
        if set(outputs) <= {name for name, _ in declared}:
            # Declared dimensions may be mere names, so a run tells what they are.
            answers = self._run(np.full((self.batch or 1, 3, self.height, self.width), 114, np.float32))
            found = [(name, array.shape) for name, array in zip(outputs, answers, strict=True)]
        if not all(_meets(dims, dict(found).get(name), self.batch or 1) for name, dims in expected):
            raise ConfigError(f"{weights} is not {kind}: expected outputs {_shapes(expected)}, found {_shapes(found)}")

    def __call__(self, pictures: Sequence[Array]) -> list[tuple[Array, ...]]:
        """For each picture `(3, H, W)` its part of every output, without the batch's dimension.

        A network that was exported for one picture is run one by one, one for a fixed number is filled up to it.
        """
        size = self.batch or max(1, len(pictures))
        results: list[tuple[Array, ...]] = []
        for first in range(0, len(pictures), size):
            part = pictures[first : first + size]
            inputs = np.zeros((size, 3, self.height, self.width), np.float32)
            inputs[: len(part)] = part
            answers = self._run(inputs)
            results += [tuple(answer[index] for answer in answers) for index in range(len(part))]
        return results

    def _run(self, inputs: Array) -> list[Array]:
        answers: list[Any] = self.session.run(list(self.outputs), {self.input: inputs})
        return [np.asarray(answer, np.float32) for answer in answers]


def _meets(expected: Dims, found: Dims | None, batch: int) -> bool:
    """Whether the dimensions of an output are those that are expected."""
    if found is None or len(found) != len(expected):
        return False
    wanted = (batch if each == BATCH else each for each in expected)
    return all(not isinstance(a, int) or a == b for a, b in zip(wanted, found, strict=True))


def _shapes(named: Sequence[tuple[str, Dims]]) -> str:
    return ", ".join(f"{name} ({', '.join(map(str, dims))})" for name, dims in named)
