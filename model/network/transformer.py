"""Soul's network: Wan2.2-TI2V's video DiT with audio attention in every block (paper, Sec. 3.1).

Letters: B batch, C latent channels, F latent frames, H×W latent height and width, S = H·W/4 tokens of a
latent frame, L text tokens, T audio tokens of a latent frame, A audio features, D model width.
"""

from typing import Any

import torch
from diffusers.configuration_utils import ConfigMixin, register_to_config
from diffusers.loaders import PeftAdapterMixin
from diffusers.models.attention import AttentionMixin
from diffusers.models.cache_utils import CacheMixin
from diffusers.models.modeling_outputs import Transformer2DModelOutput
from diffusers.models.modeling_utils import ModelMixin
from diffusers.models.normalization import FP32LayerNorm
from einops import rearrange
from torch import Tensor, nn

from model.network.audio_injection import AudioEmbedder
from model.network.blocks import SoulTransformerBlock, modulate
from model.network.precision import FP32Linear
from model.network.rope import RotaryEmbedding
from model.network.time_text import TimeTextEmbedder


class SoulTransformer3DModel(ModelMixin, ConfigMixin, PeftAdapterMixin, AttentionMixin, CacheMixin):
    """Predicts the velocity of noisy latents from time, text and audio.

    Parameters carry the names of diffusers' `WanTransformer3DModel`; what Soul adds is `audio_embedder.*`,
    `blocks.N.norm_audio.*` and `blocks.N.attn_audio.*`. The defaults are the 5B model's.

    Args:
        patch_size: latent frames, rows and columns of a token; the first must be 1.
        num_attention_heads: attention heads.
        attention_head_dim: channels of a head; D is heads times this.
        in_channels: latent channels C.
        out_channels: channels of the velocity.
        text_dim: width of the text encoder's states.
        freq_dim: sinusoidal features of a timestep.
        ffn_dim: inner width of the feed-forward layers.
        num_layers: blocks.
        cross_attn_norm: whether text and audio attention see affinely normalised tokens.
        qk_norm: normalisation of queries and keys; Wan2.2 knows only "rms_norm_across_heads".
        eps: of every norm.
        rope_max_seq_len: longest axis of the token grid.
        audio_dim: features A of one 50 Hz audio step; layer groups are flattened (Whisper: 5 × 1280).
        audio_window: audio steps T a latent frame sees: its own 8 and a context on each side.
        residual_in_fp32: whether the stream of tokens between the blocks' layers is fp32, as in Wan's own code, rather
            than the type of the matrix products. It changes nothing in fp32. In bf16 every layer adds to a stream of
            8 bits; in fp32 the stream, and each block's input kept for a backward, take twice the memory.
    """

    _supports_gradient_checkpointing = True
    _no_split_modules = ("SoulTransformerBlock",)
    _repeated_blocks = ("SoulTransformerBlock",)
    _skip_layerwise_casting_patterns = ("patch_embedding", "condition_embedder", "norm")
    _keep_in_fp32_modules = [  # noqa: RUF012 (diffusers checks for a list)
        "time_embedder",
        "time_proj",
        "scale_shift_table",
        "norm1",
        "norm2",
        "norm3",
        "norm_audio",
        "proj_out",
    ]

    @register_to_config
    def __init__(  # noqa: PLR0917 (diffusers' constructors take their config by position)
        self,
        patch_size: tuple[int, int, int] = (1, 2, 2),
        num_attention_heads: int = 24,
        attention_head_dim: int = 128,
        in_channels: int = 48,
        out_channels: int = 48,
        text_dim: int = 4096,
        freq_dim: int = 256,
        ffn_dim: int = 14336,
        num_layers: int = 30,
        cross_attn_norm: bool = True,  # noqa: FBT001, FBT002 (diffusers' config order)
        qk_norm: str = "rms_norm_across_heads",
        eps: float = 1e-6,
        rope_max_seq_len: int = 1024,
        audio_dim: int = 6400,
        audio_window: int = 16,
        residual_in_fp32: bool = False,  # noqa: ARG002, FBT001, FBT002 (read from the config, diffusers' order)
    ) -> None:
        super().__init__()
        if patch_size[0] != 1:
            raise ValueError(f"patch_size {tuple(patch_size)}: the temporal patch must be 1")
        if qk_norm != "rms_norm_across_heads":
            raise ValueError(f"qk_norm {qk_norm!r} is not supported, only 'rms_norm_across_heads'")
        dim = num_attention_heads * attention_head_dim

        self.rope = RotaryEmbedding(attention_head_dim, rope_max_seq_len)
        self.patch_embedding = nn.Conv3d(in_channels, dim, kernel_size=patch_size, stride=patch_size)
        self.condition_embedder = TimeTextEmbedder(dim, freq_dim, text_dim)
        self.audio_embedder = AudioEmbedder(audio_dim, audio_window, dim, eps)
        self.blocks = nn.ModuleList(
            SoulTransformerBlock(dim, ffn_dim, num_attention_heads, cross_attn_norm=cross_attn_norm, eps=eps)
            for _ in range(num_layers)
        )
        self.norm_out = FP32LayerNorm(dim, eps, elementwise_affine=False)
        self.proj_out = FP32Linear(dim, out_channels * patch_size[1] * patch_size[2])
        self.scale_shift_table = nn.Parameter(torch.randn(1, 2, dim) / dim**0.5)
        self.gradient_checkpointing = False

    def forward(
        self,
        hidden_states: Tensor,
        timestep: Tensor,
        encoder_hidden_states: Tensor,
        audio_embeds: Tensor | None = None,
        return_dict: bool = True,  # noqa: FBT001, FBT002 (diffusers' signature)
    ) -> Transformer2DModelOutput | tuple[Tensor]:
        """Predict the velocity.

        Args:
            hidden_states: noisy latents, `(B, C, F, H, W)`; clean frames (pivot, overlap) included.
            timestep: `(B, F)` in [0, 1000], 0 for clean latent frames.
            encoder_hidden_states: text encoder's states, `(B, L, text_dim)`, zero-padded, not masked.
            audio_embeds: `(B, F, T, A)`: for each latent frame its `audio_window` steps of audio features,
                layer groups flattened into A; zeros beyond the ends of the sound. None equals all zeros.
            return_dict: whether to wrap the result in diffusers' output class.

        Returns:
            Velocity `(B, out_channels, F, H, W)` fp32 as `.sample` (or in a tuple).

        Raises:
            ValueError: shapes that do not fit each other or the model.
        """
        audio_embeds = self._checked_audio(hidden_states, timestep, audio_embeds)
        patch_height, patch_width = self.config.patch_size[1:]
        num_frames, height, width = hidden_states.shape[2:]
        height, width = height // patch_height, width // patch_width

        rotary_emb = tuple(
            rearrange(table, "f s 1 d -> (f s) 1 d")
            for table in self.rope(num_frames, height, width, hidden_states.device)
        )
        hidden_states = rearrange(self.patch_embedding(hidden_states), "b d f h w -> b f (h w) d").contiguous()
        time_embedding, modulation, encoder_hidden_states = self.condition_embedder(timestep, encoder_hidden_states)
        audio_hidden_states = self.audio_embedder(audio_embeds)
        if self.config.residual_in_fp32:
            hidden_states = hidden_states.float()

        for block in self.blocks:
            conditions = (encoder_hidden_states, audio_hidden_states, modulation, rotary_emb)
            if self.gradient_checkpointing and torch.is_grad_enabled():
                hidden_states = self._gradient_checkpointing_func(block, hidden_states, *conditions)
            else:
                hidden_states = block(hidden_states, *conditions)

        table = self.scale_shift_table.float() + time_embedding.unsqueeze(2)
        shift, scale = rearrange(table, "b f two d -> two b f 1 d")
        hidden_states = modulate(self.norm_out(hidden_states.float()), shift, scale)
        velocity = rearrange(
            self.proj_out(hidden_states),
            "b f (h w) (p q c) -> b c f (h p) (w q)",
            h=height,
            p=patch_height,
            q=patch_width,
        )
        return Transformer2DModelOutput(sample=velocity) if return_dict else (velocity,)

    def enable_cache(self, config: Any) -> None:
        """Skip blocks in some denoising steps: see diffusers' `CacheMixin`, which has to know what a block returns."""
        # Asking the registry for the first time imports diffusers' networks, which takes seconds.
        from diffusers.hooks._helpers import TransformerBlockMetadata, TransformerBlockRegistry  # noqa: PLC0415

        TransformerBlockRegistry.register(SoulTransformerBlock, TransformerBlockMetadata(return_hidden_states_index=0))
        super().enable_cache(config)

    def _checked_audio(self, hidden_states: Tensor, timestep: Tensor, audio_embeds: Tensor | None) -> Tensor:
        """Return the audio features, zeros where there are none, after checking that all shapes agree."""
        batch_size, channels, num_frames, *size = hidden_states.shape
        if channels != self.config.in_channels:
            raise ValueError(f"latents have {channels} channels, the model takes {self.config.in_channels}")
        if any(side % patch for side, patch in zip(size, self.config.patch_size[1:], strict=True)):
            raise ValueError(f"latents of {size} do not divide into patches of {self.config.patch_size[1:]}")
        if timestep.shape != (batch_size, num_frames):
            expected = (batch_size, num_frames)
            raise ValueError(f"timestep has shape {tuple(timestep.shape)}, expected (B, F) = {expected}")
        shape = (batch_size, num_frames, self.config.audio_window, self.config.audio_dim)
        if audio_embeds is None:
            return hidden_states.new_zeros(shape)
        if audio_embeds.shape != shape:
            raise ValueError(f"audio_embeds has shape {tuple(audio_embeds.shape)}, expected (B, F, T, A) = {shape}")
        return audio_embeds
