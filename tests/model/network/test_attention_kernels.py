"""The choice of an attention kernel on a CPU, which has torch's alone, and on devices that are made up."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from diffusers.models.attention_dispatch import AttentionBackendName

from model import SoulTransformer3DModel
from model.network import attention_kernels
from model.network.attention_kernels import use_attention
from tests.worlds.networks import random_inputs, random_soul, relative_error

CPU = torch.device("cpu")
GPU = torch.device("cuda")


def backends_of(soul: SoulTransformer3DModel) -> set[str]:
    return {processor._attention_backend.value for processor in soul.attn_processors.values()}


def test_on_a_cpu_torch_chooses_and_its_choice_is_told() -> None:
    soul = random_soul()
    assert use_attention(soul, "auto", CPU, torch.float32, trained=True) == "torch's FlashAttention"
    assert backends_of(soul) == {"native"}


@torch.no_grad()
def test_a_kernel_that_was_asked_for_is_used_by_this_network_alone() -> None:
    soul, other, inputs = random_soul(), random_soul(), random_inputs()
    expected = soul(**inputs).sample
    assert use_attention(soul, "_native_math", CPU, torch.float32, trained=True) == "_native_math"
    assert backends_of(soul) == {"_native_math"}
    assert relative_error(soul(**inputs).sample, expected) < 1e-5
    with torch.profiler.profile() as profile:
        other(**inputs)
    assert any("flash" in event.key for event in profile.key_averages())


@pytest.mark.parametrize(
    ("choice", "message"),
    [
        ("nonsense", "^attention nonsense: there is no such backend; what works here: native$"),
        ("flash", "^attention flash: .*flash-attn.*; what works here: native$"),
        ("_native_cudnn", "^attention _native_cudnn: .*; what works here: native$"),
    ],
)
def test_what_does_not_work_is_one_line_with_what_does(choice: str, message: str) -> None:
    soul = random_soul()
    with pytest.raises(ValueError, match=message):
        use_attention(soul, choice, CPU, torch.float32, trained=False)
    assert backends_of(soul) == {"native"}


@pytest.fixture
def made_up_gpu(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """A GPU of a capability on which some backends work: their packages are there, and their kernels give zeros."""

    def make(capability: tuple[int, int], *working: str) -> None:
        def attend(query: torch.Tensor, *_states: torch.Tensor, backend: AttentionBackendName) -> torch.Tensor:
            if backend.value not in working:
                raise RuntimeError("no kernel image is available")
            return query * 0

        zeros = torch.zeros

        def on_cpu(*shape: Any, device: object = None, **kwargs: Any) -> torch.Tensor:
            assert device in {None, GPU}
            return zeros(*shape, **kwargs)

        monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _device: capability)
        monkeypatch.setattr(torch, "zeros", on_cpu)
        monkeypatch.setattr(attention_kernels, "dispatch_attention_fn", attend)
        for package in ("_CAN_USE_FLASH_ATTN", "_CAN_USE_FLASH_ATTN_3"):
            monkeypatch.setattr(f"diffusers.models.attention_dispatch.{package}", True)

    return make


@pytest.mark.parametrize(
    ("capability", "working", "chosen"),
    [
        ((9, 0), ("_flash_3", "_native_cudnn", "flash", "native"), "FlashAttention 3"),
        ((9, 0), ("_native_cudnn", "flash", "native"), "cuDNN"),
        ((9, 0), ("flash", "native"), "FlashAttention 2"),
        ((8, 0), ("_native_cudnn", "flash", "native"), "FlashAttention 2"),
        ((8, 0), ("_native_cudnn", "native"), "torch's FlashAttention"),
    ],
)
def test_the_fastest_that_works_is_chosen(
    made_up_gpu: Callable[..., None], capability: tuple[int, int], working: tuple[str, ...], chosen: str
) -> None:
    made_up_gpu(capability, *working)
    assert use_attention(random_soul(), "auto", GPU, torch.bfloat16, trained=True) == chosen


def test_cudnn_is_left_to_torch_where_torch_chooses_it(
    made_up_gpu: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    made_up_gpu((9, 0), "_native_cudnn", "flash", "native")
    monkeypatch.setattr(torch, "_fused_sdp_choice", lambda *_states: 3)
    soul = random_soul()
    assert use_attention(soul, "auto", GPU, torch.bfloat16, trained=True) == "cuDNN"
    assert backends_of(soul) == {"native"}


def test_nothing_slower_stands_in_for_what_was_asked_for(made_up_gpu: Callable[..., None]) -> None:
    made_up_gpu((9, 0), "_native_cudnn", "native")
    message = "^attention flash: no kernel image is available; what works here: _native_cudnn, native$"
    with pytest.raises(ValueError, match=message):
        use_attention(random_soul(), "flash", GPU, torch.bfloat16, trained=True)


def test_sound_and_text_are_tried_too(monkeypatch: pytest.MonkeyPatch) -> None:
    shapes: list[tuple[Any, Any]] = []

    def attend(query: torch.Tensor, key: torch.Tensor, _value: torch.Tensor, **_kwargs: Any) -> torch.Tensor:
        shapes.append((query.shape[1], key.shape[1]))
        return query * 0

    monkeypatch.setattr(attention_kernels, "dispatch_attention_fn", attend)
    use_attention(random_soul(), "native", CPU, torch.float32, trained=False)
    assert shapes == [(256, 256), (256, 512), (256, 12)]
