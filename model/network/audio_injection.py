"""Audio enters every block: each latent frame attends to the sound that belongs to it (paper, Sec. 3.1).

Letters: B batch, F latent frames, S tokens of a latent frame, T audio tokens of a latent frame, A audio
features, D model width.
"""

import torch
from diffusers.models.normalization import FP32LayerNorm
from einops import rearrange
from torch import Tensor, nn

from model.network.attention import Attention
from model.network.rope import RotaryTables


class AudioEmbedder(nn.Module):
    """Linear and LayerNorm from audio features to the model width, plus a learned position within the window.

    The positions start at zero. Attention sees a latent frame's audio tokens as a set, so without positions the
    model could not tell sound in the first of the four pixel frames from sound in the last.

    Zero audio is embedded in the same way: the normalised bias of the Linear is what the model learns as "no audio".
    PyTorch's default initialisation keeps that bias off zero, where LayerNorm's gradient is 1/sqrt(eps).

    Args:
        audio_dim: features A of one audio step.
        audio_window: audio tokens T of a latent frame.
        dim: model width D.
        eps: of the LayerNorm.
    """

    def __init__(self, audio_dim: int, audio_window: int, dim: int, eps: float) -> None:
        super().__init__()
        self.proj = nn.Linear(audio_dim, dim)
        self.norm = FP32LayerNorm(dim, eps)
        self.position = nn.Parameter(torch.zeros(audio_window, dim))

    def reset_parameters(self) -> None:
        """Initialise the parameters again, as the constructor does."""
        self.proj.reset_parameters()
        self.norm.reset_parameters()
        nn.init.zeros_(self.position)

    def forward(self, audio_embeds: Tensor) -> Tensor:
        """Project `(B, F, T, A)` to `(B, F, T, D)`."""
        tokens: Tensor = self.norm(self.proj(audio_embeds))
        return tokens + self.position.type_as(tokens)


class AudioAttention(Attention):
    """Cross-attention from the tokens of each latent frame to the audio tokens of that frame only."""

    def forward(self, tokens: Tensor, context: Tensor | None = None, rotary_emb: RotaryTables | None = None) -> Tensor:
        """Attend from `tokens` `(B, F, S, D)` to `context` `(B, F, T, D)`; returns `(B, F, S, D)`."""
        assert context is not None
        assert rotary_emb is None
        frames = rearrange(tokens, "b f s d -> (b f) s d")
        attended = self.processor(self, frames, rearrange(context, "b f t d -> (b f) t d"))
        return rearrange(attended, "(b f) s d -> b f s d", f=tokens.shape[1])
