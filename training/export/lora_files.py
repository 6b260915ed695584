"""LoRA files: as diffusers loads them for Wan, as ComfyUI does, and the audio layers, which neither has."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

import torch
from safetensors.torch import save_file
from torch import Tensor

from infra.storage.write_errors import writing
from model.weights.files import give_usual_mode
from model.weights.wan_names import to_official
from training.export.lora import LoraLayer

DIFFUSERS_FILE: Final = "pytorch_lora_weights.safetensors"
"""The name that diffusers looks for in a folder."""
COMFYUI_FILE: Final = "comfyui_lora.safetensors"
AUDIO_FILE: Final = "audio_lora.safetensors"


def diffusers_tensors(layers: Iterable[LoraLayer], dtype: torch.dtype) -> dict[str, Tensor]:
    """`transformer.<layer>.lora_A|lora_B.weight`, and `lora_B.bias`; their product is added as it is."""
    tensors: dict[str, Tensor] = {}
    for layer in layers:
        name = f"transformer.{layer.name}"
        tensors[f"{name}.lora_A.weight"] = layer.down.to(dtype).contiguous()
        tensors[f"{name}.lora_B.weight"] = layer.up.to(dtype).contiguous()
        if layer.bias is not None:
            tensors[f"{name}.lora_B.bias"] = layer.bias.to(dtype)
    return tensors


def comfyui_tensors(layers: Iterable[LoraLayer], dtype: torch.dtype) -> dict[str, Tensor]:
    """`diffusion_model.<layer in Wan's own names>.lora_down|lora_up.weight`, `alpha`, and `diff_b`.

    ComfyUI scales the product by alpha / rank, and by 1 without an alpha. So it is the rank in blocks; the other layers
    have none, since diffusers, which reads this form too, takes an alpha there for an unknown key.
    """
    tensors: dict[str, Tensor] = {}
    for layer in layers:
        name = f"diffusion_model.{to_official(f'{layer.name}.weight').removesuffix('.weight')}"
        tensors[f"{name}.lora_down.weight"] = layer.down.to(dtype).contiguous()
        tensors[f"{name}.lora_up.weight"] = layer.up.to(dtype).contiguous()
        if layer.name.startswith("blocks."):
            tensors[f"{name}.alpha"] = torch.tensor(float(len(layer.down)))
        if layer.bias is not None:
            tensors[f"{name}.diff_b"] = layer.bias.to(dtype)
    return tensors


def write_lora(folder: Path, layers: Iterable[LoraLayer], dtype: torch.dtype, about: Mapping[str, str]) -> list[Path]:
    """Write the files of a LoRA into a folder, which is made.

    Args:
        folder: of the files.
        layers: of the network; the audio layers go into a file of their own, in diffusers' form.
        dtype: of the matrices.
        about: goes into the files' headers.

    Returns:
        The files.

    Raises:
        NotWrittenError: a file could not be written.
    """
    layers = list(layers)
    shared, audio = ([each for each in layers if each.is_audio is wanted] for wanted in (False, True))
    tensors = {
        DIFFUSERS_FILE: diffusers_tensors(shared, dtype),
        COMFYUI_FILE: comfyui_tensors(shared, dtype),
        AUDIO_FILE: diffusers_tensors(audio, dtype),
    }
    written = []
    for name, content in tensors.items():
        if content:
            with writing(folder / name, then="the same command writes it"):
                folder.mkdir(parents=True, exist_ok=True)
                save_file(content, folder / name, metadata={"format": "pt", **about})
            written.append(folder / name)
    give_usual_mode(written)
    return written
