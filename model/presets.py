"""Named sizes of the network: `soul-5b` is the paper's, `tiny` trains and samples on a CPU."""

import dataclasses
import difflib
from dataclasses import dataclass

from model.transformer import SoulTransformer3DModel


@dataclass(frozen=True, kw_only=True, slots=True)
class TransformerConfig:
    """Constructor arguments of `SoulTransformer3DModel`; the defaults are those of Wan2.2-TI2V-5B."""

    patch_size: tuple[int, int, int] = (1, 2, 2)
    """Latent frames, rows and columns of a token (Wan2.2)."""
    num_attention_heads: int = 24
    """Attention heads (Wan2.2-TI2V-5B)."""
    attention_head_dim: int = 128
    """Channels of a head (Wan2.2-TI2V-5B); the model's width is heads times this."""
    in_channels: int = 48
    """Channels of the latents (Wan2.2's VAE, and the patch-DCT codec)."""
    out_channels: int = 48
    """Channels of the predicted velocity."""
    text_dim: int = 4096
    """Width of the text states (UMT5-XXL)."""
    freq_dim: int = 256
    """Sinusoidal features of a timestep (Wan2.2-TI2V-5B)."""
    ffn_dim: int = 14336
    """Inner width of the feed-forward layers (Wan2.2-TI2V-5B)."""
    num_layers: int = 30
    """Transformer blocks (Wan2.2-TI2V-5B)."""
    cross_attn_norm: bool = True
    """Whether text and audio attention see affinely normalised tokens (Wan2.2)."""
    qk_norm: str = "rms_norm_across_heads"
    """Normalisation of queries and keys (Wan2.2)."""
    eps: float = 1e-6
    """Epsilon of every norm (Wan2.2)."""
    rope_max_seq_len: int = 1024
    """Longest axis of the token grid (Wan2.2)."""
    audio_dim: int = 6400
    """Features of one 50 Hz audio step: five groups of Whisper layers, 1280 each, flattened."""
    audio_window: int = 16
    """Audio steps a latent frame sees: its own 8 and 4 of context on each side (our choice, 80 ms)."""


TRANSFORMERS = {
    "soul-5b": TransformerConfig(),
    "tiny": TransformerConfig(
        num_attention_heads=4,
        attention_head_dim=48,
        text_dim=64,
        freq_dim=64,
        ffn_dim=768,
        num_layers=6,
        audio_dim=80,
    ),
}
"""Transformer of each preset. `tiny`: width 192, hashed text tokens of 64, 80 log-mel bins."""


def transformer_config(preset: str) -> TransformerConfig:
    """Return the transformer's configuration of a preset.

    Raises:
        ValueError: no such preset; the message names the nearest one.
    """
    if preset not in TRANSFORMERS:
        nearest = difflib.get_close_matches(preset, TRANSFORMERS, n=1, cutoff=0.0)[0]
        raise ValueError(f"unknown model preset {preset!r}, did you mean {nearest!r}?")
    return TRANSFORMERS[preset]


def build_transformer(config: TransformerConfig) -> SoulTransformer3DModel:
    """Build a transformer with random weights, on the device of the `torch.device` context."""
    transformer: SoulTransformer3DModel = SoulTransformer3DModel(**dataclasses.asdict(config))
    return transformer
