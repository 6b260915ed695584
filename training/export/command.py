"""`python -m training export`: a model directory of a checkpoint, while training goes on or after it."""

from __future__ import annotations

import argparse
from pathlib import Path

import torch

from infra.config import ConfigError
from model.weights.directory import CODEBOOK_FILE
from training.export import lora_command
from training.export.stored import Stored, newest, stage_folder
from training.initial import Initial
from training.result import Origin, write_result


def run(options: argparse.Namespace) -> None:
    """Make the model directory.

    Raises:
        ConfigError: there is no such checkpoint, it is damaged or was removed, or what it began with has gone.
        CheckpointError: the directory could not be written; nothing of it is left.
    """
    if options.out.exists():
        raise ConfigError(f"{options.out} is already there: give another --out, or remove it")
    if options.lora is not None:
        lora_command.run(options)
        return
    if options.checkpoint is None or options.base is not None or options.audio:
        raise ConfigError("a model directory is made of a --checkpoint; --base and --audio go with --lora")
    codebook = stage_folder(options.checkpoint).parents[1] / CODEBOOK_FILE
    with newest(options.checkpoint, averaged=not options.raw) as stored:
        which = "raw" if options.raw else "averaged"
        print(f"reading  the {which} weights of {stored.path}", flush=True)
        write_result(
            options.out,
            _initial(stored.origin, options.model),
            stored.origin.result,
            weights=stored.weights,
            dtype=_dtype(stored, options.dtype),
            codebook=codebook if codebook.is_file() else None,
        )
    print(f"model  {options.out}")


def _initial(origin: Origin, given: Path | None) -> Path:
    """The directory that all else is taken from.

    Raises:
        ConfigError: it is not there, or is another one where weights are taken from it.
    """
    directory = given or origin.initial.directory
    if not directory.is_dir():
        raise ConfigError(f"{directory}, which training began with, is not there: say with --model where it is now")
    component = origin.result.component
    if origin.result.keeps_weights and Initial.of(directory, component).fingerprint != origin.initial.fingerprint:
        raise ConfigError(
            f"{directory / component} is not the one that training began with, of which the result has a part: give "
            "that one with --model"
        )
    return directory


def _dtype(stored: Stored, given: str | None) -> torch.dtype:
    name = given or stored.state.recipe["store_dtype"]
    if stored.origin.result.keeps_weights and name != "float32":
        raise ConfigError("an autoencoder is stored in fp32, so that its encoder stays as it is: leave --dtype out")
    dtype: torch.dtype = getattr(torch, name)
    return dtype
