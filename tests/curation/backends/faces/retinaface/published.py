"""Weights with random numbers in the layout of each public release, as training there would have left them."""

from __future__ import annotations

import numpy as np
import torch

from curation.backends.faces.retinaface.network import RetinaFaceNetwork
from curation.backends.faces.retinaface.releases import RELEASES


def random_weights(release: str, backbone: str) -> dict[str, torch.Tensor]:
    """Random convolutions; batch norms that have seen pictures as the release's training shows them."""
    generator = torch.Generator().manual_seed(0)
    chosen = RELEASES[release]
    network = RetinaFaceNetwork(backbone, chosen.negative_slope)
    for name, parameter in network.named_parameters():
        if parameter.dim() > 1:
            spread = (2 / parameter[0].numel()) ** 0.5
            parameter.data = torch.randn(parameter.shape, generator=generator) * spread
        elif name.endswith("bias"):
            parameter.data = torch.randn(parameter.shape, generator=generator) * 0.1
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = None  # the mean over all batches
    rng = np.random.default_rng(0)
    network.train()
    with torch.no_grad():
        noise = torch.from_numpy(rng.uniform(0, 255, (2, 3, 128, 128))).float()
        mean, spread_of = (torch.tensor(values).view(1, 3, 1, 1) for values in (chosen.mean, chosen.spread))
        network((noise - mean) / spread_of)
    return network.eval().state_dict()
