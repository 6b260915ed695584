"""How a model is made faster for generation: attention kernel, compiled blocks and decoder, fp8, step cache."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Literal, Self

from model.codecs.compiled_decoder import compile_decoder
from model.codecs.vae import Autoencoder
from model.generation.step_cache import BlockRuns, StepCache
from model.network.attention_kernels import AUTO, use_attention
from model.network.compilation import can_compile, compile_blocks
from model.network.fp8 import to_fp8
from model.network.transformer import SoulTransformer3DModel

WORTH_COMPILING = 200
"""Forwards of the network from which on `auto` compiles: it takes about a minute, and on an H200 a forward is 0.2 s
faster at 720p, 0.45 s at 1080p."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Acceleration:
    """What is done to a network before it makes videos."""

    attention: str = AUTO
    """See `use_attention`."""
    compile: Literal["auto", "blocks", "all", "none"] = "auto"
    """What is compiled: the network's blocks, or the autoencoder's decoder too; `auto`: the blocks, on a GPU, from
    `WORTH_COMPILING` forwards on."""
    quantization: Literal["none", "fp8"] = "none"
    """What the linear layers of the blocks compute in."""
    cache: StepCache | None = None
    """How blocks are skipped in some steps."""

    @classmethod
    def from_options(cls, options: argparse.Namespace) -> Self:
        """Read the options that `options.add_acceleration_options` adds.

        Raises:
            ValueError: the cache is none of those there are; one line.
        """
        return cls(
            attention=options.attention,
            compile=options.compile,
            quantization=options.quantization,
            cache=None if options.cache is None else StepCache.parse(options.cache),
        )

    def check_processes(self, num_processes: int) -> None:
        """Check that so many processes can share a clip.

        Raises:
            ValueError: each would decide by its own tokens what to skip, and wait for others that do not; one line.
        """
        if self.cache is not None and num_processes > 1:
            raise ValueError(f"--cache {self.cache}: processes that share a clip would not skip the same blocks")

    def apply(
        self,
        network: SoulTransformer3DModel,
        vaes: Sequence[Autoencoder],
        *,
        num_forwards: int,
        say: Callable[[str], None],
    ) -> None:
        """Change a network and what decodes its latents in place, the cache left out: see `caching`.

        Args:
            network: on its device, in its type.
            vaes: likewise.
            num_forwards: how often it will run.
            say: shows a line on what was chosen and what it costs.

        Raises:
            ValueError: the device or the installed packages do not allow it; one line.
        """
        kernel = use_attention(network, self.attention, network.device, network.dtype, trained=False)
        say(f"attention  {kernel}")
        if self.quantization == "fp8":
            say(f"fp8        moves a velocity of noise by {100 * to_fp8(network):.2f} % of its norm")
        is_auto = self.compile == "auto" and can_compile(network.device) and num_forwards >= WORTH_COMPILING
        if is_auto or self.compile in {"blocks", "all"}:
            say("compile    blocks, in the first forward: it takes about a minute")
            compile_blocks(network)
        if self.compile == "all":
            say("compile    the decoder, in the first clip: it takes about a minute more")
            for vae in vaes:
                compile_decoder(vae)

    def caching(self, network: SoulTransformer3DModel) -> AbstractContextManager[BlockRuns | None]:
        """Inside, a network to which all else has been applied skips blocks, if it is to; gives a count of them."""
        return nullcontext() if self.cache is None else self.cache.enabled(network)
