"""The objective, beside a training step written as one would with diffusers alone."""

from dataclasses import replace
from typing import cast

import pytest
import torch
from diffusers import WanTransformer3DModel
from torch import Tensor

from model.generation.sampling import build_scheduler, set_timesteps
from tests.worlds.networks import WAN, backbone_of, random_soul, random_wan
from training.data.conditioning import Batch
from training.distributed.trained_model import TrainedModel
from training.monitoring.metrics import Averages
from training.objectives.flow_matching import (
    FlowMatching,
    FlowMatchingConfig,
    FlowMatchingLoss,
    add_noise,
    flow_matching_loss,
    log_by_noise_level,
    per_sample_error,
    shifted,
)


class Still:
    """Stands where a trained network does: its velocity is 0; keeps what it is asked and told."""

    grad_norm, lr = 3.5, 0.25

    def __init__(self) -> None:
        self.losses: list[float] = []
        self.steps: list[tuple[int, int]] = []
        self.asked: list[tuple[Tensor, ...]] = []

    def velocity(self, *inputs: Tensor) -> Tensor:
        self.asked.append(inputs)
        return torch.zeros_like(inputs[0])

    predict = velocity

    def backward(self, loss: Tensor, *, step: int, total_steps: int) -> None:
        self.losses.append(loss.item())
        self.steps.append((step, total_steps))


def batch_of(clean_frames: int, *, size: int = 3, audio: bool = False) -> Batch:
    generator = torch.Generator().manual_seed(0)
    clean = (torch.arange(5) < clean_frames).expand(size, 5)
    sound = torch.randn(size, 5, 12, 10, generator=generator) if audio else torch.zeros(size, 5, 12, 10)
    return Batch(
        latents=torch.randn(size, WAN["in_channels"], 5, 8, 4, generator=generator),
        clean=clean,
        text=torch.randn(size, 7, WAN["text_dim"], generator=generator),
        audio=sound,
        free_text=torch.zeros(7, WAN["text_dim"]),
        weights=torch.ones(size),
        numbers=tuple(range(size)),
        seed=5,
    )


def diffusers_step(wan: WanTransformer3DModel, latents: Tensor, text: Tensor, noise: Tensor, u: Tensor) -> Tensor:
    """Flow matching as any diffusers script writes it: shift the noise level, mix, predict, mean squared error."""
    sigma = 5.0 * u / (1.0 + 4.0 * u)
    mixed = torch.lerp(latents, noise, sigma.view(-1, 1, 1, 1, 1))
    predicted = wan(hidden_states=mixed, timestep=sigma * 1000, encoder_hidden_states=text, return_dict=False)[0]
    return torch.nn.functional.mse_loss(predicted, noise - latents)


def test_loss_and_gradients_are_those_of_a_stock_diffusers_step() -> None:
    torch.manual_seed(1)
    wan = random_wan().train()
    soul = backbone_of(wan).train()
    batch = batch_of(clean_frames=0)
    random = batch.random("flow-matching")
    noise, u = random.normal(*batch.latents.shape[1:]), random.uniform()
    expected = diffusers_step(wan, batch.latents, batch.text, noise, u)
    expected.backward()  # type: ignore[no-untyped-call]
    ours = flow_matching_loss(lambda *inputs: soul(*inputs, return_dict=False)[0], batch, FlowMatchingConfig()).loss
    ours.backward()  # type: ignore[no-untyped-call]
    torch.testing.assert_close(ours, expected, rtol=1e-5, atol=0)
    gradients = {name: parameter.grad for name, parameter in soul.named_parameters()}
    for name, parameter in wan.named_parameters():
        ours_of, theirs = gradients[name], parameter.grad
        assert ours_of is not None
        assert theirs is not None
        torch.testing.assert_close(ours_of, theirs, rtol=1e-4, atol=1e-6 * float(theirs.abs().max() + 1))


