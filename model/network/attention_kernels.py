"""Which kernel computes attention: one that was asked for, or the fastest that works on the device."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

import torch
from diffusers.models.attention_dispatch import (
    AttentionBackendName,
    _AttentionBackendRegistry,
    dispatch_attention_fn,
)
from torch.nn.attention import SDPBackend

from model.network.transformer import SoulTransformer3DModel

AUTO: Final = "auto"

LABELS: Final = {
    "_flash_3": "FlashAttention 3",
    "_flash_3_hub": "FlashAttention 3 (Hub)",
    "_native_cudnn": "cuDNN",
    "flash": "FlashAttention 2",
    "flash_hub": "FlashAttention 2 (Hub)",
    "sage": "SageAttention",
}
"""What to call diffusers' backends."""

_OF_TORCH: Final = {
    SDPBackend.MATH: "torch's math",
    SDPBackend.FLASH_ATTENTION: "torch's FlashAttention",
    SDPBackend.EFFICIENT_ATTENTION: "torch's memory-efficient",
    SDPBackend.CUDNN_ATTENTION: "cuDNN",
    SDPBackend.OVERRIDEABLE: "the device's own",
}

_FASTEST_FIRST: Final = ("_flash_3", "_native_cudnn", "flash", "native")
_HOPPER: Final = (9, 0)


def use_attention(
    network: SoulTransformer3DModel, choice: str, device: torch.device, dtype: torch.dtype, *, trained: bool
) -> str:
    """Let a network attend with one of diffusers' backends.

    `auto` is the first that works of FlashAttention 3, cuDNN, FlashAttention 2 (where their packages are installed)
    and torch's own choice. On Hopper cuDNN is 1.6 times as fast as FlashAttention 2; older GPUs pass over both first.

    Args:
        network: changed in place.
        choice: `auto`, or a name of diffusers' (`native`, `_native_cudnn`, `flash`, `_flash_3`, `sage`, ...).
        device: where it will compute; it may be elsewhere yet.
        dtype: of queries, keys and values: under autocast, autocast's.
        trained: whether the kernel must have a backward.

    Returns:
        What the kernel is called.

    Raises:
        ValueError: there is no such backend, its package is missing, or it does not work on the device; one line.
    """
    kind = _Kind(
        heads=network.config.num_attention_heads,
        channels=network.config.attention_head_dim,
        sound=network.config.audio_window,
        device=device,
        dtype=dtype,
        trained=trained,
    )
    problems = {name: _problem(network, name, kind) for name in (_candidates(kind) if choice == AUTO else (choice,))}
    name = next((each for each, problem in problems.items() if problem is None), None)
    if name is None:
        there = [each for each in _FASTEST_FIRST if _problem(network, each, kind) is None]
        _set(network, "native")
        raise ValueError(f"attention {choice}: {[*problems.values()][-1]}; what works here: {', '.join(there)}")
    _set(network, name)
    return _label(name, kind)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Kind:
    """What attention is computed of."""

    heads: int
    channels: int
    sound: int
    device: torch.device
    dtype: torch.dtype
    trained: bool

    def states(self, number: int) -> torch.Tensor:
        """Zeros for queries, keys or values of so many tokens."""
        shape = (1, number, self.heads, self.channels)
        return torch.zeros(shape, dtype=self.dtype, device=self.device, requires_grad=self.trained)


def _candidates(kind: _Kind) -> tuple[str, ...]:
    """Backends to try, the fastest first."""
    if kind.device.type != "cuda":
        return ("native",)
    if torch.cuda.get_device_capability(kind.device) < _HOPPER:
        return ("flash", "native")
    if _label("native", kind) == LABELS["_native_cudnn"]:
        # From 2.11 on, torch chooses cuDNN by itself. Asking for it would copy queries, keys and values.
        return ("_flash_3", "native")
    return _FASTEST_FIRST


def _problem(network: SoulTransformer3DModel, name: str, kind: _Kind) -> str | None:
    """Why a backend cannot be used; None when it can. It is tried on all three kinds of attention."""
    if name not in {each.value for each in AttentionBackendName}:
        return "there is no such backend"
    try:
        _set(network, name)
        _try(name, kind)
    except (RuntimeError, ValueError, TypeError, AssertionError, ImportError, OSError) as error:
        return str(error).strip().partition("\n")[0].rstrip(".") or type(error).__name__
    return None


def _try(name: str, kind: _Kind) -> None:
    tokens, text, sound = 256, 512, kind.sound
    with torch.set_grad_enabled(kind.trained), warnings.catch_warnings():
        # torch warns of each kernel that it cannot use, and then says that there is none.
        warnings.simplefilter("ignore")
        for queries, keys in ((tokens, tokens), (tokens, text), (tokens, sound)):
            query, key, value = (kind.states(number) for number in (queries, keys, keys))
            attended = dispatch_attention_fn(query, key, value, backend=AttentionBackendName(name))
            if kind.trained:
                attended.float().sum().backward()
            # A kernel that fails on a GPU says so when it has run.
            attended.float().sum().item()


def _set(network: SoulTransformer3DModel, name: str) -> None:
    """Set a network's backend; that of networks which have none of their own, which diffusers sets too, stays."""
    of_others, _ = _AttentionBackendRegistry.get_active_backend()
    with _without_warnings():
        network.set_attention_backend(name)
    _AttentionBackendRegistry.set_active_backend(of_others)


def _label(name: str, kind: _Kind) -> str:
    if name != "native":
        return LABELS.get(name, name)
    states = kind.states(256).transpose(1, 2)
    return _OF_TORCH[SDPBackend(torch._fused_sdp_choice(states, states, states))]


@contextmanager
def _without_warnings() -> Iterator[None]:
    """Hide that attention backends are experimental, which diffusers says every time."""
    logger = logging.getLogger("diffusers.models.modeling_utils")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)
