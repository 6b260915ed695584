"""What a block holds, counted on fake tensors at full size and by formula."""

import dataclasses
from typing import Any

import pytest
import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils.checkpoint import checkpoint

from curation.encoding.bucket import Bucket
from model.network.blocks import SoulTransformerBlock
from model.pretrained.presets import PRESETS
from tests.worlds.live_memory import LiveMemory, SavedTensors
from training.memory.activations import TEXT_TOKENS, Work, tokens_of
from training.memory.network import width

NETWORK = PRESETS["soul-5b"].transformer
SIZES = {"720p": Bucket(109, 704, 1280), "1080p": Bucket(109, 1088, 1920)}
WORKS = [("720p", 2), ("1080p", 2), ("720p", 4)]


def work(size: str, number_bytes: int, **changes: Any) -> Work:
    one = Work(
        network=NETWORK,
        bucket=SIZES[size],
        micro_batch=1,
        sequence_parallel=1,
        number_bytes=number_bytes,
        stream_bytes=number_bytes,
    )
    return dataclasses.replace(one, **changes)


def block() -> SoulTransformerBlock:
    return SoulTransformerBlock(
        width(NETWORK), NETWORK.ffn_dim, NETWORK.num_attention_heads, cross_attn_norm=True, eps=1e-6
    )


def inputs(size: str, number_bytes: int, *, grad: bool) -> list[Any]:
    """Tokens, text, sound, modulation and rotary tables of one clip."""
    frames, tokens, dim = SIZES[size].latent_shape[0], tokens_of(NETWORK, SIZES[size]), width(NETWORK)
    dtype = torch.bfloat16 if number_bytes == 2 else torch.float32

    def made(*shape: int, dtype: torch.dtype = dtype, grad: bool = grad) -> Tensor:
        return torch.empty(shape, dtype=dtype, requires_grad=grad)

    table = made(frames * tokens, 1, NETWORK.attention_head_dim // 2, dtype=torch.float32, grad=False)
    return [
        made(1, frames, tokens, dim),
        made(1, TEXT_TOKENS, dim),
        made(1, frames, NETWORK.audio_window, dim),
        made(1, frames, 6, dim, dtype=torch.float32),
        (table, table.clone()),
    ]


@pytest.fixture(autouse=True)
def torchs_own_linear(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where ZeRO-3 has trained in this process, DeepSpeed's linear layer stands in for torch's, and saves otherwise."""
    monkeypatch.setattr(torch.nn.functional, "linear", torch._C._nn.linear)


def autocast(number_bytes: int) -> torch.autocast:
    return torch.autocast("cpu", torch.bfloat16, enabled=number_bytes == 2, cache_enabled=False)


@pytest.mark.parametrize(("size", "number_bytes"), WORKS)
@pytest.mark.parametrize("residual_in_fp32", [False, True])
def test_what_a_block_saves_for_its_backward(size: str, number_bytes: int, residual_in_fp32: bool) -> None:
    """Norms keep the residual stream in fp32 whatever its own type is."""
    planned = work(size, number_bytes)
    with FakeTensorMode(), SavedTensors() as saved, autocast(number_bytes):
        one = block()
        tokens, *given = inputs(size, number_bytes, grad=True)
        one(tokens.float() if residual_in_fp32 else tokens, *given)
        counted = saved.nbytes(without=one)
    expected = planned.saved_by_block() + planned.weight_copies("full")
    assert counted == pytest.approx(expected, rel=0.005)


@pytest.mark.parametrize(("size", "number_bytes"), WORKS)
def test_the_peak_of_blocks_that_are_computed_again(size: str, number_bytes: int) -> None:
    planned = work(size, number_bytes)
    with FakeTensorMode():
        blocks, (tokens, *given) = [block(), block()], inputs(size, number_bytes, grad=True)
        with LiveMemory() as memory:
            with autocast(number_bytes):
                made = tokens
                for each in blocks:
                    made = checkpoint(each, made, *given, use_reentrant=False)
            made.backward(torch.ones_like(made))
    # The input of the first block was there before; the last output and its gradient are as large.
    states = 3 * planned.block_input()
    peak = planned.saved_by_block() + planned.weight_copies("full") + planned.backward() + states
    assert 0.92 * peak < memory.peak < peak


@pytest.mark.parametrize(("size", "number_bytes"), WORKS)
def test_a_forward_without_a_gradient(size: str, number_bytes: int) -> None:
    with FakeTensorMode():
        one, given = block(), inputs(size, number_bytes, grad=False)
        with torch.no_grad(), LiveMemory() as memory, autocast(number_bytes):
            one(*given)
    assert memory.peak == pytest.approx(work(size, number_bytes).forward(), rel=0.1)


def test_the_papers_sizes() -> None:
    """Measured and counted before: a block saves 8.1 and 18.8 GB, and 30 blocks' inputs are 4.5 and 10.5 GB."""
    small, large = work("720p", 2), work("1080p", 2)
    assert (small.tokens, large.tokens) == (24_640, 57_120)
    assert [round(each.saved_by_block() / 1e9, 1) for each in (small, large)] == [8.1, 18.8]
    assert [round(each.saved("full") / 1e9, 1) for each in (small, large)] == [4.5, 10.5]
    assert [round(each.saved("attention") / 1e9, 1) for each in (small, large)] == [9.1, 21.1]
    assert small.weight_copies("none") == pytest.approx(12.3e9, rel=0.02)
    shared = work("1080p", 2, sequence_parallel=2, micro_batch=2)
    assert shared.saved("full") == large.saved("full")
    assert work("720p", 2, stream_bytes=4).block_input() == 2 * small.block_input()
