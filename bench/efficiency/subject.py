"""The model that is measured: a directory's, or a preset's with random weights made on the device."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKLWan

from bench.efficiency.model_placement import ModelPlacement, check_memory, made_on, random_transformer
from model.codecs.geometry import pixel_frames
from model.codecs.image import CLIP_FRAMES, size_for_area
from model.codecs.text import MAX_TOKENS, HashedTextEncoder, max_text_tokens
from model.codecs.vae import Autoencoder, efficient_vae_config, lay_out, wan_vae_config
from model.cost.cost import FPS
from model.generation.pipeline import SoulPipeline
from model.network.transformer import SoulTransformer3DModel
from model.pretrained.assemble import load_vae
from model.pretrained.presets import PRESETS, TransformerConfig, get_preset
from model.weights.directory import INDEX_FILE
from model.weights.files import locate, read_json

PAPER_SIZES = ((704, 1280), (1088, 1920))
"""(height, width) of the paper's two resolutions, as the network takes them."""

STAND_IN_WIDTHS = (8, 2)
"""Decoder widths of `tiny`'s two autoencoders: the paper's are 256 and 64 wide."""

TINY_FRAMES = 29
"""Pixel frames of `tiny`'s clip: 109 take minutes to decode on a CPU."""


@dataclass(frozen=True, kw_only=True, slots=True)
class MeasuredVae:
    """An autoencoder and what to call it."""

    name: str
    """As it stands in the tables."""
    weights: str
    """`random`, or where they come from."""
    vae: Autoencoder
    """On the device."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Subject:
    """What is measured."""

    model: str
    """Preset or directory."""
    weights: str
    """`random` or `directory`."""
    transformer: SoulTransformer3DModel
    """On the device."""
    vaes: tuple[MeasuredVae, ...]
    """The full autoencoder, then the efficient one where there is one."""
    num_text_tokens: int
    """Text tokens, padding included."""
    fps: int
    """Pixel frames a second."""
    num_frames: int
    """Pixel frames of a clip."""
    sizes: tuple[tuple[int, int], ...]
    """(height, width) that are measured when none is asked for."""
    notes: tuple[str, ...]
    """What a reader must know."""

    @property
    def network(self) -> TransformerConfig:
        """Configuration of the network."""
        names = [field.name for field in dataclasses.fields(TransformerConfig)]
        return TransformerConfig(**{name: self.transformer.config[name] for name in names})


@torch.no_grad()
def load_subject(
    model: str,
    placement: ModelPlacement,
    *,
    evae: str | None,
    sizes: list[tuple[int, int]],
    num_frames: int | None,
) -> Subject:
    """Load a model directory, or make a preset with random weights on the device.

    Args:
        model: directory, Hub id or preset.
        placement: where it will lie.
        evae: directory of a trained efficient autoencoder.
        sizes: (height, width) that will be measured; none for the model's own.
        num_frames: pixel frames that will be measured; None for the model's own.

    Raises:
        ValueError: no such model, a broken one, or one that the device has no memory for.
    """
    if model in PRESETS and not Path(model).is_dir():
        return _random_subject(model, placement, evae, sizes, num_frames)
    return _loaded_subject(model, placement, evae=evae)


def _random_subject(
    model: str, placement: ModelPlacement, evae: str | None, sizes: list[tuple[int, int]], num_frames: int | None
) -> Subject:
    preset = get_preset(model)
    is_full_size = preset.vae == "wan2.2"
    full, efficient = (wan_vae_config(), efficient_vae_config()) if is_full_size else _stand_ins()
    default_sizes = PAPER_SIZES if is_full_size else (size_for_area(16, 9, preset.area),)
    default_frames = CLIP_FRAMES if is_full_size else TINY_FRAMES
    for size in sizes or default_sizes:
        check_memory(preset.transformer, full, placement, (num_frames or default_frames, *size))
    notes = [f"{model} has random weights: times are those of a trained model, videos would be noise"]
    if not is_full_size:
        notes.append(
            f"{model}'s own codec has no decoder to make smaller: Wan autoencoders {full['decoder_base_dim']} and "
            f"{efficient['decoder_base_dim']} wide stand for the full one and the eVAE (256 and 64 wide)"
        )
    transformer = random_transformer(preset.transformer, placement)
    vaes = [
        _random_vae(full, placement),
        _random_vae(efficient, placement) if evae is None else _given(evae, placement),
    ]
    return Subject(
        model=model,
        weights="random",
        transformer=transformer,
        vaes=tuple(vaes),
        num_text_tokens=MAX_TOKENS if is_full_size else max_text_tokens(HashedTextEncoder()),
        fps=FPS,
        num_frames=default_frames,
        sizes=default_sizes,
        notes=tuple(notes),
    )


def _loaded_subject(model: str, placement: ModelPlacement, *, evae: str | None) -> Subject:
    directory = locate(model)
    pipeline = SoulPipeline.from_pretrained(
        directory,
        text_encoder=None,
        audio_encoder=None,
        tokenizer=None,
        dtype={"default": placement.dtype, "vae": placement.vae_dtype},
    ).to(placement.device)
    vae = lay_out(pipeline.vae, placement.device, placement.vae_dtype).eval()
    own = MeasuredVae(name=_vae_name(vae), weights=model, vae=vae)
    vaes, notes = [own], []
    is_wan = isinstance(pipeline.vae, AutoencoderKLWan)
    if evae is not None:
        vaes.append(_given(evae, placement))
    elif is_wan and _width(pipeline.vae) > efficient_vae_config()["decoder_base_dim"]:
        vaes.append(_random_vae(efficient_vae_config(), placement))
        notes.append("the eVAE has random weights: name a trained one with --evae")
    else:
        notes.append(f"no eVAE beside the model's own decoder ({own.name}): name one with --evae")
    area = size_for_area(16, 9, pipeline.config.area)
    return Subject(
        model=model,
        weights="directory",
        transformer=pipeline.transformer.eval(),
        vaes=tuple(vaes),
        num_text_tokens=_text_tokens(directory),
        fps=pipeline.config.fps,
        num_frames=pixel_frames(pipeline.config.clip_latents),
        sizes=PAPER_SIZES if is_wan else (area,),
        notes=tuple(notes),
    )


def _stand_ins() -> tuple[dict[str, Any], dict[str, Any]]:
    wide, narrow = STAND_IN_WIDTHS
    common = wan_vae_config() | {"base_dim": wide}
    return common | {"decoder_base_dim": wide}, common | {"decoder_base_dim": narrow}


def _random_vae(config: dict[str, Any], placement: ModelPlacement) -> MeasuredVae:
    with made_on(placement.device, placement.vae_dtype):
        vae = AutoencoderKLWan(**config).eval()
    vae = lay_out(vae, placement.device, placement.vae_dtype)
    return MeasuredVae(name=_vae_name(vae), weights="random", vae=vae)


def _given(evae: str, placement: ModelPlacement) -> MeasuredVae:
    vae = lay_out(load_vae(evae), placement.device, placement.vae_dtype).eval()
    return MeasuredVae(name=_vae_name(vae), weights=evae, vae=vae)


def _vae_name(vae: Autoencoder) -> str:
    if not isinstance(vae, AutoencoderKLWan):
        return "patch-DCT"
    width = _width(vae)
    return {256: "full VAE", 64: "eVAE"}.get(width, f"Wan VAE {width} wide")


def _width(vae: AutoencoderKLWan) -> int:
    return int(vae.config.decoder_base_dim or vae.config.base_dim)


def _text_tokens(directory: Path) -> int:
    """Text tokens that the model's text encoder pads to, without loading it (UMT5-XXL is 11 GB)."""
    _, text_encoder = read_json(directory / INDEX_FILE)["text_encoder"]
    if text_encoder == "HashedTextEncoder":
        return int(read_json(directory / "text_encoder" / "config.json")["max_tokens"])
    return MAX_TOKENS
