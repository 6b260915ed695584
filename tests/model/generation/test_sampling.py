import pytest
import torch
from torch import Tensor

from model.generation.guidance import Condition, Guidance
from model.generation.sampling import CleanFrames, build_scheduler, denoise, set_timesteps
from tests.worlds.pipelines import OracleTransformer

SILENT, LOUD = torch.full((1, 48, 1, 1, 1), -0.5), torch.full((1, 48, 1, 1, 1), 0.5)


def sound(frames: int, loud: list[int]) -> Tensor:
    audio = torch.zeros(1, frames, 16, 8)
    audio[:, loud] = 1.0
    return audio


def run(oracle: OracleTransformer, scheduler: str = "unipc", *, steps: int = 4, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    noise = torch.randn(1, 48, 6, 2, 2, generator=generator)
    return denoise(
        oracle,
        build_scheduler(scheduler),
        noise,
        CleanFrames(latents=torch.full((1, 48, 3, 2, 2), 7.0)),
        condition=Condition(text=torch.zeros(1, 4, 8), audio=sound(6, [4])),
        free_text=None,
        guidance=Guidance(),
        num_steps=steps,
        generator=generator,
        on_step=lambda _step: None,
    )


@pytest.mark.parametrize("scheduler", ["unipc", "euler", "few-step"])
@pytest.mark.parametrize("steps", [1, 2, 4, 25, 300])
def test_every_sampler_reaches_an_exact_answer(scheduler: str, steps: int) -> None:
    latents = run(OracleTransformer(SILENT, LOUD), scheduler, steps=steps)
    expected = SILENT.expand(1, 48, 6, 2, 2).clone()
    expected[:, :, 4] = 0.5
    torch.testing.assert_close(latents[:, :, 3:], expected[:, :, 3:], rtol=0, atol=2e-3)


@pytest.mark.parametrize("scheduler", ["unipc", "euler", "few-step"])
def test_clean_frames_are_clean_before_every_forward_and_at_the_end(scheduler: str) -> None:
    oracle = OracleTransformer(SILENT, LOUD)
    latents = run(oracle, scheduler)
    assert len(oracle.calls) == 4
    for seen, timesteps, _, _ in oracle.calls:
        assert torch.equal(seen[:, :, :3], torch.full((1, 48, 3, 2, 2), 7.0))
        assert timesteps[:, :3].abs().sum() == 0
        assert timesteps[:, 3:].gt(0).all()
    assert torch.equal(latents[:, :, :3], torch.full((1, 48, 3, 2, 2), 7.0))


@pytest.mark.parametrize("scheduler", ["unipc", "euler", "few-step"])
def test_four_steps_are_those_of_the_distilled_student(scheduler: str) -> None:
    _, levels = set_timesteps(build_scheduler(scheduler), 4, "cpu")
    torch.testing.assert_close(levels, torch.tensor([1000, 937.5, 833.333, 625]), rtol=0, atol=0.01)


def test_few_step_noise_comes_from_the_generator() -> None:
    noisy = [run(OracleTransformer(SILENT, LOUD), "few-step", seed=seed) for seed in (0, 0, 1)]
    assert torch.equal(noisy[0], noisy[1])
    seen = [OracleTransformer(SILENT, LOUD) for _ in range(2)]
    for oracle in seen:
        run(oracle, "few-step", seed=3)
    assert torch.equal(seen[0].calls[2][0], seen[1].calls[2][0])


def test_bad_numbers_of_steps_and_names_are_refused() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        set_timesteps(build_scheduler("unipc"), 0, "cpu")
    with pytest.raises(ValueError, match="unknown scheduler 'ddim'"):
        build_scheduler("ddim")
