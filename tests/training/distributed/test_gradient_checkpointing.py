"""What is computed again changes no gradient, and `attention` runs the kernels of self-attention once."""

import warnings
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor
from torch._dynamo.utils import counters
from torch.utils._python_dispatch import TorchDispatchMode

from model import SoulTransformer3DModel
from tests.worlds.networks import blocks_of, random_inputs, random_soul
from training.distributed import trained_model
from training.distributed.gradient_checkpointing import (
    ATTENTION_KERNELS,
    GradientCheckpointing,
    NothingKeptWarning,
    checkpoint_gradients,
)
from training.distributed.ranks import join_ranks
from training.distributed.trained_model import OptimizerConfig, ParallelConfig, TrainedModel

LAYERS = 2
"""Each has three attentions: of the clip's tokens to each other, to the text and to the sound."""


class KernelCount(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts the runs of attention kernels: whether over all tokens of the clip, or others."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.runs: Counter[str] = Counter()

    def __torch_dispatch__(self, operator: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if operator.name() in ATTENTION_KERNELS:
            self.runs["self" if args[0].shape == args[1].shape else "other"] += 1
        return operator(*args, **(kwargs or {}))


def step(soul: SoulTransformer3DModel, inputs: dict[str, Tensor], precision: str) -> tuple[dict[str, Tensor], Any]:
    soul.zero_grad()
    with KernelCount() as count:
        with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bfloat16"):
            sample = soul(**inputs).sample
        sample.float().square().mean().backward()
    gradients: dict[str, Tensor] = {name: each.grad for name, each in soul.named_parameters() if each.grad is not None}
    return gradients, count.runs


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_gradients_are_the_same_bit_for_bit_and_self_attention_runs_once(precision: str) -> None:
    soul, inputs = random_soul(num_layers=LAYERS), random_inputs()
    expected, _ = step(soul, inputs, precision)
    runs = {}
    kinds: tuple[GradientCheckpointing, ...] = ("none", "full", "attention")
    for kind in kinds:
        checkpoint_gradients(soul, kind)
        gradients, runs[kind] = step(soul, inputs, precision)
        assert gradients.keys() == expected.keys() == dict(soul.named_parameters()).keys()
        for name, gradient in gradients.items():
            assert torch.equal(gradient, expected[name]), (kind, name)
    assert runs["none"] == {"self": LAYERS, "other": 2 * LAYERS}
    assert runs["full"] == {"self": 2 * LAYERS, "other": 4 * LAYERS}
    assert runs["attention"] == {"self": LAYERS, "other": 4 * LAYERS}


@pytest.fixture
def math_attention() -> Iterator[SoulTransformer3DModel]:
    soul = random_soul()
    soul.set_attention_backend("_native_math")
    yield soul
    soul.set_attention_backend("native")


def test_where_no_kernel_is_fused_it_says_once_that_nothing_is_kept(math_attention: SoulTransformer3DModel) -> None:
    checkpoint_gradients(math_attention, "attention")
    with pytest.warns(NothingKeptWarning, match="keeps nothing here and equals full"):
        step(math_attention, random_inputs(), "float32")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        step(math_attention, random_inputs(), "float32")


def test_torch_has_the_kernels() -> None:
    """A name that torch has no longer would never be kept, and nothing would say so."""
    for name in ATTENTION_KERNELS:
        package, _, operator = name.partition("::")
        if package == "aten":
            assert hasattr(torch.ops.aten, operator), name


def trained(parallel: ParallelConfig) -> tuple[list[float], int]:
    """The losses of two steps under DeepSpeed, and how often the first block ran."""
    torch.manual_seed(0)
    ranks, inputs = join_ranks(), random_inputs()
    soul = random_soul().train()
    runs: list[str] = []
    if parallel.compile == "none":
        # Inside compiled code, there is no counting.
        blocks_of(soul)[0].norm1.register_forward_pre_hook(lambda *_: runs.append("block"))
    model = TrainedModel(
        "model",
        soul.to(ranks.device),
        optimizer=OptimizerConfig(lr=1e-2, warmup_steps=0),
        parallel=parallel,
        ema=None,
        ranks=ranks,
        micro_batch=2,
        accumulation=1,
    )
    losses = []
    for number in range(2):
        loss = model.velocity(*(each.to(ranks.device) for each in inputs.values())).float().square().mean()
        model.backward(loss, step=number, total_steps=2)
        losses.append(loss.item())
    return losses, len(runs)


@pytest.mark.parametrize("zero_stage", [1, 2, 3])
def test_deepspeed_trains_alike_with_and_without(zero_stage: Any) -> None:
    layout = ParallelConfig(zero_stage=zero_stage, precision="float32", gradient_checkpointing="none", compile="none")
    expected, runs = trained(layout)
    assert runs == 2
    assert trained(replace(layout, gradient_checkpointing="attention")) == (expected, 4)
    assert len(set(expected)) == 2


@pytest.mark.slow
@pytest.mark.parametrize("zero_stage", [1, 2])
def test_deepspeed_trains_compiled_blocks(zero_stage: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("compiled", "compile_blocks"):
        real = getattr(trained_model, name)
        monkeypatch.setattr(trained_model, name, partial(real, backend="eager"))
    layout = ParallelConfig(zero_stage=zero_stage, gradient_checkpointing="attention", compile="none")
    expected, _ = trained(layout)
    torch._dynamo.reset()
    counters.clear()
    losses, _ = trained(replace(layout, compile="blocks"))
    assert losses == pytest.approx(expected, rel=1e-5)
    assert counters["stats"]["unique_graphs"] >= 1
    assert not counters["graph_break"]


def test_zero_3_has_no_compiled_blocks() -> None:
    with pytest.raises(ValueError, match="compile=blocks does not work with zero_stage=3"):
        ParallelConfig(zero_stage=3, compile="blocks")
    assert not ParallelConfig(zero_stage=3).compiles(torch.device("cuda"))
    assert not ParallelConfig().compiles(torch.device("cpu"))
