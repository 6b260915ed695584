"""One transformer block: self-attention, text attention, audio attention, feed-forward (paper, Fig. 2).

Letters: B batch, F latent frames, S tokens of a latent frame, L text tokens, T audio tokens of a latent
frame, D model width.
"""

import torch
from diffusers.models.attention import FeedForward
from diffusers.models.normalization import FP32LayerNorm
from einops import rearrange
from torch import Tensor, nn

from model.network.attention import Attention
from model.network.audio_injection import AudioAttention
from model.network.rope import RotaryTables


class SoulTransformerBlock(nn.Module):
    """Wan2.2's block with audio attention after the text attention.

    Modulation is given per latent frame. A token's timestep is that of its frame, so this equals Wan's
    modulation per token and saves a `(B, F·S, 6, D)` tensor, 4.2 GB in fp32 for a clip at 1088×1920.

    Args:
        dim: model width D.
        ffn_dim: inner width of the feed-forward layer.
        num_heads: attention heads.
        cross_attn_norm: whether text and audio attention see affinely normalised tokens.
        eps: of every norm.
    """

    def __init__(self, dim: int, ffn_dim: int, num_heads: int, *, cross_attn_norm: bool, eps: float) -> None:
        super().__init__()
        self.norm1 = FP32LayerNorm(dim, eps, elementwise_affine=False)
        self.attn1 = Attention(dim, num_heads, eps)
        self.norm2 = FP32LayerNorm(dim, eps) if cross_attn_norm else nn.Identity()
        self.attn2 = Attention(dim, num_heads, eps)
        self.norm_audio = FP32LayerNorm(dim, eps) if cross_attn_norm else nn.Identity()
        self.attn_audio = AudioAttention(dim, num_heads, eps)
        self.norm3 = FP32LayerNorm(dim, eps, elementwise_affine=False)
        self.ffn = FeedForward(dim, inner_dim=ffn_dim, activation_fn="gelu-approximate")
        self.scale_shift_table = nn.Parameter(torch.randn(1, 6, dim) / dim**0.5)

    def forward(
        self,
        hidden_states: Tensor,
        encoder_hidden_states: Tensor,
        audio_hidden_states: Tensor,
        modulation: Tensor,
        rotary_emb: RotaryTables,
    ) -> Tensor:
        """Return the block's output, `(B, F, S, D)`.

        Args:
            hidden_states: tokens, `(B, F, S, D)`, fp32 or of the text's type.
            encoder_hidden_states: text, `(B, L, D)`, of the type that the layers compute in.
            audio_hidden_states: audio, `(B, F, T, D)`.
            modulation: `(B, F, 6, D)` fp32: shift, scale and gate of self-attention, then of feed-forward.
            rotary_emb: tables `(F·S, 1, d / 2)` fp32.
        """
        table = rearrange(self.scale_shift_table.float() + modulation, "b f six d -> six b f 1 d")
        shift_attn, scale_attn, gate_attn, shift_ffn, scale_ffn, gate_ffn = table

        tokens = modulate(self.norm1(hidden_states.float()), shift_attn, scale_attn).type_as(encoder_hidden_states)
        hidden_states = add_gated(hidden_states, self.attn1(tokens, rotary_emb=rotary_emb), gate_attn)

        tokens = self.norm2(hidden_states.float()).type_as(encoder_hidden_states)
        hidden_states = hidden_states + self.attn2(tokens, encoder_hidden_states)

        tokens = self.norm_audio(hidden_states.float()).type_as(encoder_hidden_states)
        hidden_states = hidden_states + self.attn_audio(tokens, audio_hidden_states)

        tokens = modulate(self.norm3(hidden_states.float()), shift_ffn, scale_ffn).type_as(encoder_hidden_states)
        return add_gated(hidden_states, self.ffn(tokens), gate_ffn)


def modulate(normed: Tensor, shift: Tensor, scale: Tensor) -> Tensor:
    """Shift and scale `(B, F, S, D)` by `(B, F, 1, D)`, all fp32."""
    return normed * (1 + scale) + shift


def add_gated(hidden_states: Tensor, update: Tensor, gate: Tensor) -> Tensor:
    """Add `update · gate` to the residual stream in fp32 and return the stream's type."""
    return (hidden_states.float() + update.float() * gate).type_as(hidden_states)
