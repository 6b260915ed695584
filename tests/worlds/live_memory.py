"""Bytes that tensors hold while something runs, of fake tensors too: the real sizes without the memory."""

from __future__ import annotations

import weakref
from collections.abc import Callable, MutableMapping
from typing import Any, Self

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_map_only
from torch.utils.weak import WeakIdKeyDictionary


class LiveMemory(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Inside, counts what is allocated and freed; what was there before does not count."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.live = 0
        self.peak = 0
        self._known: MutableMapping[Any, int] = WeakIdKeyDictionary()

    def __torch_dispatch__(
        self, func: Callable[..., Any], _types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        tree_map_only(Tensor, lambda each: self._known.setdefault(each.untyped_storage(), 0), (args, kwargs))
        made = func(*args, **(kwargs or {}))
        tree_map_only(Tensor, self._count, made)
        return made

    def _count(self, tensor: Tensor) -> None:
        storage = tensor.untyped_storage()
        if storage in self._known or tensor.device.type == "meta":
            return
        size = storage.nbytes()
        self._known[storage] = size
        self.live += size
        self.peak = max(self.peak, self.live)
        weakref.finalize(storage, self._free, size)

    def _free(self, size: int) -> None:
        self.live -= size


class SavedTensors:
    """What a forward saves for its backward, while it is inside; each storage counts once."""

    def __init__(self) -> None:
        self._saved: dict[int, Tensor] = {}
        self._hooks = torch.autograd.graph.saved_tensors_hooks(self._keep, lambda tensor: tensor)

    def __enter__(self) -> Self:
        self._hooks.__enter__()
        return self

    def __exit__(self, *exception: object) -> None:
        self._hooks.__exit__(*exception)

    def nbytes(self, *, without: torch.nn.Module) -> int:
        """Of all but a module's parameters."""
        own = {_key(parameter) for parameter in without.parameters()}
        return sum(each.untyped_storage().nbytes() for key, each in self._saved.items() if key not in own)

    def _keep(self, tensor: Tensor) -> Tensor:
        self._saved.setdefault(_key(tensor), tensor)
        return tensor


def _key(tensor: Tensor) -> int:
    return int(tensor.untyped_storage()._cdata)
