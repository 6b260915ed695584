"""What is computed again changes no gradient, and `attention` runs the kernels of self-attention once."""

import warnings
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from model import SoulTransformer3DModel
from tests.worlds.networks import blocks_of, random_inputs, random_soul
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


class KernelCount(TorchDispatchMode):
    """Counts the runs of attention kernels: whether over all tokens of the clip, or others."""

    def __init__(self) -> None:
        super().__init__()
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


@pytest.mark.parametrize("zero_stage", [1, 2, 3])
def test_deepspeed_trains_alike_with_and_without(zero_stage: Any) -> None:
    losses = {}
    kinds: tuple[GradientCheckpointing, ...] = ("none", "attention")
    for kind in kinds:
        torch.manual_seed(0)
        soul, inputs = random_soul().train(), random_inputs()
        block_runs = Counter[str]()
        blocks_of(soul)[0].register_forward_pre_hook(lambda *_, runs=block_runs: runs.update(["block"]))
        model = TrainedModel(
            "model",
            soul.to(join_ranks().device),
            optimizer=OptimizerConfig(lr=1e-2, warmup_steps=0),
            parallel=ParallelConfig(zero_stage=zero_stage, precision="float32", gradient_checkpointing=kind),
            ema=None,
            ranks=join_ranks(),
            micro_batch=2,
            accumulation=1,
        )
        losses[kind] = []
        for number in range(2):
            loss = model.velocity(*(each.to(model.ranks.device) for each in inputs.values())).square().mean()
            model.backward(loss, step=number, total_steps=2)
            losses[kind].append(float(loss))
        assert block_runs["block"] == (2 if kind == "none" else 4)
    assert losses["attention"] == losses["none"]
    assert len(set(losses["none"])) == 2
