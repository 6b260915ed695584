"""Named models: `soul-5b` is the paper's, `tiny` trains and samples on a CPU and has nothing to download."""

import dataclasses
import difflib
from dataclasses import dataclass
from typing import Final, Literal

from model.network.transformer import SoulTransformer3DModel


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
    residual_in_fp32: bool = False
    """Whether tokens between layers are fp32 (Wan's own code) rather than of the matrix products' type."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Preset:
    """Every component of a pipeline, and what generation uses unless it is told otherwise."""

    transformer: TransformerConfig
    """The network."""
    vae: Literal["wan2.2", "patch-dct"]
    """The autoencoder: Wan2.2's (or the eVAE, which has its latent space), or the patch-DCT codec."""
    audio_encoder: Literal["whisper-large-v3", "log-mel"]
    """What turns sound into features."""
    text_encoder: Literal["umt5-xxl", "hashed"]
    """What turns the prompt into states."""
    num_inference_steps: int
    """Denoising steps of a clip."""
    guidance_scale: float
    """w of uncond + w·(cond − uncond)."""
    area: int
    """Pixels of a frame when no size is asked for."""
    negative_prompt: str = ""
    """What guidance leads away from."""


WAN_NEGATIVE_PROMPT: Final = (
    "色调艳丽，过曝，静态，细节模糊不清，字幕，风格，作品，画作，画面，静止，整体发灰，最差质量，低质量，"
    "JPEG压缩残留，丑陋的，残缺的，多余的手指，画得不好的手部，画得不好的脸部，畸形的，毁容的，形态畸形的肢体，"
    "手指融合，静止不动的画面，杂乱的背景，三条腿，背景人很多，倒着走"
)
"""The negative prompt that Wan2.2 was released with, in its own language: overexposed, static, subtitles, grey, low
quality, badly drawn hands and faces, fused fingers, a cluttered background, walking backwards and the like."""

PRESETS = {
    "soul-5b": Preset(
        transformer=TransformerConfig(),
        vae="wan2.2",
        audio_encoder="whisper-large-v3",
        text_encoder="umt5-xxl",
        num_inference_steps=25,
        guidance_scale=5.0,
        area=704 * 1280,
        negative_prompt=WAN_NEGATIVE_PROMPT,
    ),
    "tiny": Preset(
        transformer=TransformerConfig(
            num_attention_heads=4,
            attention_head_dim=48,
            text_dim=64,
            freq_dim=64,
            ffn_dim=768,
            num_layers=6,
            audio_dim=80,
        ),
        vae="patch-dct",
        audio_encoder="log-mel",
        text_encoder="hashed",
        num_inference_steps=10,
        guidance_scale=3.0,
        area=256 * 256,
    ),
}
"""`soul-5b`: 25 steps are the paper's, guidance 5 is Wan2.2's. `tiny`: width 192, sized for a CPU."""


def get_preset(name: str) -> Preset:
    """Return a preset.

    Raises:
        ValueError: no such preset; the message names the nearest one.
    """
    if name not in PRESETS:
        nearest = difflib.get_close_matches(name, PRESETS, n=1, cutoff=0.0)[0]
        raise ValueError(f"unknown model preset {name!r}, did you mean {nearest!r}?")
    return PRESETS[name]


def transformer_config(preset: str) -> TransformerConfig:
    """Return the transformer's configuration of a preset.

    Raises:
        ValueError: no such preset; the message names the nearest one.
    """
    return get_preset(preset).transformer


def build_transformer(config: TransformerConfig) -> SoulTransformer3DModel:
    """Build a transformer with random weights, on the device of the `torch.device` context."""
    transformer: SoulTransformer3DModel = SoulTransformer3DModel(**dataclasses.asdict(config))
    return transformer
