"""Distribution matching where the scores are known: data and student are Gaussians."""

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from model.generation.guidance import Guidance
from tests.worlds.made_batch import made_batch
from training.data.conditioning import Batch
from training.objectives.dmd import loss as dmd_loss
from training.objectives.dmd.loss import (
    ConditionedModel,
    conditional,
    distance_to_real,
    draw_score_sigmas,
    generator_loss,
    guided,
    matching_gradient,
    predict_x0,
)
from training.objectives.flow_matching import FlowMatchingConfig, flow_matching_loss

REAL_MEAN, REAL_VARIANCE = 2.0, 0.25
FAKE_MEAN, FAKE_VARIANCE = -0.5, 1.5
SIGMAS = torch.tensor([0.2, 0.5, 0.8, 0.95])
CLEAN = (1, 3, 1, 2)


def gaussian(mean: float | Tensor, variance: float | Tensor) -> ConditionedModel:
    """The exact velocity where every number of the clips is N(mean, variance)."""

    def velocity(noisy_latents: Tensor, timesteps: Tensor) -> Tensor:
        sigma = timesteps.amax(dim=1)[:, None, None, None, None] / 1000
        gain = (1 - sigma) * variance / ((1 - sigma) ** 2 * variance + sigma**2)
        x0 = mean + gain * (noisy_latents - (1 - sigma) * mean)
        return (noisy_latents - x0) / sigma

    return velocity


def gradient_of(x0: Tensor, batch: Batch, noise: Tensor) -> Tensor:
    """Gradient of the generator loss with respect to x₀."""
    x0 = x0.clone().requires_grad_()
    given = {"noise": noise, "sigmas": SIGMAS, "clean": batch.clean}
    real = predict_x0(gaussian(REAL_MEAN, REAL_VARIANCE), x0, **given)
    fake = predict_x0(gaussian(FAKE_MEAN, FAKE_VARIANCE), x0, **given)
    matching = matching_gradient(x0, real=real, fake=fake, clean=batch.clean)
    (gradient,) = torch.autograd.grad(generator_loss(x0, batch, matching).loss, x0)
    return gradient


def analytic_gradient(x0: Tensor, batch: Batch, noise: Tensor) -> Tensor:
    """σ²/(1 − σ) · (s_fake − s_real), the scores in closed form, over the distance of x₀ from its real mean."""
    gradient = torch.zeros_like(x0, dtype=torch.float64)
    for sample, sigma in enumerate(SIGMAS.double()):
        free = ~batch.clean[sample]
        clip, draws = x0[sample, :, free].double(), noise[sample, :, free].double()
        noisy = (1 - sigma) * clip + sigma * draws

        def score(mean: float, variance: float, noisy: Tensor = noisy, sigma: Tensor = sigma) -> Tensor:
            return -(noisy - (1 - sigma) * mean) / ((1 - sigma) ** 2 * variance + sigma**2)

        real, fake = score(REAL_MEAN, REAL_VARIANCE), score(FAKE_MEAN, FAKE_VARIANCE)
        distance = (clip - (noisy + sigma**2 * real) / (1 - sigma)).abs().mean()
        step = sigma**2 / (1 - sigma) * (fake - real) / distance
        gradient[sample, :, free] = step * batch.weights[sample] / (len(x0) * step.numel())
    return gradient


def check_gradient() -> None:
    batch = replace(made_batch(CLEAN, channels=2), weights=torch.tensor([1.0, 1.0, 0.5, 2.0]))
    # Samples of very different sizes, as early and late noise levels give them.
    x0 = batch.latents * torch.tensor([0.5, 1.0, 3.0, 10.0])[:, None, None, None, None]
    noise = batch.random("noise").normal(*x0.shape[1:])
    torch.testing.assert_close(
        gradient_of(x0, batch, noise).double(), analytic_gradient(x0, batch, noise), rtol=1e-4, atol=1e-6
    )


def test_gradient_is_the_analytic_one() -> None:
    check_gradient()


def test_a_normaliser_of_the_whole_batch_would_be_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    per_sample = dmd_loss.distance_to_real
    monkeypatch.setattr(dmd_loss, "distance_to_real", lambda *inputs: per_sample(*inputs).mean().expand(len(inputs[0])))
    with pytest.raises(AssertionError, match="not close"):
        check_gradient()


