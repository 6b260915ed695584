"""Lets torchvision as PyPI has it be imported beside a torch that is built for CPUs.

Its compiled operators are linked against CUDA, so beside such a torch they do not load, and the import ends where it
registers what `torchvision::nms` gives for tensors without data: there is no operator of that name. It is enough that
the operators are declared. What needs them (boxes) still fails when it is called; the transforms, which are all that
transformers, vLLM and FineVQ use, are plain torch.

`make env-NAME DEVICE=cpu` puts this file into site-packages, with a `.pth` line that imports it, where the environment
has torchvision. It costs nothing until torchvision is imported.
"""

from __future__ import annotations

import sys
from importlib.abc import MetaPathFinder
from typing import Any

OPERATORS = ("nms", "qnms")
"""Those that torchvision speaks of while it is imported."""


class DeclaredOperators(MetaPathFinder):
    """Finds nothing, but is asked for every module, and so knows when torchvision is about to be imported."""

    def __init__(self) -> None:
        # A declaration holds as long as this object.
        self.library: Any = None

    def find_spec(self, fullname: str, *_: object) -> None:
        """Declare the operators where torchvision is looked for; the search goes on."""
        if fullname == "torchvision" and self.library is None:
            import torch  # noqa: PLC0415 (only where torchvision is wanted)

            if torch.version.cuda is None:
                self.library = torch.library.Library("torchvision", "DEF")  # type: ignore[no-untyped-call]
                for operator in OPERATORS:
                    self.library.define(f"{operator}(Tensor boxes, Tensor scores, float iou_threshold) -> Tensor")


sys.meta_path.insert(0, DeclaredOperators())
