"""The model directory that a stage ends with, which `SoulPipeline` loads."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final, Self

import torch
from safetensors import SafetensorError

from infra.config import ConfigError, persons_mistakes
from infra.storage.write_errors import reason_of
from model.generation.codebook import Codebook
from model.generation.sampling import build_scheduler
from model.weights.directory import CODEBOOK_FILE, INDEX_FILE, check_model_directory
from training.distributed.checkpoint_writer import CheckpointError
from training.initial import Initial
from training.weight_files import Weight, weights_in, write_weights

CONFIG_FILE: Final = "config.json"


@dataclass(frozen=True, kw_only=True, slots=True)
class Result:
    """What a stage's model directory replaces in its initial one."""

    component: str
    """Folder of what was trained, `transformer` or `vae`."""
    prefix: str = ""
    """What the names of the component's weights begin with in the trained network, whose other weights are left out."""
    replaced: tuple[str, ...] = ("",)
    """What the names of the component's trained weights begin with; its others are the initial directory's."""
    in_fp32: tuple[str, ...] = ()
    """Parts of names: weights whose name has one of them are stored as fp32, whatever the type of the others."""
    config: Mapping[str, Any] = field(default_factory=dict)
    """Changes to the component's configuration, where its shape has changed."""
    defaults: Mapping[str, Any] = field(default_factory=dict)
    """Changes to the pipeline's configuration, e.g. of `num_inference_steps`."""
    scheduler: str | None = None
    """Name of the sampler that the pipeline uses, see `build_scheduler`; the initial directory's own otherwise."""

    @property
    def keeps_weights(self) -> bool:
        """Whether some weights of the component stay as the initial directory has them."""
        return "" not in self.replaced


@dataclass(frozen=True, kw_only=True, slots=True)
class Origin:
    """What a model directory is made from with a checkpoint's weights, as the checkpoint keeps it."""

    network: str
    """Folder of the network's states in a checkpoint."""
    result: Result
    initial: Initial

    def described(self) -> dict[str, Any]:
        """As JSON can have it."""
        directory = str(self.initial.directory.absolute())
        source = {"network": self.network, "initial": directory, "fingerprint": self.initial.fingerprint}
        return source | {"result": asdict(self.result)}

    @classmethod
    def of(cls, described: Mapping[str, Any]) -> Self:
        """From what `described` gave."""
        initial = Initial(directory=Path(described["initial"]), fingerprint=described["fingerprint"])
        values: Mapping[str, Any] = described["result"]
        lists = {name: tuple(values[name]) for name in ("replaced", "in_fp32")}
        return cls(network=described["network"], result=Result(**{**values, **lists}), initial=initial)


def write_result(
    target: Path,
    initial: Path,
    result: Result,
    *,
    weights: Mapping[str, Weight],
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
        weights: those of the trained network, in its order.
        dtype: the type that the component's weights are stored as; weights that must be fp32 stay fp32.
        codebook: a codebook file to put in; `initial`'s own otherwise.
    """
    aside = target.with_name(f"{target.name}.tmp")
    shutil.rmtree(aside, ignore_errors=True)
    try:
        _lay_out(aside, initial, result)
        with persons_mistakes():
            kept = _kept(initial / result.component, result)
        replacing = kept | _trained(weights, result)
        types = {name: _stored_type(name, dtype, result) for name in replacing}
        write_weights(aside / result.component, replacing, types)
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
        scheduler = build_scheduler(result.scheduler)
        scheduler.save_pretrained(aside / "scheduler")
        index["scheduler"] = ["diffusers", type(scheduler).__name__]
    _rewrite(aside / INDEX_FILE, json.dumps(index, indent=2))


def _weights(names: list[str]) -> list[str]:
    return [name for name in names if name.endswith((".safetensors", ".safetensors.index.json", ".bin"))]


def _stored_type(name: str, dtype: torch.dtype, result: Result) -> torch.dtype:
    return torch.float32 if any(part in name for part in result.in_fp32) else dtype


def _trained(weights: Mapping[str, Weight], result: Result) -> dict[str, Weight]:
    """The component's weights among the trained network's."""
    prefix = result.prefix
    return {name.removeprefix(prefix): each for name, each in weights.items() if name.startswith(prefix)}


def _kept(folder: Path, result: Result) -> dict[str, Weight]:
    """The component's weights that stay as the initial directory has them."""
    if not result.keeps_weights:
        return {}
    return {name: each for name, each in weights_in(folder).items() if not name.startswith(result.replaced)}


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
