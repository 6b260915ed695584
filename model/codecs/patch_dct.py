"""The patch-DCT codec, which the `tiny` preset has in place of the Wan2.2 VAE: there is nothing to download.

A latent position holds 48 of the 3,072 DCT coefficients of 4 frames × 16 × 16 pixels × 3 colours; a learned network can
mend what they decode to (`model.codecs.refiner`). As in the VAE, the first latent frame holds the first pixel frame
alone and every later one four pixel frames: 1 + 4k ↔ 1 + k.

Letters: B batch, C latent channels (48), F latent frames, T pixel frames, H and W latent sides.
"""

import math
from typing import Final

import torch
from diffusers.configuration_utils import ConfigMixin, register_to_config
from diffusers.models.autoencoders.vae import DecoderOutput, DiagonalGaussianDistribution
from diffusers.models.modeling_outputs import AutoencoderKLOutput
from diffusers.models.modeling_utils import ModelMixin
from einops import rearrange, repeat
from torch import Tensor, nn

from model.codecs.geometry import SPATIAL_COMPRESSION, TEMPORAL_COMPRESSION
from model.codecs.refiner import PatchRefiner

NUM_CHANNELS: Final = 48

# Luma, blue-yellow and red-green, orthonormal: one matrix serves both directions.
_COLOURS: Final = (
    (3**-0.5, 3**-0.5, 3**-0.5),
    (-(6**-0.5), -(6**-0.5), 2 * 6**-0.5),
    (2**-0.5, -(2**-0.5), 0.0),
)

# Which coefficients are kept: (colour axis, temporal frequency, highest sum of the two spatial
# frequencies). Chosen by the variance of the coefficients of 33 frames of each of some 30 real videos, most
# of talking people, at short edge 256; the 48 keep 98 % of the variance.
_KEPT: Final = ((0, 0, 6), (0, 1, 2), (0, 2, 1), (0, 3, 1), (1, 0, 1), (2, 0, 1), (1, 1, 0), (2, 1, 0))

# Mean and standard deviation of the kept coefficients over the same videos (pixels in [-1, 1]). Means of
# all but the three constant terms are below 0.1 and taken as zero.
_LATENTS_MEAN: Final = {0: -9.357, 40: -2.061, 43: 2.161}
_LATENTS_STD: Final = (
    *(
        25.358,
        4.974,
        5.485,
        2.458,
        2.291,
        3.01,
        1.6,
        1.433,
        1.429,
        1.947,
        1.076,
        0.946,
        1.019,
        0.993,
        1.336,
        0.811,
    ),
    *(
        0.699,
        0.727,
        0.747,
        0.746,
        1.1,
        0.599,
        0.555,
        0.55,
        0.564,
        0.59,
        0.603,
        0.832,
        1.63,
        0.663,
        0.739,
        0.472,
    ),
    *(
        0.47,
        0.5,
        1.024,
        0.391,
        0.457,
        0.538,
        0.226,
        0.297,
        8.148,
        1.001,
        1.381,
        8.027,
        1.18,
        1.927,
        0.293,
        0.255,
    ),
)


