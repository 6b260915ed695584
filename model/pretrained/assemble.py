"""Pipelines put together: with random weights from a preset, or from released checkpoints."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import torch
from diffusers import AutoencoderKLWan
from transformers import AutoTokenizer, UMT5Config, UMT5EncoderModel

from model.codecs.audio_encoders import AudioEncoder, LogMelAudioEncoder, WhisperAudioEncoder
from model.codecs.patch_dct import PatchDCTCodec
from model.codecs.text import HashedTextEncoder
from model.codecs.vae import Autoencoder, wan_vae_config
from model.generation.pipeline import SoulPipeline
from model.generation.sampling import build_scheduler
from model.pretrained.presets import Preset, build_transformer, get_preset
from model.weights.directory import INDEX_FILE, check_component
from model.weights.files import locate
from model.weights.wan_checkpoints import load_wan

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
    defaults = {
        "num_inference_steps": config.num_inference_steps,
        "guidance_scale": config.guidance_scale,
        "area": config.area,
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
            else UMT5EncoderModel(_umt5_xxl())
        ),
    }


@dataclass(frozen=True, kw_only=True, slots=True)
class Conversion:
    """What a model directory is made of when it starts from Wan2.2 (a directory or a Hub id each)."""

    wan: str
    """Backbone: an official release or diffusers' layout."""
    components: str | None = None
    """Where `vae/`, `text_encoder/` and `tokenizer/` of diffusers' layout are; `wan` itself by default."""
    vae: str | None = None
    """Another autoencoder, e.g. a distilled eVAE, in diffusers' layout."""
    whisper: str = "openai/whisper-large-v3"
    """The Whisper model whose encoder becomes the audio encoder."""
    zero_audio_output: bool = False
    """Whether audio attention starts silent rather than as a copy of the text attention's output."""
    scheduler: str = "unipc"
    """`unipc`, `euler`, or `few-step` for a distilled model."""
    dtype: torch.dtype = torch.bfloat16
    """Type of the weights; the autoencoder stays fp32."""


def convert(conversion: Conversion) -> SoulPipeline:
    """Assemble a pipeline from Wan2.2 and Whisper.

    Raises:
        ValueError: something is missing or does not fit; the message names it.
    """
    scheduler = build_scheduler(conversion.scheduler)
    parts = locate(conversion.components or conversion.wan, patterns=["vae/*", "text_encoder/*", "tokenizer/*"])
    for name in ("text_encoder", "tokenizer", *(() if conversion.vae else ("vae",))):
        if not (parts / name).is_dir():
            raise ValueError(
                f"{parts}: no {name}/, which an official release lacks: "
                "name a model in diffusers' layout with --components"
            )
    try:
        audio_encoder = WhisperAudioEncoder.from_whisper(locate(conversion.whisper), dtype=conversion.dtype)
        text_encoder = UMT5EncoderModel.from_pretrained(parts / "text_encoder", dtype=conversion.dtype)
        tokenizer = AutoTokenizer.from_pretrained(parts / "tokenizer")
        vae = load_vae(conversion.vae) if conversion.vae else AutoencoderKLWan.from_pretrained(parts / "vae")
    except OSError as error:
        raise ValueError(str(error).partition("\n")[0]) from error
    transformer = load_wan(
        conversion.wan,
        zero_audio_output=conversion.zero_audio_output,
        torch_dtype=conversion.dtype,
        audio_dim=audio_encoder.audio_dim,
    )
    return SoulPipeline(
        transformer=transformer,
        vae=vae,
        audio_encoder=audio_encoder,
        text_encoder=text_encoder,
        tokenizer=tokenizer,
        scheduler=scheduler,
    )


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


def _umt5_xxl() -> UMT5Config:
    return UMT5Config(
        vocab_size=256384,
        d_model=4096,
        d_kv=64,
        d_ff=10240,
        num_layers=24,
        num_heads=64,
        feed_forward_proj="gated-gelu",
    )
