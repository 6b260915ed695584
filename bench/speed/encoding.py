"""What the autoencoder's precision costs and gives when clips of a run are encoded: seconds a clip, and PSNR.

    python -m bench.speed.encoding --run RUN --model DIR [--stage 720p]

The reference is float32 without the rounding of TF32, which a GPU's convolutions have otherwise. The dB are those of
the normalised latents, against the range of their values.
"""

from __future__ import annotations

import argparse
import sys

from infra.command_line import add_profile, run_alone


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What the command takes."""
    add = parser.add_argument
    add("--run", required=True, metavar="DIR", help="a curated run")
    add("--model", required=True, metavar="DIR", help="whose autoencoder: a model directory, a Hub id or `tiny`")
    add("--stage", default="720p", help="a stage of the profile (default: %(default)s)")
    add("--clips", type=int, default=3, help="clips that are encoded (default: %(default)s)")
    add("--device", help="cuda, cpu, ... (default: cuda if there is one)")
    add_profile(parser, "min_frames=33")


if __name__ == "__main__":
    sys.exit(run_alone("bench.speed.encoding", __doc__, add_arguments))  # ahead of the imports that take seconds

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import torch
from einops import rearrange
from torch import Tensor

from bench.efficiency.measure import device_name, median_seconds, psnr_db
from curation.encoding.clip_inputs import read_material
from curation.encoding.config import EncodeConfig
from curation.encoding.curated_clips import kept_clips, open_shard
from curation.encoding.frames import Pixels
from curation.encoding.references import group_clips
from curation.shards.run_directory import RunDirectory
from infra.config import load_section
from model.codecs.levels import pixels_of
from model.codecs.vae import Autoencoder, encode_video, lay_out
from model.generation.pipeline import SoulPipeline
from model.pretrained.assemble import load_encoders
from model.pretrained.presets import PRESETS
from model.weights.files import locate


@dataclass(frozen=True, kw_only=True, slots=True)
class Precision:
    """A type to compute in."""

    name: str
    dtype: torch.dtype
    tf32: bool = True
    """Whether convolutions in float32 may round their inputs to TF32, which only a GPU does."""


REFERENCE = Precision(name="float32, exact", dtype=torch.float32, tf32=False)
PRECISIONS = (
    REFERENCE,
    Precision(name="float32", dtype=torch.float32),
    Precision(name="bfloat16", dtype=torch.bfloat16),
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Encoded:
    """What came of encoding with one type."""

    name: str
    seconds: float
    """A clip's, the median."""
    psnr_db: float | None
    """Against the reference; None where nothing differs."""


def run(options: argparse.Namespace) -> None:
    """Encode clips with each type and print the table."""
    config = load_section(EncodeConfig, options.profile, "encode", options.overrides)
    windows = list(islice(windows_of(options.run, config, area=config.target(options.stage).area), options.clips))
    if not windows:
        raise ValueError(f"{options.run} has no clip that can be encoded")
    device = torch.device(options.device or ("cuda" if torch.cuda.is_available() else "cpu"))
    sizes = ", ".join("x".join(map(str, window.shape[:3])) for window in windows)
    print(f"{len(windows)} clips ({sizes}), {options.model}, {device_name(device)}")
    print(f"{'type':<16}{'s a clip':>10}{'ratio':>8}{'PSNR':>11}")
    rows = compare(_load(options.model), windows, device)
    for row in rows:
        decibel = "equal" if row.psnr_db is None else f"{row.psnr_db:.1f} dB"
        print(f"{row.name:<16}{row.seconds:>10.2f}{row.seconds / rows[0].seconds:>8.2f}{decibel:>11}")


def windows_of(run: str, config: EncodeConfig, *, area: int) -> Iterator[Pixels]:
    """The frames (F, H, W, 3) of a run's clips as they are encoded."""
    directory = RunDirectory(run)
    for shard in directory.names():
        groups = group_clips(kept_clips(directory, shard), area=area, num_references=config.num_references)
        with open_shard(directory, shard) as reader:
            for material in read_material(reader, groups, config):
                if material.window is not None:
                    yield material.window


def compare(vae: Autoencoder, windows: Sequence[Pixels], device: torch.device) -> list[Encoded]:
    """Encode the windows with each of `PRECISIONS`; the first one is the reference."""
    rows, exact = list[Encoded](), list[Tensor]()
    for precision in PRECISIONS:
        # From float32 to the others in turn: no weight is rounded before it has to be.
        placed = lay_out(vae, device, precision.dtype)
        with torch.backends.cudnn.flags(allow_tf32=precision.tf32):
            latents = [_encoded(placed, window).cpu() for window in windows]
            seconds = median_seconds(lambda: _encoded(placed, windows[0]), device, warmup=0, repeats=3)  # noqa: B023
        exact = exact or latents
        together, reference = (torch.cat([one.flatten() for one in each]) for each in (latents, exact))
        rows.append(Encoded(name=precision.name, seconds=seconds, psnr_db=psnr_db(together, reference)))
    return rows


def _encoded(vae: Autoencoder, window: Pixels) -> Tensor:
    levels = rearrange(torch.from_numpy(window), "f h w c -> 1 c f h w")
    return encode_video(vae, pixels_of(levels.to(vae.device)))


def _load(model: str) -> Autoencoder:
    """A model's autoencoder, without the rest."""
    if model in PRESETS and not Path(model).is_dir():
        return load_encoders(model).vae
    others = dict.fromkeys(("transformer", "audio_encoder", "text_encoder", "tokenizer", "scheduler"))
    vae: Autoencoder = SoulPipeline.from_pretrained(locate(model), **others, dtype=torch.float32).vae
    return vae
