"""A step cache that may skip nothing changes no bit; one that may, skips blocks, each guidance branch on its own."""

import pytest
import torch
from torch import Tensor

from model import SoulTransformer3DModel
from model.generation.guidance import Condition, Guidance
from model.generation.sampling import CleanFrames, build_scheduler, denoise
from model.generation.step_cache import StepCache
from model.network.compilation import compile_blocks
from tests.worlds.networks import AUDIO, WAN, random_soul, relative_error

LAYERS, STEPS = 3, 8
BRANCHES = 3


@pytest.fixture
def soul() -> SoulTransformer3DModel:
    torch.manual_seed(0)
    return random_soul(num_layers=LAYERS)


@torch.no_grad()
def clip(soul: SoulTransformer3DModel, seed: int = 1) -> Tensor:
    """A clip under guidance, from noise and text of its own."""
    generator = torch.Generator().manual_seed(seed)

    def random(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator)

    sound = random(1, 3, AUDIO["audio_window"], AUDIO["audio_dim"])
    return denoise(
        soul,
        build_scheduler("unipc"),
        random(1, WAN["in_channels"], 3, 4, 4),
        CleanFrames(latents=random(1, WAN["in_channels"], 1, 4, 4)),
        condition=Condition(text=random(1, 5, WAN["text_dim"]), audio=sound),
        free_text=random(1, 5, WAN["text_dim"]),
        guidance=Guidance.of(3.0, 2.0),
        num_steps=STEPS,
        generator=generator,
        on_step=lambda _step: None,
    )


@pytest.mark.parametrize("cache", ["first-block:0", "taylor:1"])
def test_a_cache_that_skips_nothing_gives_the_same_clip_bit_for_bit(soul: SoulTransformer3DModel, cache: str) -> None:
    expected = clip(soul)
    with StepCache.parse(cache).enabled(soul) as runs:
        assert torch.equal(clip(soul), expected)
    assert (runs.forwards, runs.blocks) == (BRANCHES * STEPS, BRANCHES * STEPS * LAYERS)
    assert runs.skipped(LAYERS) == 0


@pytest.mark.parametrize(("cache", "error"), [("first-block:0.4", 0.5), ("taylor:3", 0.5)])
def test_blocks_are_skipped_for_an_error(soul: SoulTransformer3DModel, cache: str, error: float) -> None:
    expected = clip(soul)
    with StepCache.parse(cache).enabled(soul) as runs:
        assert 0 < relative_error(clip(soul), expected) < error
    assert 0 < runs.skipped(LAYERS) < 1
    assert torch.equal(clip(soul), expected)


def test_the_first_block_decides_for_all_others(soul: SoulTransformer3DModel) -> None:
    with StepCache.parse("first-block:1000").enabled(soul) as runs:
        clip(soul)
    # Each branch computes its first step; from the second on, the first block alone runs.
    assert runs.forwards == BRANCHES * STEPS
    assert runs.blocks == BRANCHES * (LAYERS + STEPS - 1)


@pytest.mark.parametrize("cache", ["first-block:1000", "taylor:3"])
def test_a_clip_takes_nothing_over_from_the_one_before(soul: SoulTransformer3DModel, cache: str) -> None:
    with StepCache.parse(cache).enabled(soul):
        expected = clip(soul)
        clip(soul, seed=2)
        assert torch.equal(clip(soul), expected)


def test_compiled_blocks_are_skipped_too(soul: SoulTransformer3DModel) -> None:
    compile_blocks(soul, backend="eager")
    with StepCache.parse("first-block:1000").enabled(soul) as runs:
        clip(soul)
    assert runs.blocks == BRANCHES * (LAYERS + STEPS - 1)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("second-block", "choose first-block"),
        ("first-block:x", "'x' is no number"),
        ("first-block:-1", "at least 0"),
        ("first-block:nan", "at least 0"),
        ("taylor:2.5", "whole number of steps"),
        ("taylor:0", "whole number of steps"),
    ],
)
def test_mistakes_are_one_line(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        StepCache.parse(text)


def test_values_may_be_left_out() -> None:
    assert str(StepCache.parse("first-block")) == "first-block:0.05"
    assert str(StepCache.parse("taylor")) == "taylor:3"
