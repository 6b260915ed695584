"""Training as it is run: DeepSpeed's stages, the moving average, checkpoints, and a distillation's steps."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Final, Literal

import torch
from torch import Tensor

from bench.gpu_check.figure import Figure, reason
from bench.gpu_check.measuring import cost_of, free_memory, network_inputs, now
from bench.gpu_check.setting import Setting
from model.generation.sampling import build_scheduler, set_timesteps
from model.network.transformer import SoulTransformer3DModel
from model.pretrained.presets import build_transformer
from training.data.conditioning import Batch
from training.distributed.ema import EmaConfig, full_state_dict
from training.distributed.ranks import Ranks, join_ranks
from training.distributed.snapshot import HostCopies
from training.distributed.trained_model import OptimizerConfig, ParallelConfig, TrainedModel
from training.objectives.dmd.dmd import Dmd, DmdConfig
from training.objectives.dmd.teacher import PlacedTeacher, Placement
from training.objectives.flow_matching import FlowMatching, FlowMatchingConfig

LAYOUTS: Final[tuple[tuple[Literal[1, 2, 3], Literal["cpu", "model"]], ...]] = (
    *((1, "cpu"), (1, "model")),
    *((2, "model"), (3, "model")),
)
"""Stages of ZeRO, and where the average is kept."""
CHECKPOINTED: Final = 2
"""The stage whose checkpoint is written and read; those of the others hold the same."""
RISEN: Final = 1000
"""A step whose learning rate is past its rise."""
PLACEMENTS: Final[tuple[Placement, ...]] = ("resident", "offload", "zero3")


def measure(setting: Setting) -> Iterator[Figure]:
    """Steps of distillation, then of flow matching under each stage of ZeRO, 3 last."""
    ranks, batch = join_ranks(), _batch(setting)
    attempts: list[tuple[str, Callable[[], Iterator[Figure]]]] = [
        (f"distillation, teacher {placement}", partial(_distilled, setting, ranks, batch, placement))
        for placement in PLACEMENTS
    ]
    attempts += [
        (f"ZeRO-{stage}, average on {home}", partial(_trained, setting, ranks, batch, stage, home))
        for stage, home in LAYOUTS
    ]
    for what, attempt in attempts:
        try:
            yield from attempt()
        except Exception as error:  # noqa: BLE001 (one way that fails does not hide the others)
            yield Figure(what=what, missing=reason(error))
        free_memory(setting.device)


def _trained(
    setting: Setting, ranks: Ranks, batch: Batch, stage: Literal[1, 2, 3], home: Literal["cpu", "model"]
) -> Iterator[Figure]:
    what = f"ZeRO-{stage}, average on {home}"
    model = _model(setting, ranks, "transformer", stage, EmaConfig(device=home))
    objective = FlowMatching(model, FlowMatchingConfig())

    def step() -> None:
        objective.train_step([batch], step=0, total_steps=1)

    cost = cost_of(step, setting)
    ema = model.ema
    assert ema is not None
    update_s = cost_of(lambda: ema.update(0), setting).seconds
    before = full_state_dict(model.module, ranks)
    started = now(setting.device)
    with ema.swapped_in():
        swap_s = now(setting.device) - started
    after = full_state_dict(model.module, ranks)
    restored = all(torch.equal(before[name], after[name]) for name in before)
    yield Figure(
        what=f"{what}: step of {setting.zero_blocks} blocks",
        seconds=cost.seconds,
        peak_gb=cost.peak_gb,
        also={"update_of_average_s": round(update_s, 4), "swap_s": round(swap_s, 4), "weights_restored": restored},
    )
    if stage == CHECKPOINTED:
        yield from _checkpoint(setting, ranks, model, batch, what)


def _checkpoint(setting: Setting, ranks: Ranks, model: TrainedModel, batch: Batch, what: str) -> Iterator[Figure]:
    resumed = _model(setting, ranks, "transformer", CHECKPOINTED, EmaConfig(device="model"))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        started = now(setting.device)
        model.save(folder)
        saved = now(setting.device)
        resumed.load(folder)
        loaded = now(setting.device)
        copies = HostCopies()
        copies.take(model.snapshot())
        again = now(setting.device)
        copies.take(model.snapshot())
        copied = now(setting.device)
        num_bytes = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    yield Figure(
        what=f"{what}: checkpoint",
        seconds=saved - started,
        also={
            "file_gb": round(num_bytes / 1e9, 2),
            "load_s": round(loaded - saved, 2),
            "copy_to_host_s": round(copied - again, 3),
        },
    )
    before = _weights(model)
    for each in (model, resumed):
        FlowMatching(each, FlowMatchingConfig()).train_step([batch], step=RISEN, total_steps=2 * RISEN)
    yield Figure(
        what=f"{what}: a step after resuming",
        error=float((_weights(resumed) - _weights(model)).norm() / (_weights(model) - before).norm()),
        reference="the same step without",
    )


def _weights(model: TrainedModel) -> Tensor:
    return torch.cat([parameter.detach().flatten() for parameter in model.module.parameters()])


def _distilled(setting: Setting, ranks: Ranks, batch: Batch, placement: Placement) -> Iterator[Figure]:
    student, critic = (_model(setting, ranks, name, 2, None) for name in ("student", "critic"))
    # DeepSpeed shares out fp32 only.
    dtype = torch.float32 if placement == "zero3" else torch.bfloat16
    teacher = PlacedTeacher(_network(setting).to(dtype), placement, ParallelConfig(), ranks)
    _, levels = set_timesteps(build_scheduler("few-step"), 4, setting.device)
    objective = Dmd(student, critic, teacher, DmdConfig(critic_updates=1), sigmas=levels / 1000, seed=0)

    def step() -> None:
        objective.train_step([batch], step=0, total_steps=1)

    cost = cost_of(step, setting)
    yield Figure(
        what=f"distillation, teacher {placement}: updates of student and critic, {setting.zero_blocks} blocks each",
        seconds=cost.seconds,
        peak_gb=cost.peak_gb,
        also={"forwards": objective.forwards},
    )


def _model(setting: Setting, ranks: Ranks, name: str, stage: Literal[1, 2, 3], ema: EmaConfig | None) -> TrainedModel:
    return TrainedModel(
        name,
        _network(setting).train(),
        optimizer=OptimizerConfig(),
        parallel=ParallelConfig(zero_stage=stage),
        ema=ema,
        ranks=ranks,
        micro_batch=1,
        accumulation=1,
    )


def _network(setting: Setting) -> SoulTransformer3DModel:
    with torch.device(setting.device):
        return build_transformer(setting.with_blocks(setting.zero_blocks))


def _batch(setting: Setting) -> Batch:
    latents, timesteps, text, audio = network_inputs(setting, setting.clips[0], torch.float32)
    return Batch(
        latents=latents,
        clean=timesteps == 0,
        text=text,
        audio=audio,
        free_text=torch.zeros_like(text[0]),
        weights=torch.ones(1, device=setting.device),
        numbers=(0,),
        seed=0,
    )
