"""What the student is trained on is what its sampler does."""

from collections import Counter
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from model.generation.guidance import Condition, Guidance
from model.generation.sampling import CleanFrames, build_scheduler, denoise, set_timesteps
from tests.worlds.made_batch import made_batch
from tests.worlds.networks import random_soul
from training.objectives.dmd.backward_simulation import draw_exit_step, simulate


def student_sigmas() -> Tensor:
    return set_timesteps(build_scheduler("few-step"), 4, "cpu")[1] / 1000


def test_student_steps() -> None:
    assert student_sigmas().tolist() == pytest.approx([1.0, 0.9375, 5 / 6, 0.625])


def test_all_steps_are_what_the_few_step_sampler_makes() -> None:
    soul, batch = random_soul(), made_batch((2,))

    def model(*inputs: Tensor) -> Tensor:
        velocity: Tensor = soul(*inputs, return_dict=False)[0]
        return velocity

    with torch.no_grad():
        x0 = simulate(batch, student_sigmas(), phase="x", exit_step=3, student=model, last=model)
        (generator,) = batch.random("x-simulation").generators
        sampled = denoise(
            soul,
            build_scheduler("few-step"),
            torch.randn(batch.latents.shape[1:], generator=generator)[None],
            CleanFrames(latents=batch.latents[:, :, :2]),
            condition=Condition(text=batch.text, audio=batch.audio),
            free_text=None,
            guidance=Guidance(),
            num_steps=4,
            generator=generator,
            on_step=lambda _step: None,
        )
    torch.testing.assert_close(x0, sampled, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("exit_step", range(4))
def test_it_stops_at_the_exit_step_and_clean_frames_stay(exit_step: int) -> None:
    soul, batch = random_soul(), made_batch((1, 3))
    clean = batch.clean[:, None, :, None, None].expand_as(batch.latents)
    seen: list[tuple[str, Tensor, Tensor]] = []

    def model(name: str) -> object:
        def velocity(*inputs: Tensor) -> Tensor:
            seen.append((name, inputs[0], inputs[1]))
            with torch.no_grad():
                values: Tensor = soul(*inputs, return_dict=False)[0]
            return values

        return velocity

    x0 = simulate(batch, student_sigmas(), phase="x", exit_step=exit_step, student=model("before"), last=model("last"))  # type: ignore[arg-type]
    assert [name for name, *_ in seen] == ["before"] * exit_step + ["last"]
    for sigma, (_, latents, timesteps) in zip(student_sigmas(), seen, strict=False):
        assert torch.equal(latents[clean], batch.latents[clean])
        assert torch.equal(timesteps, torch.where(batch.clean, 0.0, 1000 * sigma))
    assert torch.equal(x0[clean], batch.latents[clean])
    assert x0.dtype == torch.float32


def test_it_starts_from_noise_alone() -> None:
    batch = made_batch((1, 1))
    inputs: list[Tensor] = []

    def model(*given: Tensor) -> Tensor:
        inputs.append(given[0])
        return torch.zeros_like(given[0])

    other = replace(batch, latents=torch.where(batch.clean[:, None, :, None, None], batch.latents, 1e3))
    for each in (batch, other):
        simulate(each, student_sigmas(), phase="x", exit_step=0, student=model, last=model)
    assert torch.equal(*inputs)
    assert inputs[0][:, :, 1:].std().item() == pytest.approx(1, abs=0.1)


def test_exit_steps_are_uniform_and_known_to_everyone() -> None:
    drawn = [draw_exit_step(0, "generator", step, 4) for step in range(4000)]
    assert drawn == [draw_exit_step(0, "generator", step, 4) for step in range(4000)]
    assert drawn != [draw_exit_step(0, "critic", step, 4) for step in range(4000)]
    assert drawn != [draw_exit_step(1, "generator", step, 4) for step in range(4000)]
    counts = Counter(drawn)
    assert sorted(counts) == [0, 1, 2, 3]
    assert all(abs(count - 1000) < 150 for count in counts.values())
