"""The steps of the study of the full size; each runs in a process of its own."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from safetensors import safe_open
from torch import Tensor

from bench.studies.made_release import (
    SIZES,
    ReleaseSize,
    backbone_tensors,
    write_backbone,
    write_components,
    write_whisper,
)
from model.generation.request import Sampling, VideoRequest
from model.network.transformer import SoulTransformer3DModel
from model.pretrained.conversion import Conversion, convert_encoders, convert_network
from model.pretrained.turns import stream_in_turns
from model.weights.files import weight_files
from model.weights.wan_export import export_wan

SIDE, SPEECH_S = 64, 0.2


@dataclass(frozen=True, kw_only=True, slots=True)
class StudyFiles:
    """Where the study keeps what it makes, and in which size and type."""

    run: Path
    """The study's directory."""
    size: str
    """One of `made_release.SIZES`."""
    dtype: str
    """Type of the converted networks."""

    @property
    def release_size(self) -> ReleaseSize:
        """How large the parts are."""
        return SIZES[self.size]()

    @property
    def torch_dtype(self) -> torch.dtype:
        """Type of the converted networks."""
        dtype: torch.dtype = getattr(torch, self.dtype)
        return dtype

    @property
    def conversion(self) -> Conversion:
        """What is converted."""
        return Conversion(
            wan=str(self.run / "release"),
            components=str(self.run / "components"),
            whisper=str(self.run / "whisper"),
            dtype=self.torch_dtype,
        )

    @property
    def model(self) -> Path:
        """The model directory."""
        return self.run / "model"

    @property
    def exported(self) -> Path:
        """The backbone, exported again."""
        return self.run / "exported"


def components(files: StudyFiles) -> str:
    """Write the encoders of a release."""
    write_components(files.release_size, files.run / "components")
    write_whisper(files.release_size, files.run / "whisper")
    return f"{_gigabytes(files.run / 'components', files.run / 'whisper')} written"


def encoders(files: StudyFiles) -> str:
    """Convert them."""
    convert_encoders(files.conversion, files.model)
    return f"{_gigabytes(files.model)} written"


def release(files: StudyFiles) -> str:
    """Write the backbone in the official layout."""
    write_backbone(files.release_size, files.run / "release")
    return f"{_gigabytes(files.run / 'release')} in {len(weight_files(files.run / 'release'))} files"


def network(files: StudyFiles) -> str:
    """Convert it."""
    convert_network(files.conversion, files.model)
    return f"{_gigabytes(files.model / 'transformer')} written"


def generate(files: StudyFiles) -> str:
    """Make a clip of two steps."""
    generator = torch.Generator().manual_seed(0)
    request = VideoRequest(
        image=Image.effect_noise((SIDE, SIDE), 60).convert("RGB"),
        audio=0.1 * torch.randn(int(SPEECH_S * 16_000), generator=generator),
        prompt="a person talks to the camera",
        sampling=Sampling(steps=2, height=SIDE, width=SIDE),
    )
    clips = list(stream_in_turns(files.model, request, dtype=files.torch_dtype))
    if not all(bool(clip.latents.isfinite().all()) for clip in clips):
        raise ValueError("the latents of the clip are not finite")
    frames = [frame for clip in clips for frame in clip.frames]
    height, width, _ = frames[0].shape
    return f"{len(frames)} frames of {width}x{height}"


def export(files: StudyFiles) -> str:
    """Export the backbone to the official layout."""
    loaded = SoulTransformer3DModel.from_pretrained(files.model / "transformer", torch_dtype=files.torch_dtype)
    export_wan(loaded, files.exported, layout="official")
    return f"{_gigabytes(files.exported)} written"


def compare(files: StudyFiles) -> str:
    """Make every tensor of the release again and compare it with what was exported, bit by bit."""
    exported = _stored(files.exported)
    different, num_values, num_tensors, in_fp32 = [], 0, 0, 0
    for name, original in backbone_tensors(files.release_size):
        place = exported.pop(name, None)
        if place is None:
            different.append(f"{name} is missing")
            continue
        tensor = _read(place, name)
        num_tensors, num_values = num_tensors + 1, num_values + original.numel()
        in_fp32 += tensor.dtype == torch.float32
        if not torch.equal(tensor, original.to(tensor.dtype)):
            different.append(f"{name} differs")
    different += [f"{name} is not in the release" for name in exported]
    if different:
        raise ValueError(f"{len(different)} tensors are not as they were, e.g. {different[0]}")
    return f"{num_tensors} tensors, {num_values:,} values, all equal ({in_fp32} in fp32)"


def _stored(folder: Path) -> dict[str, Path]:
    """The file of each tensor."""
    found: dict[str, Path] = {}
    for file in weight_files(folder):
        with safe_open(file, framework="pt") as weights:
            found |= dict.fromkeys(weights.keys(), file)
    return found


def _read(file: Path, name: str) -> Tensor:
    # Opened anew for each: an open file keeps every page that was read mapped.
    with safe_open(file, framework="pt") as weights:
        tensor: Tensor = weights.get_tensor(name)
    return tensor


def _gigabytes(*folders: Path) -> str:
    def sizes() -> Iterator[int]:
        for folder in folders:
            yield from (file.stat().st_size for file in folder.rglob("*") if file.is_file())

    return f"{sum(sizes()) / 1e9:.1f} GB"


STEPS: dict[str, Any] = {
    step.__name__: step for step in (components, encoders, release, network, generate, export, compare)
}
