"""Step caching: steps that change little take over what the network computed in an earlier one.

Made for samplers of many steps; a distilled model's four steps are too far apart. A cache changes the video.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal, Self

from diffusers.hooks import FirstBlockCacheConfig, TaylorSeerCacheConfig
from torch import Tensor

from model.network.transformer import SoulTransformer3DModel


@dataclass(frozen=True, kw_only=True, slots=True)
class StepCache:
    """A way to skip blocks of the network."""

    kind: Literal["first-block", "taylor"]
    """`first-block`: when the first block changes its input nearly as it did in the last step that was computed, all
    other blocks are skipped. `taylor`: between steps that are computed, the output is extrapolated (TaylorSeer)."""
    value: float
    """`first-block`: the largest relative change of the first block's update that skips the others; 0 skips nothing.
    `taylor`: steps from one that is computed to the next."""

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `first-block[:threshold]` or `taylor[:interval]`; without a value, 0.05 and 3.

        Raises:
            ValueError: it is neither.
        """
        kind, _, value = text.partition(":")
        usual = {"first-block": "0.05", "taylor": "3"}
        if kind not in usual:
            raise ValueError(f"--cache {text}: choose first-block[:threshold] or taylor[:interval]")
        try:
            number = float(value or usual[kind])
        except ValueError as error:
            raise ValueError(f"--cache {text}: {value!r} is no number") from error
        if kind == "first-block" and not 0 <= number < float("inf"):
            raise ValueError(f"--cache {text}: the threshold is at least 0")
        if kind == "taylor" and not (number.is_integer() and number >= 1):
            raise ValueError(f"--cache {text}: the interval is a whole number of steps")
        return cls(kind=kind, value=number)  # type: ignore[arg-type]

    def __str__(self) -> str:
        return f"{self.kind}:{self.value:g}"

    @contextmanager
    def enabled(self, network: SoulTransformer3DModel) -> Iterator[BlockRuns]:
        """Inside, a network skips blocks, and what it runs is counted; its blocks are compiled before or not at all."""
        runs, forwards = BlockRuns(), [block.forward for block in network.blocks]
        hook = network.register_forward_pre_hook(runs.forward)
        for block, forward in zip(network.blocks, forwards, strict=True):
            block.forward = runs.counted(forward)
        network.enable_cache(self._config())
        try:
            yield runs
        finally:
            network.disable_cache()
            hook.remove()
            for block, forward in zip(network.blocks, forwards, strict=True):
                block.forward = forward

    def _config(self) -> FirstBlockCacheConfig | TaylorSeerCacheConfig:
        if self.kind == "first-block":
            return FirstBlockCacheConfig(threshold=self.value)
        # Lite: the output alone is extrapolated. The factors of every attention would take 50 GB at 720p.
        return TaylorSeerCacheConfig(cache_interval=int(self.value), use_lite_mode=True)


class BlockRuns:
    """Counts how often a network's blocks ran."""

    def __init__(self) -> None:
        self.forwards = 0
        """Forwards of the network."""
        self.blocks = 0
        """Runs of blocks in them."""

    def forward(self, *_arguments: Any) -> None:
        """Count a forward of the network: a hook before it."""
        self.forwards += 1

    def counted(self, run: Callable[..., Tensor]) -> Callable[..., Tensor]:
        """A block's `forward` that counts itself."""

        def counting(*args: Any, **kwargs: Any) -> Tensor:
            self.blocks += 1
            return run(*args, **kwargs)

        return counting

    def skipped(self, num_blocks: int) -> float:
        """The share of all blocks of all forwards that was skipped."""
        return 1 - self.blocks / max(1, self.forwards * num_blocks)
