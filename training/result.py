"""The model directory that a stage ends with, which `SoulPipeline` loads."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import torch
from huggingface_hub import save_torch_state_dict
from safetensors import SafetensorError
from torch import Tensor

from infra.config import ConfigError, persons_mistakes
from infra.storage.write_errors import reason_of
from model.generation.codebook import Codebook
from model.generation.sampling import Scheduler
from model.weights.directory import CODEBOOK_FILE, INDEX_FILE, check_model_directory
from model.weights.files import give_usual_mode
from training.distributed.checkpoints import CheckpointError

CONFIG_FILE: Final = "config.json"


@dataclass(frozen=True, kw_only=True, slots=True)
class Result:
    """What a stage's model directory replaces in its initial one."""

    component: str
    """Folder of what was trained, `transformer` or `vae`."""
    weights: Callable[[Mapping[str, Tensor]], Mapping[str, Tensor]] = dict
    """Makes the component's weights from those of the trained network; by default they are the same."""
    in_fp32: tuple[str, ...] = ()
    """Parts of names: weights whose name has one of them are stored as fp32, whatever the type of the others."""
    config: Mapping[str, Any] = field(default_factory=dict)
    """Changes to the component's configuration, where its shape has changed."""
    defaults: Mapping[str, Any] = field(default_factory=dict)
    """Changes to the pipeline's configuration, e.g. of `num_inference_steps`."""
    scheduler: Scheduler | None = None
    """The sampler that the pipeline uses; the initial directory's own otherwise."""


def write_result(
    target: Path,
    initial: Path,
    result: Result,
    *,
    state: Mapping[str, Tensor],
    dtype: torch.dtype,
    codebook: Path | None = None,
) -> None:
    """Write a model directory: that of `initial` with one component's weights replaced. Whole or not at all.

    Raises:
        CheckpointError: it could not be written (a full disk, say); nothing of it is left.
        ConfigError: the codebook file is not a codebook.

    Args:
        target: where it is written; replaced if it exists.
        initial: the directory whose other components are taken over, as hard links where the file system has them.
        result: what is not taken over.
        state: weights of the trained network.
        dtype: the type that the component's weights are stored as; weights that must be fp32 stay fp32.
        codebook: a codebook file to put in; `initial`'s own otherwise.
    """
    aside = target.with_name(f"{target.name}.tmp")
    shutil.rmtree(aside, ignore_errors=True)
    try:
        _lay_out(aside, initial, result)
        save_torch_state_dict(
            {name: _stored(name, tensor, dtype, result) for name, tensor in result.weights(state).items()},
            aside / result.component,
            filename_pattern="diffusion_pytorch_model{suffix}.safetensors",
            max_shard_size="10GB",
        )
        give_usual_mode((aside / result.component).glob("*.safetensors"))
        if codebook is not None:
            with persons_mistakes():
                Codebook.load(codebook)
            (aside / CODEBOOK_FILE).unlink(missing_ok=True)
            shutil.copyfile(codebook, aside / CODEBOOK_FILE)
        check_model_directory(aside)
        _replace(target, aside)
    except (OSError, SafetensorError) as error:
        raise CheckpointError(
            f"the model directory {target} could not be written: {reason_of(error, target)}; the training is saved, "
            "and the same command writes it"
        ) from error
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def check_link(link: Path) -> None:
    """Check that `point_to` will be able to make a link.

    Raises:
        ConfigError: something that is not such a link is in its place.
    """
    if link.exists() and not link.is_symlink():
        raise ConfigError(f"{link} is not a link made by training: move it away")


def point_to(link: Path, directory: Path) -> None:
    """Make `link` lead to `directory`, whatever it led to before.

    Raises:
        ConfigError: something that is not such a link is in its place.
    """
    check_link(link)
    aside = link.with_name(f".{link.name}.tmp")
    aside.unlink(missing_ok=True)
    aside.symlink_to(os.path.relpath(directory, link.parent))
    aside.replace(link)


def _lay_out(aside: Path, initial: Path, result: Result) -> None:
    """Make the whole directory, except for the weights that were trained."""
    replaced = (initial / result.component).resolve()
    shutil.copytree(
        initial.resolve(),
        aside,
        copy_function=_link,
        ignore=lambda folder, names: _weights(names) if Path(folder).resolve() == replaced else [],
    )
    if result.config:
        described = json.loads((initial / result.component / CONFIG_FILE).read_text()) | dict(result.config)
        _rewrite(aside / result.component / CONFIG_FILE, json.dumps(described, indent=2))
    index = json.loads((initial / INDEX_FILE).read_text()) | dict(result.defaults)
    if result.scheduler is not None:
        # Its files may be hard links to the initial directory's.
        shutil.rmtree(aside / "scheduler", ignore_errors=True)
        result.scheduler.save_pretrained(aside / "scheduler")
        index["scheduler"] = ["diffusers", type(result.scheduler).__name__]
    _rewrite(aside / INDEX_FILE, json.dumps(index, indent=2))


def _weights(names: list[str]) -> list[str]:
    return [name for name in names if name.endswith((".safetensors", ".safetensors.index.json", ".bin"))]


def _stored(name: str, tensor: Tensor, dtype: torch.dtype, result: Result) -> Tensor:
    return tensor.float() if any(part in name for part in result.in_fp32) else tensor.to(dtype)


def _link(source: str, target: str) -> None:
    try:
        os.link(source, target, follow_symlinks=True)
    except OSError:
        shutil.copyfile(source, target)


def _rewrite(path: Path, text: str) -> None:
    """Replace a file that may be a hard link to another directory's."""
    path.unlink(missing_ok=True)
    path.write_text(text)


def _replace(target: Path, aside: Path) -> None:
    old = target.with_name(f"{target.name}.old")
    shutil.rmtree(old, ignore_errors=True)
    if target.exists():
        target.rename(old)
    aside.rename(target)
    shutil.rmtree(old, ignore_errors=True)
