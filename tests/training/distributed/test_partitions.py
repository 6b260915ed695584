"""AdamW's number of updates lies where its kernels read it."""

import pytest
import torch

from training.distributed.partitions import count_of_updates


@pytest.mark.parametrize(("fused", "device"), [(True, "meta"), (False, "cpu")])
def test_the_number_of_updates_is_on_the_device_of_fused_kernels_alone(device: str, *, fused: bool) -> None:
    assert count_of_updates(3, torch.empty(2, device="meta"), fused=fused).device.type == device


@pytest.mark.parametrize("fused", [True, False])
def test_it_is_as_adamw_makes_it(*, fused: bool) -> None:
    weights = torch.ones(2, requires_grad=True)
    optimizer = torch.optim.AdamW([weights], fused=fused)
    for _ in range(3):
        weights.grad = torch.ones(2)
        optimizer.step()
    made, count = optimizer.state[weights]["step"], count_of_updates(3, weights, fused=fused)
    assert (made.dtype, made.shape, made.device, float(made)) == (count.dtype, count.shape, count.device, float(count))
