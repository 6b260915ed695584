"""A model put together for making videos: which directory, which parts of it are replaced, and where it runs."""

import argparse
import copy
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import torch
from diffusers.utils import logging as diffusers_logging

from model.codecs.image import AREAS
from model.codecs.vae import lay_out, vae_dtype
from model.device import own_device
from model.generation.codebook import Codebook
from model.generation.pipeline import SoulPipeline
from model.generation.sampling import build_scheduler
from model.pretrained import assemble
from model.pretrained.presets import PRESETS
from model.weights.directory import INDEX_FILE
from model.weights.files import locate, read_json

RANDOM_PRESET = "tiny"
"""The preset that runs without weights; larger ones would only make noise slowly."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelParts:
    """What a pipeline is put together from; None means the model directory's own part."""

    model: str
    """Model directory, Hub id, or `tiny` with random weights."""
    vae: str | None = None
    """Directory or Hub id of another autoencoder."""
    scheduler: str | None = None
    """`unipc`, `euler` or `few-step`."""
    codebook: Path | None = None
    """Centroids to clamp to."""
    device: str | None = None
    """Where it runs; None for a GPU if there is one (under torchrun, this process's GPU)."""
    dtype: str | None = None
    """`bfloat16` or `float32`, of the networks; None for the device's default."""
    vae_dtype: str = "auto"
    """`bfloat16` or `float32`, of the autoencoder; `auto` for the device's default."""

    @classmethod
    def from_options(cls, options: argparse.Namespace) -> Self:
        """Read the options that `options.add_model_options` adds."""
        names = ("model", "vae", "scheduler", "codebook", "device", "dtype", "vae_dtype")
        return cls(**{name: getattr(options, name) for name in names})

    @property
    def is_random(self) -> bool:
        """Whether the weights are random."""
        return self.model in PRESETS and not Path(self.model).is_dir()

    def default_area(self) -> int:
        """Pixels of a frame when no size is asked for.

        Raises:
            ValueError: there is no such model; one line.
        """
        if self.is_random:
            return PRESETS[self.model].area
        index = read_json(locate(self.model, patterns=[INDEX_FILE]) / INDEX_FILE)
        return int(index.get("area", AREAS["720p"]))

    def load(self) -> SoulPipeline:
        """The pipeline on its device.

        Raises:
            ValueError: a part is missing or broken, or there is no such device; one line.
        """
        diffusers_logging.disable_progress_bar()
        device = own_device(self.device)
        try:
            # Tried before the model is loaded, which takes a minute.
            torch.empty(0, device=device)
        except (RuntimeError, AssertionError) as error:
            raise _refused(device, error) from error
        dtype = getattr(torch, self.dtype or ("float32" if device == "cpu" else "bfloat16"))
        pipeline = self._random(dtype) if self.is_random else self._trained(dtype)
        if self.vae is not None:
            pipeline.register_modules(vae=assemble.load_vae(self.vae))
        if self.scheduler is not None:
            pipeline.register_modules(scheduler=build_scheduler(self.scheduler))
        if self.codebook is not None:
            pipeline.codebook = Codebook.load(self.codebook)
        try:
            on_device: SoulPipeline = pipeline.to(device)
            lay_out(on_device.vae, device, vae_dtype(self.vae_dtype, device))
        except RuntimeError as error:
            raise _refused(device, error) from error
        return on_device

    def _random(self, dtype: torch.dtype) -> SoulPipeline:
        if self.model != RANDOM_PRESET:
            raise ValueError(f"--model {self.model}: random weights of this size are of no use, give a directory")
        pipeline = assemble.build_pipeline(self.model)
        if dtype != torch.float32:
            vae = copy.deepcopy(pipeline.vae)
            pipeline.to(dtype).register_modules(vae=vae)
        return pipeline

    def _trained(self, dtype: torch.dtype) -> SoulPipeline:
        # The autoencoder is read as it was trained, and put into its type on the device.
        return SoulPipeline.from_pretrained(self.model, dtype={"default": dtype, "vae": torch.float32})


def _refused(device: str, error: Exception) -> ValueError:
    return ValueError(f"--device {device}: {str(error).partition(chr(10))[0]}")
