"""Wan2.2 and Whisper made into a model directory, one part after another.

Memory holds one part at a time: the text encoder (UMT5-XXL: 11.4 GB in bf16) is the largest, and the network is never
held whole, whatever its type.
"""

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from accelerate import init_empty_weights
from diffusers import AutoencoderKLWan
from transformers import AutoTokenizer, UMT5EncoderModel

from model.codecs.audio_encoders import WhisperAudioEncoder
from model.codecs.transformers_parts import load_whole
from model.generation.codebook import Codebook
from model.generation.pipeline import SoulPipeline
from model.generation.sampling import build_scheduler
from model.network.transformer import SoulTransformer3DModel
from model.pretrained.assemble import load_vae
from model.pretrained.presets import WAN_NEGATIVE_PROMPT
from model.weights.directory import CODEBOOK_FILE, check_model_directory
from model.weights.files import give_usual_mode, locate, read_json
from model.weights.shards import SHARD_BYTES
from model.weights.wan_checkpoints import check_wan, convert_wan


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
    dtype: torch.dtype = torch.float32
    """Type of the network's weights. Training starts from fp32; to make videos bf16 is enough, at half the size. The
    text and audio encoders are stored in bf16, the autoencoder in fp32."""


def convert(conversion: Conversion, out: Path, *, codebook: Codebook | None = None) -> None:
    """Write a model directory from Wan2.2 and Whisper.

    Args:
        conversion: what it is made of.
        out: the directory; it must not exist, or be empty.
        codebook: put into the directory.

    Raises:
        ValueError: something is missing or does not fit; the message names it.
    """
    check_wan(conversion.wan)
    # It gets its name when it is whole: neither a mistake nor an interruption leaves a part of a model there.
    unfinished = out.with_name(f"{out.name}.part")
    shutil.rmtree(unfinished, ignore_errors=True)
    try:
        convert_encoders(conversion, unfinished)
        convert_network(conversion, unfinished)
        if codebook is not None:
            codebook.save(unfinished / CODEBOOK_FILE)
        unfinished.replace(out)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def convert_encoders(conversion: Conversion, out: Path) -> None:
    """Write the parts beside the network: autoencoder, text encoder, tokenizer, audio encoder.

    Raises:
        ValueError: something is missing or does not fit; the message names it.
    """
    parts = locate(conversion.components or conversion.wan, patterns=["vae/*", "text_encoder/*", "tokenizer/*"])
    for name in ("text_encoder", "tokenizer", *(() if conversion.vae else ("vae",))):
        if not (parts / name).is_dir():
            raise ValueError(
                f"{parts}: no {name}/, which an official release lacks: "
                "name a model in diffusers' layout with --components"
            )
    whisper = locate(conversion.whisper)

    # Each is freed before the next is loaded. The small ones come first: a mistake is told before minutes have passed.
    makers: dict[str, Callable[[], Any]] = {
        "tokenizer": lambda: AutoTokenizer.from_pretrained(parts / "tokenizer"),
        "audio_encoder": lambda: WhisperAudioEncoder.from_whisper(whisper, dtype=torch.bfloat16),
        "vae": lambda: load_vae(conversion.vae or str(parts / "vae")),
        "text_encoder": lambda: _load_text_encoder(parts / "text_encoder", torch.bfloat16),
    }
    try:
        for name, load in makers.items():
            _save(load(), out / name)
    except OSError as error:
        raise ValueError(str(error).partition("\n")[0]) from error


def convert_network(conversion: Conversion, out: Path) -> None:
    """Write the network into a directory that has the other parts, and the index, with which it is whole.

    Raises:
        ValueError: the backbone cannot be read or does not fit; the message names file or key.
    """
    convert_wan(
        conversion.wan,
        out / "transformer",
        zero_audio_output=conversion.zero_audio_output,
        torch_dtype=conversion.dtype,
        audio_dim=_empty(WhisperAudioEncoder, out / "audio_encoder").audio_dim,
    )
    pipeline = SoulPipeline(
        transformer=_empty(SoulTransformer3DModel, out / "transformer"),
        vae=_empty(AutoencoderKLWan, out / "vae"),
        audio_encoder=_empty(WhisperAudioEncoder, out / "audio_encoder"),
        text_encoder=_empty_text_encoder(out / "text_encoder"),
        tokenizer=AutoTokenizer.from_pretrained(out / "tokenizer"),
        scheduler=build_scheduler(conversion.scheduler),
        negative_prompt=WAN_NEGATIVE_PROMPT,
    )
    pipeline.scheduler.save_pretrained(out / "scheduler")
    pipeline.save_config(out)
    check_model_directory(out)


def _save(part: Any, folder: Path) -> None:
    part.save_pretrained(folder, **({"max_shard_size": SHARD_BYTES} if isinstance(part, torch.nn.Module) else {}))
    give_usual_mode(folder.glob("*.safetensors"))


def _load_text_encoder(folder: Path, dtype: torch.dtype) -> UMT5EncoderModel:
    """UMT5's encoder.

    Raises:
        ValueError: its configuration or a weight is missing, or one is of another shape.
    """
    read_json(folder / "config.json")
    encoder: UMT5EncoderModel = load_whole(UMT5EncoderModel, folder, dtype=dtype)
    return encoder


def _empty(component: type[Any], folder: Path) -> Any:
    """A part that has its configuration and no weights: enough to be named in the index."""
    with init_empty_weights():
        return component.from_config(read_json(folder / "config.json"))


def _empty_text_encoder(folder: Path) -> UMT5EncoderModel:
    with init_empty_weights():
        return UMT5EncoderModel(UMT5EncoderModel.config_class.from_pretrained(folder))