class PatchDCTCodec(ModelMixin, ConfigMixin):
    """A fixed orthonormal transform with the interface of `AutoencoderKLWan` (4 × 16 × 16, 48 channels).

    Latents of `encode` and `decode` are raw; `latents_mean` and `latents_std` of the configuration normalise
    them, as with the VAE (see `model.codecs.vae`). With a `refiner_width` above 0, a learned network mends what the
    transform decodes; the latents are the same with it and without it.
    """

    @register_to_config
    def __init__(
        self,
        latents_mean: tuple[float, ...] = tuple(_LATENTS_MEAN.get(i, 0.0) for i in range(NUM_CHANNELS)),
        latents_std: tuple[float, ...] = _LATENTS_STD,
        z_dim: int = NUM_CHANNELS,
        scale_factor_temporal: int = TEMPORAL_COMPRESSION,
        scale_factor_spatial: int = SPATIAL_COMPRESSION,
        *,
        refiner_width: int = 0,
        refiner_blocks: int = 0,
    ) -> None:
        super().__init__()
        geometry = (z_dim, scale_factor_temporal, scale_factor_spatial)
        if geometry != (NUM_CHANNELS, TEMPORAL_COMPRESSION, SPATIAL_COMPRESSION):
            raise ValueError(f"the patch-DCT codec has 48 channels and 4×16×16 patches, not {geometry}")
        if len(latents_mean) != z_dim or len(latents_std) != z_dim:
            raise ValueError(f"latents_mean and latents_std need {z_dim} values")
        # A parameter rather than a buffer: diffusers finds a model's device and dtype by its parameters.
        self.basis = nn.Parameter(_basis(), requires_grad=False)
        self.refiner = PatchRefiner(refiner_width, refiner_blocks) if refiner_width else nn.Identity()

    def encode(
        self, x: Tensor, *, return_dict: bool = True
    ) -> AutoencoderKLOutput | tuple[DiagonalGaussianDistribution]:
        """Pixels (B, 3, 1 + 4k, 16H, 16W) in [-1, 1] to a deterministic posterior (B, 48, 1 + k, H, W)."""
        _, channels, frames, height, width = x.shape
        if (
            channels != 3
            or frames % TEMPORAL_COMPRESSION != 1
            or height % SPATIAL_COMPRESSION
            or width % SPATIAL_COMPRESSION
        ):
            raise ValueError(
                f"pixels must be (B, 3, 1 + 4k, 16H, 16W), got {tuple(x.shape)}: "
                "3 colours, 1 + 4k frames, sides divisible by 16"
            )
        first = repeat(x[:, :, :1], "b c 1 h w -> b c t h w", t=TEMPORAL_COMPRESSION)
        patches = rearrange(
            torch.cat([first, x[:, :, 1:]], dim=2),
            "b c (f t) (h p) (w q) -> b f h w (c t p q)",
            t=TEMPORAL_COMPRESSION,
            p=SPATIAL_COMPRESSION,
            q=SPATIAL_COMPRESSION,
        )
        latents = rearrange(patches.to(self.basis.dtype) @ self.basis, "b f h w c -> b c f h w")
        spread = torch.zeros_like(latents)
        posterior = DiagonalGaussianDistribution(torch.cat([latents, spread], dim=1), deterministic=True)
        return AutoencoderKLOutput(latent_dist=posterior) if return_dict else (posterior,)

    def decode(self, z: Tensor, *, return_dict: bool = True) -> DecoderOutput | tuple[Tensor]:
        """Raw latents (B, 48, F, H, W) to pixels (B, 3, 1 + 4(F−1), 16H, 16W), clamped to [-1, 1]."""
        frames = [self.decode_latent(latent, first=i == 0) for i, latent in enumerate(torch.split(z, 1, dim=2))]
        pixels = torch.cat(frames, dim=2)
        return DecoderOutput(sample=pixels) if return_dict else (pixels,)

    def decode_latent(self, z: Tensor, *, first: bool) -> Tensor:
        """One raw latent frame (B, 48, 1, H, W) to its pixel frames: one if it begins a video, else four."""
        pixels = self.mended(self.patches(z), first=first)
        return pixels.clamp(-1, 1)

    def patches(self, z: Tensor) -> Tensor:
        """One raw latent frame (B, 48, 1, H, W) to its four frames (B, 3, 4, 16H, 16W), by the transform alone."""
        vectors = rearrange(z, "b c f h w -> b f h w c").to(self.basis.dtype)
        return rearrange(
            vectors @ self.basis.T,
            "b f h w (c t p q) -> b c (f t) (h p) (w q)",
            c=3,
            t=TEMPORAL_COMPRESSION,
            p=SPATIAL_COMPRESSION,
            q=SPATIAL_COMPRESSION,
        )

    def mended(self, patches: Tensor, *, first: bool) -> Tensor:
        """What `patches` gave, without the marks of the transform: one frame if it begins a video, else four."""
        pixels: Tensor = self.refiner(patches)
        # A first frame was encoded from four equal ones, so any motion in it is noise: it is the mean of the four.
        return pixels.mean(dim=2, keepdim=True) if first else pixels

    def forward(self, x: Tensor) -> Tensor:
        """Encode and decode."""
        (posterior,) = self.encode(x, return_dict=False)
        (pixels,) = self.decode(posterior.mode(), return_dict=False)
        return pixels


def _basis() -> Tensor:
    """(3072, 48), orthonormal columns: the kept patterns over (colour, frame, row, column)."""
    colours = torch.tensor(_COLOURS, dtype=torch.float64)
    temporal, spatial = _dct(TEMPORAL_COMPRESSION), _dct(SPATIAL_COMPRESSION)
    patterns = [
        torch.einsum("c,t,p,q->ctpq", colours[axis], temporal[frequency], spatial[order - x], spatial[x]).flatten()
        for axis, frequency, highest in _KEPT
        for order in range(highest + 1)
        for x in range(order + 1)
    ]
    return torch.stack(patterns, dim=1).float()


def _dct(size: int) -> Tensor:
    """(size, size) orthonormal DCT-II, a row for each frequency."""
    frequency, position = torch.arange(size).double()[:, None], torch.arange(size).double()[None]
    rows = torch.cos(math.pi * (2 * position + 1) * frequency / (2 * size)) * math.sqrt(2 / size)
    rows[0] /= math.sqrt(2)
    return rows
