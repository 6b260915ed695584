"""The patch-DCT codec: what the `tiny` preset has in place of the Wan2.2 VAE. Same geometry, nothing to download.

A latent position holds 48 of the 3,072 DCT coefficients of 4 frames × 16 × 16 pixels in YCbCr. As in the VAE, the
first latent frame holds the first pixel frame alone and every later one four pixel frames: 1 + 4k ↔ 1 + k.

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

NUM_CHANNELS: Final = 48
TEMPORAL_PATCH: Final = 4
SPATIAL_PATCH: Final = 16

# ITU-R BT.601, full range; the inverse is computed, so that decoding undoes it exactly.
_RGB_TO_YCBCR: Final = ((0.299, 0.587, 0.114), (-0.168736, -0.331264, 0.5), (0.5, -0.418688, -0.081312))

# Which coefficients are kept: (component, temporal frequency, highest sum of the two spatial frequencies). Chosen by
# the variance of the coefficients of 35 videos of talking people at short edge 256; the 48 keep 98 % of the variance.
_KEPT: Final = ((0, 0, 6), (0, 1, 2), (0, 2, 1), (0, 3, 1), (1, 0, 1), (2, 0, 1), (1, 1, 0), (2, 1, 0))

# Mean and standard deviation of the kept coefficients over the same videos (pixels in [-1, 1]). Means of all but the
# constant terms are below 0.06 and taken as zero.
_LATENTS_MEAN: Final = {0: -5.289, 40: -1.014, 43: 1.609}
_LATENTS_STD: Final = (
    *(14.906, 2.903, 3.187, 1.434, 1.344, 1.754, 0.933, 0.837, 0.836, 1.127, 0.625, 0.554, 0.597, 0.581, 0.778, 0.474),
    *(0.407, 0.425, 0.438, 0.437, 0.637, 0.353, 0.323, 0.32, 0.33, 0.347, 0.353, 0.484, 0.948, 0.384, 0.424, 0.274),
    *(0.272, 0.287, 0.597, 0.226, 0.263, 0.313, 0.13, 0.17, 4.896, 0.542, 0.665, 5.43, 0.831, 1.372, 0.163, 0.185),
)


class PatchDCTCodec(ModelMixin, ConfigMixin):  # type: ignore[misc]
    """A fixed orthonormal transform with the interface and geometry of `AutoencoderKLWan` (4 × 16 × 16, 48 channels).

    Latents of `encode` and `decode` are raw; `latents_mean` and `latents_std` of the configuration normalise them,
    as with the VAE (see `model.vae`).
    """

    @register_to_config
    def __init__(
        self,
        latents_mean: tuple[float, ...] = tuple(_LATENTS_MEAN.get(i, 0.0) for i in range(NUM_CHANNELS)),
        latents_std: tuple[float, ...] = _LATENTS_STD,
        z_dim: int = NUM_CHANNELS,
        scale_factor_temporal: int = TEMPORAL_PATCH,
        scale_factor_spatial: int = SPATIAL_PATCH,
    ) -> None:
        super().__init__()
        geometry = (z_dim, scale_factor_temporal, scale_factor_spatial)
        if geometry != (NUM_CHANNELS, TEMPORAL_PATCH, SPATIAL_PATCH):
            raise ValueError(f"the patch-DCT codec has 48 channels and 4×16×16 patches, not {geometry}")
        if len(latents_mean) != z_dim or len(latents_std) != z_dim:
            raise ValueError(f"latents_mean and latents_std need {z_dim} values")
        # A parameter rather than a buffer: diffusers finds a model's device and dtype by its parameters.
        self.basis = nn.Parameter(_basis(), requires_grad=False)

    def encode(
        self, x: Tensor, *, return_dict: bool = True
    ) -> AutoencoderKLOutput | tuple[DiagonalGaussianDistribution]:
        """Pixels (B, 3, T, 16H, 16W) in [-1, 1], T = 1 + 4k, to a posterior without spread over (B, 48, 1+k, H, W)."""
        _, channels, frames, height, width = x.shape
        if channels != 3 or frames % TEMPORAL_PATCH != 1 or height % SPATIAL_PATCH or width % SPATIAL_PATCH:
            raise ValueError(
                f"pixels must be (B, 3, 1 + 4k, 16H, 16W), got {tuple(x.shape)}: "
                "3 colours, 1 + 4k frames, sides divisible by 16"
            )
        first = repeat(x[:, :, :1], "b c 1 h w -> b c t h w", t=TEMPORAL_PATCH)
        patches = rearrange(
            torch.cat([first, x[:, :, 1:]], dim=2),
            "b c (f t) (h p) (w q) -> b f h w (c t p q)",
            t=TEMPORAL_PATCH,
            p=SPATIAL_PATCH,
            q=SPATIAL_PATCH,
        )
        latents = rearrange(patches.to(self.basis.dtype) @ self.basis, "b f h w c -> b c f h w")
        spread = torch.zeros_like(latents)
        posterior = DiagonalGaussianDistribution(torch.cat([latents, spread], dim=1), deterministic=True)
        return AutoencoderKLOutput(latent_dist=posterior) if return_dict else (posterior,)

    def decode(self, z: Tensor, *, return_dict: bool = True) -> DecoderOutput | tuple[Tensor]:
        """Raw latents (B, 48, F, H, W) to pixels (B, 3, 1 + 4(F−1), 16H, 16W), clamped to [-1, 1]."""
        frames = [self.decode_latent(latent, first=i == 0) for i, latent in enumerate(z.split(1, dim=2))]
        pixels = torch.cat(frames, dim=2)
        return DecoderOutput(sample=pixels) if return_dict else (pixels,)

    def decode_latent(self, z: Tensor, *, first: bool) -> Tensor:
        """One raw latent frame (B, 48, 1, H, W) to its pixel frames: one if it is the first of a video, else four."""
        vectors = rearrange(z, "b c f h w -> b f h w c").to(self.basis.dtype)
        pixels = rearrange(
            vectors @ self.basis.T,
            "b f h w (c t p q) -> b c (f t) (h p) (w q)",
            c=3,
            t=TEMPORAL_PATCH,
            p=SPATIAL_PATCH,
            q=SPATIAL_PATCH,
        )
        if first:
            # Encoded from four equal frames, so that any motion in it is noise: the mean is the frame.
            pixels = pixels.mean(dim=2, keepdim=True)
        return pixels.clamp(-1, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Encode and decode."""
        return self.decode(self.encode(x).latent_dist.mode()).sample  # type: ignore[union-attr]


def _basis() -> Tensor:
    """(3072, 48): columns are DCT patterns (orthonormal) of YCbCr components, seen as RGB.

    The columns are orthogonal in YCbCr, not in RGB: they are scaled so that encoding by `basis` and decoding by its
    transpose would differ; a colour matrix made orthonormal first keeps both exact.
    """
    colours = torch.linalg.qr(torch.tensor(_RGB_TO_YCBCR, dtype=torch.float64).T).Q.T
    raise NotImplementedError(colours)


def _dct(size: int) -> Tensor:
    """(size, size) orthonormal DCT-II, a row for each frequency."""
    frequency, position = torch.arange(size)[:, None], torch.arange(size)[None]
    rows = torch.cos(math.pi * (2 * position + 1) * frequency / (2 * size)).double() * math.sqrt(2 / size)
    rows[0] /= math.sqrt(2)
    return rows
