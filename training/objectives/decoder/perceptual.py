"""LPIPS, where its package and weights are installed.

No environment of ours has LPIPS: it needs torchvision, which has no build for a CPU build of torch.

Letters: B batch, T frames.
"""

from __future__ import annotations

import importlib
import io
from collections.abc import Callable
from contextlib import redirect_stdout
from typing import Literal

import torch
from einops import rearrange
from torch import Tensor, nn

from infra.config import ConfigError

Wanted = Literal["auto"] | bool
"""`auto`, `on` or `off`: the last two are booleans to YAML."""
Network = Literal["alex", "vgg"]


class Perceptual(nn.Module):
    """Learned perceptual distance of videos, frame by frame; frozen."""

    def __init__(self, distance: nn.Module, network: str) -> None:
        super().__init__()
        self.distance = distance.eval().requires_grad_(requires_grad=False)
        self.name = f"lpips_{network}"

    def forward(self, pixels: Tensor, target: Tensor) -> Tensor:
        """Scalar: mean distance of the frames of two videos (B, 3, T, height, width) in [-1, 1]."""
        ours, theirs = (rearrange(video, "b c t h w -> (b t) c h w") for video in (pixels, target))
        distance: Tensor = self.distance(ours, theirs)
        return distance.mean()


def load_perceptual(
    wanted: Wanted, network: Network, device: torch.device, say: Callable[[str], None]
) -> Perceptual | None:
    """Load LPIPS; None without it. If `auto` does not find it, `say` is called with a line on that.

    Args:
        wanted: `on` needs LPIPS, `auto` goes on without it if it is missing, `off` does not look for it.
        network: the network whose features LPIPS compares.
        device: where LPIPS computes.
        say: takes the line.

    Raises:
        ConfigError: LPIPS is `on` and missing; one line that says what to do.
    """
    if wanted is False:
        return None
    try:
        lpips = importlib.import_module("lpips")
        # LPIPS prints where its weights come from.
        with redirect_stdout(io.StringIO()):
            distance: nn.Module = lpips.LPIPS(net=network, verbose=False)
    except (ImportError, OSError, RuntimeError) as error:
        reason = str(error).strip().partition("\n")[0] or type(error).__name__
        missing = f"LPIPS ({network}) is not there ({reason})"
        if wanted is True:
            raise ConfigError(
                f"{missing}: `pip install lpips` where torchvision can be, or --set decoder.lpips=off"
            ) from error
        say(f"{missing}: training without the perceptual term, and LPIPS is not measured")
        return None
    return Perceptual(distance, network).to(device)
