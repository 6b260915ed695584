"""A release of Wan2.2-TI2V-5B and Whisper with random weights: every name, shape, type and file layout of the real one.

Each tensor is drawn from a seed of its own, made of its name. So it can be made again wherever it is compared, and
nobody needs to keep 20 GB for that.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import torch
from diffusers import AutoencoderKLWan
from tokenizers import Tokenizer, models, pre_tokenizers
from torch import Tensor, nn
from transformers import PreTrainedTokenizerFast, UMT5Config, UMT5EncoderModel, WhisperConfig, WhisperModel

from model.codecs.vae import wan_vae_config
from model.pretrained.assemble import umt5_xxl_config
from model.pretrained.presets import TransformerConfig, build_transformer
from model.weights.shards import write_shards
from model.weights.wan_export import wan_state_dict
from model.weights.wan_names import stored_config

SHARD_BYTES: Final = 5 * 10**9
"""Size of the files: half of the official release's, because writing one takes as much memory."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ReleaseSize:
    """How large the parts of a release are."""

    transformer: TransformerConfig
    """The network; its audio layers are not in the release."""
    vae: dict[str, Any]
    """Arguments of `AutoencoderKLWan`."""
    text_encoder: UMT5Config
    """The text encoder."""
    whisper: WhisperConfig
    """Whisper, of which conversion takes the encoder."""
    shard_bytes: int
    """Size of the files of weights."""


def full_size() -> ReleaseSize:
    """Wan2.2-TI2V-5B, UMT5-XXL and whisper-large-v3."""
    return ReleaseSize(
        transformer=TransformerConfig(),
        vae=wan_vae_config(),
        text_encoder=umt5_xxl_config(),
        whisper=_whisper(num_mel_bins=128, width=1280, layers=32, heads=20, ffn=5120, vocabulary=51_866),
        shard_bytes=SHARD_BYTES,
    )


def tiny_size() -> ReleaseSize:
    """The same parts, each as small as it goes."""
    return ReleaseSize(
        transformer=TransformerConfig(
            num_attention_heads=2,
            attention_head_dim=24,
            text_dim=16,
            freq_dim=32,
            ffn_dim=64,
            num_layers=2,
            audio_dim=80,
        ),
        vae=wan_vae_config() | {"base_dim": 4, "decoder_base_dim": 4},
        text_encoder=UMT5Config(vocab_size=300, d_model=16, d_kv=8, d_ff=16, num_layers=1, num_heads=2),
        whisper=_whisper(num_mel_bins=80, width=16, layers=4, heads=2, ffn=16, vocabulary=64),
        shard_bytes=100_000,
    )


SIZES: Final = {"full": full_size, "tiny": tiny_size}


def write_backbone(size: ReleaseSize, folder: Path) -> None:
    """The network in the official layout, fp32."""
    write_shards(backbone_tensors(size), folder, max_bytes=size.shard_bytes)
    config = stored_config(asdict(size.transformer), "official")
    (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")


def backbone_tensors(size: ReleaseSize) -> Iterator[tuple[str, Tensor]]:
    """Every tensor of the backbone, fp32, under its official name; the same ones each time."""
    return drawn(empty_backbone(size), torch.float32)


def empty_backbone(size: ReleaseSize) -> dict[str, Tensor]:
    """The same on the meta device."""
    with torch.device("meta"):
        network = build_transformer(size.transformer)
    return wan_state_dict(network, "official")


def write_components(size: ReleaseSize, folder: Path) -> None:
    """What diffusers' layout has beside the network: `vae/` in fp32, `text_encoder/` in bf16, `tokenizer/`."""
    with torch.device("meta"):
        vae = AutoencoderKLWan(**size.vae)
    vae.save_config(folder / "vae")
    write_shards(drawn(vae.state_dict(), torch.float32), folder / "vae", max_bytes=size.shard_bytes)
    _write_of_transformers(UMT5EncoderModel, size.text_encoder, torch.bfloat16, folder / "text_encoder", size)
    write_tokenizer(folder / "tokenizer")


def write_whisper(size: ReleaseSize, folder: Path) -> None:
    """Whisper as transformers stores it, fp16."""
    _write_of_transformers(WhisperModel, size.whisper, torch.float16, folder, size)


def write_tokenizer(folder: Path) -> None:
    """A tokenizer of letters, with UMT5's special tokens."""
    letters = {chr(97 + number): number + 2 for number in range(26)}
    vocabulary = {"<pad>": 0, "</s>": 1, "<unk>": 28, **letters}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Split("", "isolated")
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="<pad>", eos_token="</s>", unk_token="<unk>"
    ).save_pretrained(folder)


def drawn(tensors: dict[str, Tensor], dtype: torch.dtype) -> Iterator[tuple[str, Tensor]]:
    """A random tensor for each on the meta device: matrices around 0, the vectors of norms around 1.

    The numbers are small enough for no layer of a deep network to overflow.
    """
    for name, tensor in tensors.items():
        digest = hashlib.blake2b(name.encode(), digest_size=8).digest()
        generator = torch.Generator().manual_seed(int.from_bytes(digest, "little") >> 1)
        is_norm = "norm" in name and tensor.ndim == 1 and name.endswith("weight")
        yield name, torch.empty(tensor.shape, dtype=dtype).normal_(float(is_norm), 0.02, generator=generator)


def _write_of_transformers(
    kind: type[nn.Module], config: Any, dtype: torch.dtype, folder: Path, size: ReleaseSize
) -> None:
    with torch.device("meta"):
        network: Any = kind(config)
    tied = set(network.all_tied_weights_keys)
    names = {name: tensor for name, tensor in network.state_dict().items() if name not in tied}
    write_shards(drawn(names, dtype), folder, stem="model", max_bytes=size.shard_bytes)
    config.architectures, config.dtype = [kind.__name__], dtype
    config.save_pretrained(folder)


def _whisper(*, num_mel_bins: int, width: int, layers: int, heads: int, ffn: int, vocabulary: int) -> WhisperConfig:
    return WhisperConfig(
        num_mel_bins=num_mel_bins,
        d_model=width,
        encoder_layers=layers,
        decoder_layers=layers,
        encoder_attention_heads=heads,
        decoder_attention_heads=heads,
        encoder_ffn_dim=ffn,
        decoder_ffn_dim=ffn,
        vocab_size=vocabulary,
        pad_token_id=0,
        bos_token_id=0,
        eos_token_id=0,
        decoder_start_token_id=0,
    )
