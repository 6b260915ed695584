"""The arithmetic of fp8: what is quantised, how far products are off, and what is refused."""

import re

import pytest
import torch
from torch import nn

from model.network.fp8 import E4M3, Fp8Linear, check_fp8, quantise, to_fp8
from tests.worlds.networks import random_soul

HALF_STEP = 2.0**-4
"""e4m3 has three bits after the leading one: rounding moves a normal number by no more than this share of it."""
SMALLEST = 2.0**-9
"""The step between numbers below the smallest normal one."""


def has_fp8() -> bool:
    try:
        check_fp8(torch.device("cpu"), torch.bfloat16)
    except ValueError:
        return False
    return True


needs_fp8 = pytest.mark.skipif(not has_fp8(), reason="this torch multiplies no fp8 rows on a CPU: 2.13 does")


def test_rows_are_within_half_a_step_of_what_they_were() -> None:
    rows = torch.randn(50, 64, generator=torch.Generator().manual_seed(0)) * torch.logspace(-6, 6, 50).unsqueeze(1)
    quantised, scale = quantise(rows)
    assert quantised.dtype == E4M3
    error = (quantised.float() * scale - rows).abs()
    assert (error <= HALF_STEP * rows.abs() + SMALLEST / 2 * scale).all()
    assert error.max() > 0
    assert torch.equal(quantised.float().abs().amax(dim=1), torch.full((50,), 448.0))


def test_rows_of_zeros_stay_zeros() -> None:
    quantised, scale = quantise(torch.zeros(2, 16))
    assert torch.equal(quantised.float(), torch.zeros(2, 16))
    assert scale.isfinite().all()


@needs_fp8
def test_products_are_those_of_the_quantised_numbers_and_near_the_exact_ones() -> None:
    generator = torch.Generator().manual_seed(0)
    linear = nn.Linear(96, 32)
    states = torch.randn(2, 7, 96, generator=generator) * torch.tensor([1e-2, 30.0]).view(2, 1, 1)
    product = Fp8Linear(linear)(states)
    assert product.dtype == torch.bfloat16
    assert product.shape == (2, 7, 32)
    (rows, row_scale), (weights, weight_scale) = quantise(states.flatten(0, 1)), quantise(linear.weight.detach())
    dequantised = (rows.float() * row_scale) @ (weights.float() * weight_scale).T + linear.bias
    torch.testing.assert_close(product.flatten(0, 1).float(), dequantised, rtol=1e-2, atol=1e-2)
    exact = linear(states)
    # Each factor is off by half a step at most, so each term of the sum by two of them and their product.
    terms = states.abs() @ linear.weight.detach().abs().T
    bound = (2 * HALF_STEP + HALF_STEP**2) * terms + 2.0**-8 * exact.abs() + 1e-3 * terms
    assert ((product.float() - exact).abs() <= bound).all()


@needs_fp8
def test_the_blocks_are_quantised_and_the_error_is_told() -> None:
    torch.manual_seed(0)
    soul = random_soul(num_attention_heads=2, attention_head_dim=32).bfloat16()
    error = to_fp8(soul)
    assert 1e-4 < error < 0.1
    quantised = {name for name, layer in soul.named_modules() if isinstance(layer, Fp8Linear)}
    assert len(quantised) == len(soul.blocks) * (3 * 4 + 2)
    left = {name for name, layer in soul.named_modules() if isinstance(layer, nn.Linear)}
    assert all(not name.startswith("blocks") for name in left)
    assert {"proj_out", "audio_embedder.proj", "condition_embedder.time_proj"} <= left


@needs_fp8
@torch.no_grad()
def test_a_quantised_layer_compiles_without_graph_breaks() -> None:
    layer, states = Fp8Linear(nn.Linear(32, 16)), torch.randn(3, 5, 32)
    expected = layer(states)
    torch.testing.assert_close(torch.compile(layer, fullgraph=True, backend="eager")(states), expected)


def test_a_device_without_fp8_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_args: object, **_kwargs: object) -> None:
        raise RuntimeError("torch._scaled_mm is only supported on devices with 8.9\nand more")

    monkeypatch.setattr(torch, "_scaled_mm", refuse)
    with pytest.raises(ValueError, match=re.escape("fp8 does not work on cpu with torch")) as caught:
        check_fp8(torch.device("cpu"), torch.bfloat16)
    assert "\n" not in str(caught.value)


def test_fp32_networks_and_odd_widths_are_refused() -> None:
    with pytest.raises(ValueError, match="stands in for bfloat16, and the network is in float32"):
        to_fp8(random_soul())
    with pytest.raises(ValueError, match="widths that 16 divides, got 24 and 16"):
        Fp8Linear(nn.Linear(24, 16))
