"""The objective, beside a training step written as one would with diffusers alone."""

from dataclasses import replace

import torch
from diffusers import WanTransformer3DModel
from torch import Tensor

from tests.worlds.networks import WAN, backbone_of, random_soul, random_wan
from training.data.conditioning import Batch
from training.objectives.flow_matching import FlowMatchingConfig, add_noise, flow_matching_loss, shifted


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


def test_noise_at_the_ends() -> None:
    latents, noise = torch.ones(2, 1, 2, 1, 1), torch.zeros(2, 1, 2, 1, 1)
    clean = torch.tensor([[True, False], [False, False]])
    noisy, timesteps = add_noise(latents, noise, torch.tensor([1.0, 0.25]), clean)
    assert noisy.flatten(1).tolist() == [[1.0, 0.0], [0.75, 0.75]]
    assert timesteps.tolist() == [[0.0, 1000.0], [250.0, 250.0]]