def test_clean_frames_are_neither_noised_nor_in_the_loss() -> None:
    soul, batch = random_soul().train(), batch_of(clean_frames=3, audio=True)
    seen: list[tuple[Tensor, Tensor]] = []

    def model(*inputs: Tensor) -> Tensor:
        seen.append((inputs[0], inputs[1]))
        velocity: Tensor = soul(*inputs, return_dict=False)[0]
        velocity.retain_grad()
        predictions.append(velocity)
        return velocity

    predictions: list[Tensor] = []
    flow_matching_loss(model, batch, FlowMatchingConfig()).loss.backward()  # type: ignore[no-untyped-call]
    latents, timesteps = seen[0]
    assert torch.equal(latents[:, :, :3], batch.latents[:, :, :3])
    assert timesteps[:, :3].eq(0).all()
    assert timesteps[:, 3:].gt(0).all()
    gradient = predictions[0].grad
    assert gradient is not None
    assert gradient[:, :, :3].eq(0).all()
    assert gradient[:, :, 3:].ne(0).all()


def test_a_filler_of_weight_zero_changes_nothing() -> None:
    soul, batch = random_soul().train(), batch_of(clean_frames=1)
    weighted = replace(batch, weights=torch.tensor([1.5, 1.5, 0.0]))
    pair = replace(
        batch,
        latents=batch.latents[:2],
        clean=batch.clean[:2],
        text=batch.text[:2],
        audio=batch.audio[:2],
        weights=batch.weights[:2],
        numbers=batch.numbers[:2],
    )
    losses = [
        flow_matching_loss(lambda *inputs: soul(*inputs, return_dict=False)[0], each, FlowMatchingConfig()).loss
        for each in (weighted, pair)
    ]
    torch.testing.assert_close(*losses)


def test_noise_levels_are_shifted_towards_pure_noise() -> None:
    u = torch.linspace(0, 1, 5)
    assert shifted(u, 5.0).tolist() == torch.tensor([0, 0.625, 5 / 6, 0.9375, 1.0]).tolist()
    assert torch.equal(shifted(u, 1.0), u)


def test_a_distilled_network_is_trained_at_the_levels_of_its_sampler_alone() -> None:
    _, levels = set_timesteps(build_scheduler("few-step"), 4, "cpu")
    drawn = FlowMatchingConfig(steps=4).sigmas(torch.linspace(0, 1, 401)[:-1])
    values, counts = torch.unique(drawn, return_counts=True)
    torch.testing.assert_close(1000 * values.flip(0), levels)
    assert set(counts.tolist()) == {100}
    with pytest.raises(ValueError, match="must not be negative"):
        FlowMatchingConfig(steps=-1)


def test_noise_at_the_ends() -> None:
    latents, noise = torch.ones(2, 1, 2, 1, 1), torch.zeros(2, 1, 2, 1, 1)
    clean = torch.tensor([[True, False], [False, False]])
    noisy, timesteps = add_noise(latents, noise, torch.tensor([1.0, 0.25]), clean)
    assert noisy.flatten(1).tolist() == [[1.0, 0.0], [0.75, 0.75]]
    assert timesteps.tolist() == [[0.0, 1000.0], [250.0, 250.0]]


def test_clean_frames_are_put_back_and_all_others_mixed() -> None:
    latents, noise = torch.full((1, 1, 2, 1, 1), 2.0), torch.full((1, 1, 2, 1, 1), 8.0)
    noisy, _ = add_noise(latents, noise, torch.tensor([0.25]), torch.tensor([[True, False]]))
    assert noisy.flatten().tolist() == [2.0, 0.75 * 2 + 0.25 * 8]


def test_the_error_is_the_mean_square_over_the_frames_to_be_predicted() -> None:
    prediction, target = torch.ones(2, 3, 4, 2, 5, dtype=torch.bfloat16), torch.full((2, 3, 4, 2, 5), 0.5)
    target[:, :, 0] = 100
    target[1, :, 2] = 3
    mask = torch.tensor([[0.0, 1, 1, 1], [0, 0, 1, 1]])[:, None, :, None, None]
    error = per_sample_error(prediction, target, mask)
    assert error.tolist() == [0.25, (4 + 0.25) / 2]
    assert error.dtype == torch.float32


def test_the_loss_of_given_noise_levels_is_known() -> None:
    batch, model = replace(batch_of(clean_frames=2, audio=True), weights=torch.tensor([2.0, 1.0, 0.0])), Still()
    sigmas = torch.tensor([0.25, 0.5, 0.75])
    result = flow_matching_loss(model.velocity, batch, FlowMatchingConfig(), sigmas=sigmas)
    noise = batch.random("flow-matching").normal(*batch.latents.shape[1:])
    expected = (noise - batch.latents)[:, :, 2:].square().mean(dim=(1, 2, 3, 4))
    torch.testing.assert_close(result.per_sample, expected)
    torch.testing.assert_close(result.loss, (2 * expected[0] + expected[1]) / 3)
    assert result.sigmas is sigmas
    ((noisy_latents, timesteps, text, audio),) = model.asked
    assert torch.equal(noisy_latents, add_noise(batch.latents, noise, sigmas, batch.clean)[0])
    assert timesteps.tolist() == [[0, 0, level, level, level] for level in (250, 500, 750)]
    assert text is batch.text
    assert audio is batch.audio


