"""The optimizer of the studies' convolutional networks."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from bench.studies.muon import KernelOptimizer, orthogonalised


@pytest.mark.parametrize("shape", [(8, 40), (40, 8), (16, 16)])
def test_singular_values_come_near_to_one(shape: tuple[int, int]) -> None:
    torch.manual_seed(0)
    matrix = torch.randn(*shape)
    made = orthogonalised(matrix)
    assert made.shape == shape
    values = torch.linalg.svdvals(made)
    assert float(values.min()) > 0.3
    assert float(values.max()) < 1.3
    left, _, right = torch.linalg.svd(matrix, full_matrices=False)
    assert float((made * (left @ right)).sum() / min(shape)) > 0.7, "it turns the same way"


def test_it_learns_a_filter() -> None:
    torch.manual_seed(0)
    wanted, learnt = (nn.Sequential(nn.Conv2d(3, 8, 3), nn.SiLU(), nn.Conv2d(8, 3, 3)) for _ in range(2))
    optimizer, errors = KernelOptimizer(learnt, steps=150), []
    for _ in range(150):
        pictures = torch.randn(8, 3, 12, 12)
        loss = (learnt(pictures) - wanted(pictures).detach()).square().mean()
        errors.append(float(loss.detach()))
        optimizer.step(loss)
    assert sum(errors[-10:]) < 0.1 * sum(errors[:10])


def test_what_has_no_gradient_stays_as_it_is() -> None:
    used, unused = nn.Conv2d(3, 3, 1), nn.Conv2d(3, 3, 1)
    before = unused.weight.detach().clone()
    optimizer = KernelOptimizer(nn.ModuleList([used, unused]), steps=2)
    optimizer.step(used(torch.ones(1, 3, 2, 2)).sum())
    assert torch.equal(unused.weight, before)
