"""Pipelines with random weights from a preset, and the encoders of a model directory."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import torch
from diffusers import AutoencoderKLWan
from transformers import UMT5Config, UMT5EncoderModel

from model.codecs.audio_encoders import AudioEncoder, LogMelAudioEncoder, WhisperAudioEncoder
from model.codecs.patch_dct import PatchDCTCodec
from model.codecs.text import HashedTextEncoder
from model.codecs.vae import Autoencoder, wan_vae_config
from model.generation.pipeline import SoulPipeline
from model.generation.sampling import build_scheduler
from model.pretrained.presets import Preset, build_transformer, get_preset
from model.weights.directory import INDEX_FILE, check_component
from model.weights.files import locate

ENCODERS: Final = ("vae", "audio_encoder", "text_encoder", "tokenizer")


def build_pipeline(preset: str = "tiny", *, seed: int = 0, **overrides: Any) -> SoulPipeline:
    """Build a pipeline with random weights, the same for the same seed.

    Args:
        preset: `tiny`, or `soul-5b` on the meta device or with 50 GB of memory.
        seed: of the weights.
        overrides: configuration of the pipeline, e.g. `num_inference_steps`.

    Raises:
        ValueError: no such preset.
    """
    config = get_preset(preset)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        components = build_components(config)
    for module in components.values():
        module.eval()
    defaults: dict[str, Any] = {
        "num_inference_steps": config.num_inference_steps,
        "guidance_scale": config.guidance_scale,
        "area": config.area,
        "negative_prompt": config.negative_prompt,
    }
    return SoulPipeline(**components, scheduler=build_scheduler("unipc"), **(defaults | overrides))


def build_components(config: Preset) -> dict[str, Any]:
    """Build a preset's networks with random weights, by their names in the pipeline."""
    return {"transformer": build_transformer(config.transformer), **_build_encoders(config)}


def _build_encoders(config: Preset) -> dict[str, Any]:
    return {
        "vae": PatchDCTCodec() if config.vae == "patch-dct" else AutoencoderKLWan(**wan_vae_config()),
        "audio_encoder": (
            LogMelAudioEncoder(num_mel_bins=config.transformer.audio_dim)
            if config.audio_encoder == "log-mel"
            else WhisperAudioEncoder()
        ),
        "text_encoder": (
            HashedTextEncoder(text_dim=config.transformer.text_dim)
            if config.text_encoder == "hashed"
            else UMT5EncoderModel(umt5_xxl_config())
        ),
    }


@dataclass(frozen=True, kw_only=True, slots=True)
class Encoders:
    """The parts of a pipeline that turn pictures, sound and words into what the network sees."""

    vae: Autoencoder
    audio_encoder: AudioEncoder
    text_encoder: Any
    """UMT5, or hashed tokens."""
    tokenizer: Any = None
    """UMT5's; None for hashed tokens."""


def load_encoders(source: str, *, dtype: torch.dtype = torch.float32) -> Encoders:
    """Load a model directory's (or a Hub id's) encoders without its network, or those of the preset `tiny`.

    The autoencoder is in fp32, as it was trained; `model.codecs.vae.lay_out` puts it into another type.

    Raises:
        ValueError: no such model, or a broken one; the message names what is wrong.
    """
    if source == "tiny" and not Path(source).is_dir():
        return Encoders(**_build_encoders(get_preset(source)))
    directory = locate(source, patterns=[INDEX_FILE, *(f"{name}/*" for name in ENCODERS)])
    try:
        pipeline = SoulPipeline.from_pretrained(
            directory, transformer=None, scheduler=None, dtype={"default": dtype, "vae": torch.float32}
        )
    except OSError as error:
        raise ValueError(f"{source}: {str(error).partition(chr(10))[0]}") from error
    return Encoders(**{name: getattr(pipeline, name) for name in ENCODERS})


def load_vae(source: str) -> AutoencoderKLWan:
    """Load a Wan autoencoder (the full one or an eVAE) from its own directory or Hub id.

    Raises:
        ValueError: it cannot be found or read.
    """
    directory = locate(source)
    # Loading alone would leave missing weights random.
    check_component(AutoencoderKLWan, directory)
    try:
        return AutoencoderKLWan.from_pretrained(directory)
    except OSError as error:
        raise ValueError(f"{source}: not an autoencoder: {error}") from error


def umt5_xxl_config() -> UMT5Config:
    """Configuration of UMT5-XXL, whose encoder has 5,681M parameters."""
    return UMT5Config(
        vocab_size=256384,
        d_model=4096,
        d_kv=64,
        d_ff=10240,
        num_layers=24,
        num_heads=64,
        feed_forward_proj="gated-gelu",
    )