def test_noise_and_noise_levels_are_those_of_the_draws() -> None:
    batch = batch_of(clean_frames=1)
    result = flow_matching_loss(Still().velocity, batch, FlowMatchingConfig(shift=3.0))
    random = batch.random("flow-matching")
    noise = random.normal(*batch.latents.shape[1:])
    assert torch.equal(result.sigmas, shifted(random.uniform(), 3.0))
    torch.testing.assert_close(result.per_sample, (noise - batch.latents)[:, :, 1:].square().mean(dim=(1, 2, 3, 4)))


def test_a_step_differentiates_each_micro_batch_and_logs_their_mean() -> None:
    batches = [replace(batch_of(clean_frames=1), numbers=numbers) for numbers in ((0, 1, 2), (3, 4, 5))]
    model, config = Still(), FlowMatchingConfig(shift=2.0)
    objective = FlowMatching(cast("TrainedModel", model), config)
    means = objective.train_step(batches, step=7, total_steps=100).means()
    results = [flow_matching_loss(Still().velocity, batch, config) for batch in batches]
    expected = Averages()
    for batch, result in zip(batches, results, strict=True):
        log_by_noise_level(expected, result, batch.weights)
    assert model.losses == [result.loss.item() for result in results]
    assert model.steps == [(7, 100), (7, 100)]
    assert means == {**expected.means(), "grad_norm": 3.5, "lr": 0.25}
    assert means["loss"] == pytest.approx(sum(model.losses) / 2)


def test_one_network_is_trained_from_nothing_but_itself_at_three_forwards_a_step() -> None:
    model = cast("TrainedModel", Still())
    objective = FlowMatching(model, FlowMatchingConfig())
    assert objective.models == (model,)
    assert objective.needs_initial is False
    assert objective.forwards == 3.0


def test_held_out_errors_are_means_over_fixed_noise_levels() -> None:
    model, batch = Still(), batch_of(clean_frames=1)
    errors = FlowMatching(cast("TrainedModel", model), FlowMatchingConfig()).validation_loss(batch)
    assert [timesteps[0, 1].item() for _, timesteps, _, _ in model.asked] == pytest.approx([300, 600, 850, 970])
    # The stand-in's velocity is 0 at each of them, so that all four errors are the same.
    torch.testing.assert_close(errors, flow_matching_loss(Still().velocity, batch, FlowMatchingConfig()).per_sample)


def test_errors_are_logged_by_fifths_of_the_noise_levels_and_fillers_left_out() -> None:
    sigmas = torch.tensor([0.0, 0.1875, 0.25, 0.625, 0.8125, 1.0, 0.5])
    result = FlowMatchingLoss(
        loss=torch.zeros(()), per_sample=torch.tensor([1.0, 3.0, 4.0, 5.0, 6.0, 8.0, 100.0]), sigmas=sigmas
    )
    weights = torch.tensor([1.0, 0.5, 1.0, 1.0, 1.0, 2.0, 0.0])
    averages = Averages()
    log_by_noise_level(averages, result, weights)
    log_by_noise_level(averages, result, weights, name="critic")
    means = {"": 4.5, "_sigma_0.0_0.2": 2.0, "_sigma_0.2_0.4": 4.0, "_sigma_0.6_0.8": 5.0, "_sigma_0.8_1.0": 7.0}
    assert averages.means() == {name + part: mean for name in ("loss", "critic") for part, mean in means.items()}


@pytest.mark.parametrize("field", ["per_sample", "sigmas", "weights"])
def test_a_log_of_lists_that_do_not_belong_together_is_refused(field: str) -> None:
    values = {name: torch.ones(3 if name == field else 2) for name in ("per_sample", "sigmas", "weights")}
    weights = values.pop("weights")
    with pytest.raises(ValueError, match="zip"):
        log_by_noise_level(Averages(), FlowMatchingLoss(loss=torch.zeros(()), **values), weights)