def test_a_normaliser_over_clean_frames_too_would_be_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dmd_loss, "distance_to_real", lambda x0, real, _: (x0 - real).abs().mean(dim=(1, 2, 3, 4)))
    with pytest.raises(AssertionError, match="not close"):
        check_gradient()


def test_clean_frames_get_no_gradient_and_have_no_part_in_it() -> None:
    batch = made_batch(CLEAN)
    clean = batch.clean[:, None, :, None, None].expand_as(batch.latents)
    real, fake = (batch.random(name).normal(*batch.latents.shape[1:]) for name in ("real", "fake"))

    def gradient(real: Tensor, fake: Tensor) -> Tensor:
        x0 = batch.latents.clone().requires_grad_()
        matching = matching_gradient(x0, real=real, fake=fake, clean=batch.clean)
        (values,) = torch.autograd.grad(generator_loss(x0, batch, matching).loss, x0)
        return values

    expected = gradient(real, fake)
    assert expected[clean].eq(0).all()
    assert expected[~clean].ne(0).all()
    for value in (1e6, float("nan"), float("inf")):
        assert torch.equal(gradient(real.masked_fill(clean, value), fake.masked_fill(clean, -value)), expected)


def test_where_the_teacher_changes_nothing_there_is_no_gradient() -> None:
    batch = made_batch((1, 1))
    # 1 / 0, −1 / 0 and 0 / 0.
    for offset in (1, -1, 0):
        matching = matching_gradient(batch.latents, real=batch.latents, fake=batch.latents + offset, clean=batch.clean)
        assert matching.gradient.eq(0).all()
        assert matching.size.eq(0).all()


def test_gradient_size_normaliser_and_loss_have_known_values() -> None:
    batch = replace(made_batch((1, 2)), weights=torch.tensor([2.0, 1.0]))
    x0, clean = torch.zeros_like(batch.latents), batch.clean
    real = torch.tensor([0.5, 4.0])[:, None, None, None, None].expand_as(x0)
    matching = matching_gradient(x0, real=real, fake=torch.full_like(x0, 1.0), clean=clean)
    # (1 − 0.5) / 0.5 and (1 − 4) / 4 on the frames to be predicted.
    assert matching.gradient.amax(dim=(1, 3, 4)).tolist() == [[0, 1, 1, 1], [0, 0, -0.75, -0.75]]
    assert matching.gradient.amin(dim=(1, 3, 4)).tolist() == [[0, 1, 1, 1], [0, 0, -0.75, -0.75]]
    assert matching.size.tolist() == [1.0, 0.75]
    assert matching.normaliser.tolist() == [0.5, 4.0]
    result = generator_loss(x0.clone().requires_grad_(), batch, matching)
    assert result.per_sample.tolist() == [0.5, 0.28125]
    assert not result.per_sample.requires_grad
    assert result.loss.item() == (2 * 0.5 + 0.28125) / 2
    assert result.matching is matching


def test_what_the_teacher_moves_a_clip_by_falls_with_its_error_and_rises_with_its_spread() -> None:
    batch = made_batch((1,) * 4, channels=2)
    given = {"noise": batch.random("noise").normal(*batch.latents.shape[1:]), "sigmas": SIGMAS, "clean": batch.clean}

    def distance(mean: float, deviation: float) -> float:
        x0 = mean + deviation * batch.latents
        real = predict_x0(gaussian(REAL_MEAN, REAL_VARIANCE), x0, **given)
        return float(distance_to_real(x0, real, batch.clean).mean())

    deviation = REAL_VARIANCE**0.5
    assert distance(REAL_MEAN - 2, deviation) > 2 * distance(REAL_MEAN, deviation)
    # The teacher's own clips are not where it is lowest: duller ones score lower.
    spreads = [distance(REAL_MEAN, share * deviation) for share in (0.0, 0.5, 1.0, 1.5)]
    assert spreads == sorted(spreads)
    assert spreads[0] < 0.9 * spreads[2]


