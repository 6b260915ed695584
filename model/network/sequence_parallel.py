"""Sequence parallelism: ranks share a clip by spatial positions within each latent frame (Ulysses).

Every rank holds the same S/R positions of all latent frames, so modulation per frame, text attention and
audio attention stay local. Only self-attention communicates: an all-to-all trades positions for heads before
the kernel and back after it. Keys and values of all positions arrive in rank order. This order does not change
the result, because RoPE has been applied to each token at its own position before.

Letters: B batch, F latent frames, S tokens of a latent frame, R ranks, D model width, d channels of a head.
"""

from typing import Any, Self, cast

import torch
import torch.distributed as dist
from einops import rearrange
from torch import Tensor, nn
from torch.distributed import ProcessGroup
from torch.distributed._functional_collectives import all_gather_tensor_autograd, all_to_all_single_autograd
from torch.utils.hooks import RemovableHandle

from model.network.attention import AttentionProcessor
from model.network.blocks import SoulTransformerBlock
from model.network.rope import RotaryTables
from model.network.transformer import SoulTransformer3DModel


class _ContiguousGradient(torch.autograd.Function):
    @staticmethod
    def forward(_ctx: Any, states: Tensor) -> Tensor:
        return states.view_as(states)

    @staticmethod
    def backward(_ctx: Any, gradient: Tensor) -> Tensor:
        return gradient.contiguous()


def with_contiguous_gradient(received: Tensor) -> Tensor:
    """The same tensor; its gradient is made contiguous, which the collectives of PyTorch 2.9 ask for."""
    states: Tensor = _ContiguousGradient.apply(received)  # type: ignore[no-untyped-call]
    return states


class UlyssesProcessor(AttentionProcessor):
    """Self-attention over the tokens of all ranks, each rank computing some of the heads."""

    def __init__(self, group: ProcessGroup, single: AttentionProcessor) -> None:
        self.group = group
        self._attention_backend = single._attention_backend

    def attend(self, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        """Attend from this rank's `(B, F·S/R, heads, d)` to all ranks' keys and values."""
        num_ranks = self.group.size()
        # One collective for the three: its latency is paid once.
        mine = torch.stack((query, key, value))
        by_heads = rearrange(mine, "qkv b n (rank h) d -> rank qkv b n h d", rank=num_ranks)
        states = rearrange(self.exchange(by_heads), "rank qkv b n h d -> qkv b (rank n) h d")
        attended = super().attend(*states)
        by_positions = rearrange(attended, "b (rank n) h d -> rank b n h d", rank=num_ranks)
        return rearrange(self.exchange(by_positions), "rank b n h d -> b n (rank h) d")

    def exchange(self, by_rank: Tensor) -> Tensor:
        """Send the i-th of `(R, …)` to rank i and return what came from each rank, `(R, …)`."""
        received: Tensor = all_to_all_single_autograd(by_rank.contiguous(), None, None, self.group)
        return with_contiguous_gradient(received)


class SequenceParallel:
    """Makes a transformer share every clip between the ranks of a process group, until `remove()` or
    the end of a `with`.

    The transformer's `forward` is unchanged: hooks keep this rank's positions before the first block and
    gather those of all ranks after the last layer. All ranks pass the same inputs and get the whole output.
    Averaged over all ranks, as data parallelism does anyway, gradients are those of the ranks' mean loss.

    Args:
        transformer: whose self-attention processors are replaced.
        group: the ranks that share a clip; None for all.

    Raises:
        ValueError: the number of ranks does not divide the heads or, in a forward, a latent frame's tokens.
    """

    def __init__(self, transformer: SoulTransformer3DModel, group: ProcessGroup | None = None) -> None:
        world = dist.group.WORLD
        assert world is not None, "torch.distributed is not initialised"
        self.group = world if group is None else group
        self.degree, self.rank = self.group.size(), self.group.rank()
        heads = transformer.config.num_attention_heads
        if heads % self.degree:
            raise ValueError(f"{self.degree} ranks cannot share {heads} attention heads: it must divide them")
        self._single = [
            (block.attn1, block.attn1.processor)
            for block in cast("list[SoulTransformerBlock]", list(transformer.blocks))
        ]
        for attention, processor in self._single:
            attention.processor = UlyssesProcessor(self.group, processor)
        self._hooks: list[RemovableHandle] = [
            transformer.rope.register_forward_hook(self._keep_my_tables),
            transformer.blocks[0].register_forward_pre_hook(self._keep_my_tokens),
            transformer.proj_out.register_forward_hook(self._gather_tokens),
        ]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        self.remove()

    def remove(self) -> None:
        """Give the transformer back to a single rank."""
        for hook in self._hooks:
            hook.remove()
        for attention, processor in self._single:
            processor._attention_backend = attention.processor._attention_backend
            attention.processor = processor

    def _keep_my_tables(self, _rope: nn.Module, _args: tuple[Any, ...], tables: RotaryTables) -> RotaryTables:
        num_tokens = tables[0].shape[1]
        if num_tokens % self.degree:
            raise ValueError(
                f"{self.degree} ranks cannot share {num_tokens} tokens of a latent frame: it must divide them"
            )
        cos, sin = tables
        return self._mine(cos, dim=1), self._mine(sin, dim=1)

    def _keep_my_tokens(self, _block: nn.Module, args: tuple[Any, ...]) -> tuple[Any, ...]:
        tokens, *conditions = args
        return self._mine(tokens, dim=2), *conditions

    def _gather_tokens(self, _layer: nn.Module, _args: tuple[Any, ...], tokens: Tensor) -> Tensor:
        by_rank: Tensor = all_gather_tensor_autograd(tokens.unsqueeze(0).contiguous(), 0, self.group)
        gathered: Tensor = rearrange(with_contiguous_gradient(by_rank), "rank b f s d -> b f (rank s) d")
        return gathered

    def _mine(self, states: Tensor, dim: int) -> Tensor:
        return states.chunk(self.degree, dim)[self.rank].contiguous()
