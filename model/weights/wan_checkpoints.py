"""Starting from Wan2.2's weights: from a directory, the Hub or a diffusers model."""

from collections.abc import Iterator
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any, TypeAlias

import torch
from diffusers import WanTransformer3DModel
from safetensors import safe_open
from torch import Tensor, nn

from model.network.audio_injection import AudioEmbedder
from model.network.transformer import SoulTransformer3DModel
from model.weights.files import WEIGHTS, check_fit, locate, read_json, read_shapes, weight_files
from model.weights.shards import SHARD_BYTES, write_shards
from model.weights.wan_names import AUDIO_MODULES, config_of, detect_layout, to_diffusers

WanSource: TypeAlias = str | PathLike[str] | WanTransformer3DModel
"""A directory, a Hub id (`owner/name`) or a model."""

_HUB_FILES = ["config.json", f"{WEIGHTS}*", "transformer/*"]


@dataclass(frozen=True, kw_only=True, slots=True)
class WanCheckpoint:
    """A released checkpoint whose tensors are read one at a time, under diffusers' names."""

    folder: Path
    """Where config.json and the weights are."""
    stored_config: dict[str, Any]
    """What config.json says."""
    places: dict[str, tuple[Path, str]]
    """File of each tensor and its key in that file, by diffusers' name."""
    shapes: dict[str, tuple[int, ...]]
    """Shape of each tensor, by diffusers' name."""

    @classmethod
    def open(cls, folder: Path) -> "WanCheckpoint":
        """Read config.json and the headers of the weights.

        Args:
            folder: a transformer's folder, an official release, or a diffusers pipeline (its `transformer/`).

        Raises:
            ValueError: something is missing, unreadable or not Wan2.2-TI2V's; the message names it.
        """
        if (folder / "transformer" / "config.json").is_file():
            folder = folder / "transformer"
        stored = read_json(folder / "config.json")
        places: dict[str, tuple[Path, str]] = {}
        shapes: dict[str, tuple[int, ...]] = {}
        for file in weight_files(folder):
            for key, shape in read_shapes(file).items():
                places[key], shapes[key] = (file, key), shape
        try:
            if detect_layout(places) == "official":
                places = {to_diffusers(key): place for key, place in places.items()}
                shapes = {to_diffusers(key): shape for key, shape in shapes.items()}
        except ValueError as error:
            raise ValueError(f"{folder}: {error}") from None
        return cls(folder=folder, stored_config=stored, places=places, shapes=shapes)

    def tensors(self) -> Iterator[tuple[str, Tensor]]:
        """Yield every tensor under its diffusers name."""
        for name, (file, key) in self.places.items():
            # Opened anew for each tensor: an open file keeps every page that was read mapped, so memory would hold the
            # weights twice.
            with safe_open(file, framework="pt") as weights:
                yield name, weights.get_tensor(key)


def load_wan(
    source: WanSource,
    *,
    zero_audio_output: bool = False,
    torch_dtype: torch.dtype | None = None,
    audio_dim: int = 6400,
    audio_window: int = 16,
) -> SoulTransformer3DModel:
    """Start from Wan2.2, with audio attention copied from its text attention (paper, Sec. 3.1).

    The audio embedder has nothing to start from and is drawn from torch's global generator. The model is made on the
    meta device and filled tensor by tensor, so memory holds the weights once.

    Args:
        source: a directory (official release, diffusers pipeline or transformer), a Hub id, or a model, whose weights
            are copied.
        zero_audio_output: whether the audio attention's output starts at zero, so that the model is exactly the
            backbone at first; the paper copies the text attention's.
        torch_dtype: type of the weights (modulation and norms stay fp32); None keeps the source's.
        audio_dim: features of one audio step.
        audio_window: audio steps that a latent frame sees.

    Raises:
        ValueError: the source cannot be read or does not fit; the message names file or key.
    """
    model, weights = _start(
        source,
        zero_audio_output=zero_audio_output,
        torch_dtype=torch_dtype,
        audio_dim=audio_dim,
        audio_window=audio_window,
    )
    for name, tensor in weights:
        _place(model, name, tensor)
    return model