def test_training_converges_to_the_target() -> None:
    """Student and critic are Gaussians with two numbers each, and start elsewhere; the critic only sees the student."""
    student, critic = (torch.tensor(start, requires_grad=True) for start in ([-1.0, 0.5], [0.0, 0.0]))
    optimizers = [torch.optim.Adam([each], lr=lr, betas=(0.0, 0.999)) for each, lr in ((student, 0.04), (critic, 0.05))]
    template = made_batch((1,) * 16, channels=2)

    def make(step: int) -> tuple[Batch, Tensor]:
        batch = replace(template, numbers=tuple(range(step * 16, step * 16 + 16)))
        noise = batch.random("student").normal(*batch.latents.shape[1:])
        return batch, student[0] + student[1].exp() * noise

    for step in range(900):
        batch, x0 = make(step)
        sigmas = draw_score_sigmas(batch.random("level"), shift=5.0, lowest=0.02, highest=0.98)
        if step % 5 == 0:
            given = {"noise": batch.random("score").normal(*x0.shape[1:]), "sigmas": sigmas, "clean": batch.clean}
            real = predict_x0(gaussian(REAL_MEAN, REAL_VARIANCE), x0, **given)
            fake = predict_x0(gaussian(critic[0], (2 * critic[1]).exp()), x0, **given)
            matching = matching_gradient(x0, real=real, fake=fake, clean=batch.clean)
            optimizers[0].zero_grad()
            generator_loss(x0, batch, matching).loss.backward()  # type: ignore[no-untyped-call]
            optimizers[0].step()
        velocity = gaussian(critic[0], (2 * critic[1]).exp())

        def model(noisy: Tensor, timesteps: Tensor, *_told: Tensor, velocity: ConditionedModel = velocity) -> Tensor:
            return velocity(noisy, timesteps)

        optimizers[1].zero_grad()
        given_x0 = replace(batch, latents=x0.detach())
        flow_matching_loss(model, given_x0, FlowMatchingConfig(), sigmas=sigmas).loss.backward()  # type: ignore[no-untyped-call]
        optimizers[1].step()
    mean, deviation = student[0].item(), student[1].exp().item()
    assert mean == pytest.approx(REAL_MEAN, abs=0.08)
    assert deviation == pytest.approx(REAL_VARIANCE**0.5, abs=0.08)


def test_guidance_goes_from_without_text_and_audio_to_with_them() -> None:
    batch = made_batch((1, 2))
    told: list[tuple[Tensor, Tensor]] = []

    def model(noisy_latents: Tensor, told_timesteps: Tensor, text: Tensor, audio: Tensor) -> Tensor:
        assert told_timesteps is timesteps
        told.append((text, audio))
        return noisy_latents * 0 + text.mean() + audio.mean()

    with_conditions, without = batch.text.mean() + batch.audio.mean(), batch.free_text.mean()
    timesteps = torch.zeros(2, 4)
    velocity = guided(model, batch, Guidance.of(4.0))(batch.latents, timesteps)
    torch.testing.assert_close(velocity.mean(), without + 4 * (with_conditions - without))
    assert torch.equal(told[1][0][0], batch.free_text)
    assert told[1][1].eq(0).all()
    told.clear()
    torch.testing.assert_close(guided(model, batch, Guidance())(batch.latents, timesteps).mean(), with_conditions)
    assert len(told) == 1


def test_a_network_without_guidance_is_told_text_and_audio() -> None:
    batch = made_batch((1, 2))
    timesteps = torch.zeros(2, 4)

    def model(*inputs: Tensor) -> Tensor:
        for told, expected in zip(inputs, (batch.latents, timesteps, batch.text, batch.audio), strict=True):
            assert told is expected
        return batch.latents + 1

    assert torch.equal(conditional(model, batch)(batch.latents, timesteps), batch.latents + 1)


@pytest.mark.parametrize(("uniform", "expected"), [(0.0, 0.02), (0.5, 5 / 6), (1.0, 0.98)])
def test_score_levels_are_shifted_then_clamped(uniform: float, expected: float) -> None:
    class Fixed:
        uniform: Callable[[], Tensor] = staticmethod(lambda: torch.tensor([uniform]))

    sigmas = draw_score_sigmas(Fixed(), shift=5.0, lowest=0.02, highest=0.98)  # type: ignore[arg-type]
    assert sigmas.item() == pytest.approx(expected)
