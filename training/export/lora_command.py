"""`python -m training export --lora`: what training has changed, as a LoRA for the network that it began with."""

from __future__ import annotations

import argparse
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import torch
from rich.console import Console
from rich.progress import track

from infra.config import ConfigError, persons_mistakes
from model.weights.wan_names import AUDIO_MODULES
from training.export.lora import LeftOut, LoraLayer, difference, is_audio
from training.export.lora_files import write_lora
from training.export.stored import newest
from training.weight_files import Weight, weights_in

COMPONENT = "transformer"


def run(options: argparse.Namespace) -> None:
    """Write the LoRA, and say how much of the difference it has.

    Raises:
        ConfigError: what was given does not go together.
        NotWrittenError: a file could not be written.
    """
    if options.lora < 1:
        raise ConfigError(f"--lora is a rank of at least 1, got {options.lora}")
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    with _trained(options) as (trained, base, what):
        print(f"reading  {what}, against {base}", flush=True)
        with persons_mistakes():
            before = weights_in(base)
        found = difference(trained, before, rank=options.lora, audio=options.audio, device=device)
        layers, left_out = _sorted(found, len(trained))
    if not layers:
        raise ConfigError(f"{what} has the very linear layers of {base}: there is nothing to write")
    total = sum(layer.energy for layer in layers)
    kept = sum(layer.energy * layer.kept for layer in layers) / total if total else 1.0
    about = {"rank": str(options.lora), "kept": f"{kept:.4f}", "base": base.parent.name, "made_by": "soul"}
    dtype: torch.dtype = getattr(torch, options.dtype or "bfloat16")
    for path in write_lora(options.out, layers, dtype, about):
        print(f"lora  {path} ({path.stat().st_size / 1e6:.1f} MB)")
    for line in describe(layers, left_out, options.lora):
        print(line)


def describe(layers: Sequence[LoraLayer], left_out: Sequence[LeftOut], rank: int) -> Iterator[str]:
    """Lines on how much of the difference a LoRA has, by kind of layer, and on what it does not have."""
    kinds: dict[str, list[LoraLayer]] = defaultdict(list)
    for layer in layers:
        kinds[_kind(layer.name)].append(layer)
    for kind, members in [("all linear layers", list(layers)), *sorted(kinds.items())]:
        total = sum(each.energy for each in members)
        kept = sum(each.energy * each.kept for each in members) / total if total else 1.0
        yield f"rank {rank} keeps {100 * kept:.2f} % of the difference of {kind} ({len(members)})"
    whole = sum(each.energy for each in layers) + sum(each.energy for each in left_out)
    others: dict[str, list[LeftOut]] = defaultdict(list)
    for each in left_out:
        others[_rest(each.name)].append(each)
    for rest, found in sorted(others.items()):
        share = sum(each.energy for each in found) / whole
        yield f"left out: {rest} ({len(found)} parameters, {100 * share:.2f} % of the whole difference)"


def _kind(name: str) -> str:
    """What a layer is, whichever block it is in."""
    parts = [part for part in name.split(".") if not part.isdigit()]
    return ".".join(part for part in parts if part not in {"blocks", "net"})


def _rest(name: str) -> str:
    """What a parameter belongs to that is left out."""
    if is_audio(name):
        return f"the audio layers {', '.join(sorted(AUDIO_MODULES))}"
    if "norm" in name:
        return "norms"
    return "modulation (scale_shift_table)" if name.endswith("scale_shift_table") else name.rpartition(".")[0]


def _sorted(found: Iterable[LoraLayer | LeftOut], total: int) -> tuple[list[LoraLayer], list[LeftOut]]:
    """Layers and the rest, with a bar on a terminal."""
    console = Console(stderr=True, markup=False, highlight=False, soft_wrap=True)
    layers: list[LoraLayer] = []
    left_out: list[LeftOut] = []
    for each in track(found, "decomposing", total=total, console=console, disable=not console.is_terminal):
        if isinstance(each, LoraLayer):
            layers.append(each)
        else:
            left_out.append(each)
    return layers, left_out


@contextmanager
def _trained(options: argparse.Namespace) -> Iterator[tuple[Mapping[str, Weight], Path, str]]:
    """The trained weights, the folder of those that they are compared with, and what the former are for people.

    Raises:
        ConfigError: neither or both of a checkpoint and a model directory were given, or there is no base.
    """
    if options.checkpoint is not None:
        with newest(options.checkpoint, averaged=not options.raw) as stored:
            component = stored.origin.result.component
            if component != COMPONENT:
                raise ConfigError(f"{stored.path} has trained the {component}: a LoRA is for the {COMPONENT}")
            base = options.base or stored.origin.initial.directory
            yield stored.weights, _component(base), str(stored.path)
        return
    if options.model is None or options.base is None:
        raise ConfigError("--lora takes --checkpoint, or the trained --model and its --base")
    with persons_mistakes():
        yield weights_in(_component(options.model)), _component(options.base), str(options.model)


def _component(directory: Path) -> Path:
    folder = directory / COMPONENT
    if not folder.is_dir():
        raise ConfigError(f"{directory} has no {COMPONENT}/: give a model directory with --base")
    return folder
