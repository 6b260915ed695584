"""Embeddings of time and text.

Letters: B batch, F latent frames, L text tokens, D model width.
"""

from diffusers.models.embeddings import PixArtAlphaTextProjection, TimestepEmbedding, get_timestep_embedding
from einops import rearrange
from torch import Tensor, nn
from torch.nn import functional

from model.network.precision import without_autocast


class TimeTextEmbedder(nn.Module):
    """Timesteps of latent frames become modulation, text states become the model's width.

    Args:
        dim: model width D.
        freq_dim: sinusoidal features of a timestep.
        text_dim: width of the text encoder's states.
    """

    def __init__(self, dim: int, freq_dim: int, text_dim: int) -> None:
        super().__init__()
        self.freq_dim = freq_dim
        self.time_embedder = TimestepEmbedding(freq_dim, dim)
        self.time_proj = nn.Linear(dim, 6 * dim)
        self.text_embedder = PixArtAlphaTextProjection(text_dim, dim, act_fn="gelu_tanh")

    def forward(self, timestep: Tensor, encoder_hidden_states: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Embed `timestep` `(B, F)` in [0, 1000] and text states `(B, L, text_dim)`.

        Returns:
            Time embedding `(B, F, D)` fp32, modulation of the blocks `(B, F, 6, D)` fp32, text `(B, L, D)`.
        """
        # As Wan does: in bf16 neighbouring timesteps coincide.
        with without_autocast(timestep.device.type):
            time_embedding, modulation = self.embed_time(timestep)
        return time_embedding, modulation, self.text_embedder(encoder_hidden_states)

    def embed_time(self, timestep: Tensor) -> tuple[Tensor, Tensor]:
        """Embed `timestep` `(B, F)`; returns `(B, F, D)` and `(B, F, 6, D)`, both fp32."""
        batch_size = timestep.shape[0]
        features = get_timestep_embedding(
            timestep.flatten(), self.freq_dim, flip_sin_to_cos=True, downscale_freq_shift=0
        )
        weight_dtype = self.time_embedder.linear_1.weight.dtype
        embedding = self.time_embedder(features.to(weight_dtype))
        modulation = self.time_proj(functional.silu(embedding).to(self.time_proj.weight.dtype))
        return (
            rearrange(embedding.float(), "(b f) d -> b f d", b=batch_size),
            rearrange(modulation.float(), "(b f) (six d) -> b f six d", b=batch_size, six=6),
        )