def convert_wan(
    source: WanSource,
    directory: str | PathLike[str],
    *,
    zero_audio_output: bool = False,
    torch_dtype: torch.dtype | None = None,
    audio_dim: int = 6400,
    audio_window: int = 16,
    max_shard_bytes: int = SHARD_BYTES,
) -> None:
    """Write what `load_wan` loads as a transformer's directory, of which memory holds one file at a time.

    Args:
        source: as in `load_wan`.
        directory: made if need be.
        zero_audio_output: as in `load_wan`.
        torch_dtype: as in `load_wan`.
        audio_dim: as in `load_wan`.
        audio_window: as in `load_wan`.
        max_shard_bytes: of weights in a file.

    Raises:
        ValueError: as `load_wan`, and before anything is written.
    """
    model, weights = _start(
        source,
        zero_audio_output=zero_audio_output,
        torch_dtype=torch_dtype,
        audio_dim=audio_dim,
        audio_window=audio_window,
    )
    model.save_config(directory)
    write_shards(weights, Path(directory), max_bytes=max_shard_bytes)


def check_wan(source: WanSource) -> None:
    """Compare the headers of a backbone's files with what the network expects.

    Raises:
        ValueError: as `load_wan`.
    """
    _start(source, zero_audio_output=False, torch_dtype=None, audio_dim=1, audio_window=1)


def _check_backbone(model: nn.Module, shapes: dict[str, tuple[int, ...]]) -> None:
    """Compare names and shapes with the model's backbone; raise a ValueError that names the first difference."""
    expected = {
        name: tuple(parameter.shape)
        for name, parameter in model.named_parameters()
        if AUDIO_MODULES.isdisjoint(name.split("."))
    }
    check_fit(expected, shapes)


def _place(model: nn.Module, name: str, tensor: Tensor) -> None:
    module, _, leaf = name.rpartition(".")
    setattr(model.get_submodule(module), leaf, nn.Parameter(tensor))


def _start(
    source: WanSource,
    *,
    zero_audio_output: bool,
    torch_dtype: torch.dtype | None,
    audio_dim: int,
    audio_window: int,
) -> tuple[SoulTransformer3DModel, Iterator[tuple[str, Tensor]]]:
    """The network on the meta device, and its weights, which are read, copied or drawn as they are asked for."""
    if isinstance(source, WanTransformer3DModel):
        tensors: Iterator[tuple[str, Tensor]] = iter(source.state_dict().items())
        shapes = {name: tuple(tensor.shape) for name, tensor in source.state_dict().items()}
        stored, where = dict(source.config), "the model"
    else:
        checkpoint = WanCheckpoint.open(locate(source, patterns=_HUB_FILES))
        tensors, shapes = checkpoint.tensors(), checkpoint.shapes
        stored, where = checkpoint.stored_config, str(checkpoint.folder)
    try:
        with torch.device("meta"):
            model: SoulTransformer3DModel = SoulTransformer3DModel(
                **config_of(shapes, stored), audio_dim=audio_dim, audio_window=audio_window
            )
        _check_backbone(model, shapes)
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from None
    return model, _weights(model, _cast(tensors, torch_dtype), zero_output=zero_audio_output)


def _cast(tensors: Iterator[tuple[str, Tensor]], dtype: torch.dtype | None) -> Iterator[tuple[str, Tensor]]:
    """Copies in the type that the network holds each weight in."""
    keep_in_fp32 = set(SoulTransformer3DModel._keep_in_fp32_modules)
    for name, tensor in tensors:
        kept = dtype is not None and not keep_in_fp32.isdisjoint(name.split("."))
        yield name, tensor.to(torch.float32 if kept else dtype or tensor.dtype, copy=True)


@torch.no_grad()
def _weights(
    model: SoulTransformer3DModel, backbone: Iterator[tuple[str, Tensor]], *, zero_output: bool
) -> Iterator[tuple[str, Tensor]]:
    """The backbone's weights; text attention and its norm once more as audio attention; the embedder's random start."""
    start = None
    for name, tensor in backbone:
        yield name, tensor
        twin = name.replace(".attn2.", ".attn_audio.").replace(".norm2.", ".norm_audio.")
        if twin != name:
            yield twin, torch.zeros_like(tensor) if zero_output and ".to_out." in name else tensor.clone()
        if name == "patch_embedding.weight":
            start = tensor.device, tensor.dtype
    assert start is not None
    embedder = model.get_submodule("audio_embedder")
    assert isinstance(embedder, AudioEmbedder)
    embedder.to_empty(device=start[0]).to(start[1]).reset_parameters()
    for name, parameter in embedder.named_parameters(prefix="audio_embedder"):
        yield name, parameter.detach()
