"""Tab. 3: denoising and decoding one clip at one size, with the paper's steps and guidance, and with each decoder.

Letters: C latent channels, F latent frames, H and W latent sides, L text tokens.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor

from bench.efficiency.autoencoders import run_decoder
from bench.efficiency.measure import count_forwards, grown_bytes, median_seconds, weight_bytes
from bench.efficiency.results import CacheEffect, InferenceRow, SizeResult
from bench.efficiency.subject import MeasuredVae, Subject
from model.codecs.geometry import latent_frames, latent_sides
from model.codecs.vae import encode_video
from model.cost.flops import count_transformer_flops
from model.generation.guidance import Condition, Guidance
from model.generation.sampling import CleanFrames, build_scheduler, denoise
from model.generation.step_cache import StepCache


@dataclass(frozen=True, kw_only=True, slots=True)
class DenoisingLoop:
    """One of the measured ways to denoise a clip: steps, guidance, scheduler."""

    name: str
    """As it stands in the table."""
    steps: int
    """Denoising steps."""
    guided: bool
    """Whether each step runs the network twice, for guidance."""
    scheduler: str
    """See `model.generation.sampling.build_scheduler`."""

    @property
    def forwards(self) -> int:
        """Forwards of the network for a clip."""
        return self.steps * (2 if self.guided else 1)


DENOISING_LOOPS: Final = (
    DenoisingLoop(name="25 steps, CFG", steps=25, guided=True, scheduler="unipc"),
    DenoisingLoop(name="4 steps, no CFG", steps=4, guided=False, scheduler="few-step"),
    DenoisingLoop(name="one forward", steps=1, guided=False, scheduler="few-step"),
)
"""The paper's baseline and its distilled model (Tab. 3); one forward is their unit."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Timing:
    """How things are timed."""

    extrapolate: bool
    """Whether a loop's time is that of one forward times the number of forwards."""
    warmup: int
    """Runs before the timed ones."""
    repeats: int
    """Timed runs, of which the median counts."""
    peak_flops: float | None
    """Operations a second that the device can do at most in the network's type; None where not known."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Inputs:
    """Random inputs of one clip, on the device."""

    noise: Tensor
    clean: CleanFrames
    condition: Condition
    free_text: Tensor
    portrait: Tensor


@dataclass(frozen=True, kw_only=True, slots=True)
class _Denoising:
    sampling: DenoisingLoop
    forwards: int
    extrapolated: bool
    seconds: float
    peak_bytes: int
    cached: CacheEffect | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class _Coding:
    name: str
    weight_bytes: int
    encode_s: float
    decode_s: float
    peak_bytes: int


@torch.no_grad()
def measure_size(
    subject: Subject, timing: Timing, cache: StepCache | None, *, num_frames: int, height: int, width: int
) -> SizeResult:
    """Measure every configuration for one clip of `num_frames` frames of `height` × `width` pixels.

    With a step cache, the loop of many steps is measured with it too.
    """
    inputs = _make_inputs(subject, num_frames, height, width)
    cost = count_transformer_flops(
        subject.network, num_frames=num_frames, height=height, width=width, num_text_tokens=subject.num_text_tokens
    )
    one = _one_forward(subject, inputs, timing)
    denoisings = [
        _extrapolated(subject, inputs, sampling, one)
        if timing.extrapolate or sampling.forwards == 1
        else _denoised(subject, inputs, sampling, timing)
        for sampling in DENOISING_LOOPS
    ]
    if cache is not None:
        denoisings.insert(1, _cached(subject, inputs, DENOISING_LOOPS[0], timing, cache))
    codings = [_coded(measured, inputs, timing) for measured in subject.vaes]
    rows: list[InferenceRow] = []
    for denoising in denoisings:
        for coding in codings:
            rows.append(
                _row(
                    subject,
                    denoising,
                    coding,
                    rows[0] if rows else None,
                    peak_flops=timing.peak_flops,
                    forward_flops=cost.total,
                    video_s=num_frames / subject.fps,
                )
            )
    return SizeResult(
        height=height, width=width, num_tokens=cost.num_tokens, forward_flops=cost.total, rows=tuple(rows)
    )


def _make_inputs(subject: Subject, num_frames: int, height: int, width: int) -> _Inputs:
    network, device = subject.network, subject.transformer.device
    generator = torch.Generator().manual_seed(0)

    def random(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator).to(device)

    frames = latent_frames(num_frames)
    latent = latent_sides(height, width)
    text = random(1, subject.num_text_tokens, network.text_dim)
    audio = random(1, frames, network.audio_window, network.audio_dim)
    return _Inputs(
        noise=random(1, network.in_channels, frames, *latent),
        clean=CleanFrames(latents=random(1, network.in_channels, 1, *latent)),
        condition=Condition(text=text, audio=audio),
        free_text=torch.zeros_like(text),
        portrait=random(1, 3, 1, height, width).clamp(-1, 1),
    )


def _loop(subject: Subject, inputs: _Inputs, sampling: DenoisingLoop, *, steps: int) -> Callable[[], Tensor]:
    return lambda: denoise(
        subject.transformer,
        build_scheduler(sampling.scheduler),
        inputs.noise,
        inputs.clean,
        condition=inputs.condition,
        free_text=inputs.free_text,
        guidance=Guidance.of(5.0 if sampling.guided else 1.0),
        num_steps=steps,
        generator=torch.Generator().manual_seed(0),
        on_step=lambda _step: None,
    )


def _one_forward(subject: Subject, inputs: _Inputs, timing: Timing) -> float:
    network = subject.transformer
    latents = inputs.clean.overwrite(inputs.noise).to(network.dtype)
    timesteps = inputs.clean.timesteps(torch.tensor(1000.0), latents)
    text, audio = inputs.condition.text.to(network.dtype), inputs.condition.audio.to(network.dtype)
    return median_seconds(
        lambda: network(latents, timesteps, text, audio, return_dict=False),
        network.device,
        warmup=timing.warmup,
        repeats=timing.repeats,
    )


def _extrapolated(subject: Subject, inputs: _Inputs, sampling: DenoisingLoop, forward_s: float) -> _Denoising:
    return _Denoising(
        sampling=sampling,
        forwards=sampling.forwards,
        extrapolated=sampling.forwards > 1,
        seconds=forward_s * sampling.forwards,
        peak_bytes=_denoising_peak(subject, inputs, sampling),
    )


def _denoised(subject: Subject, inputs: _Inputs, sampling: DenoisingLoop, timing: Timing) -> _Denoising:
    device = subject.transformer.device
    # One step is enough to warm up.
    median_seconds(_loop(subject, inputs, sampling, steps=1), device, warmup=timing.warmup, repeats=1)
    with count_forwards(subject.transformer) as count:
        loop = _loop(subject, inputs, sampling, steps=sampling.steps)
        seconds = median_seconds(loop, device, warmup=0, repeats=timing.repeats)
    return _Denoising(
        sampling=sampling,
        forwards=count.value // timing.repeats,
        extrapolated=False,
        seconds=seconds,
        peak_bytes=_denoising_peak(subject, inputs, sampling),
    )


def _cached(subject: Subject, inputs: _Inputs, sampling: DenoisingLoop, timing: Timing, cache: StepCache) -> _Denoising:
    """A loop with a step cache, and what that changes."""
    network, loop = subject.transformer, _loop(subject, inputs, sampling, steps=sampling.steps)
    exact = loop()
    with cache.enabled(network) as runs:
        error = (loop() - exact).norm() / exact.norm()
        effect = CacheEffect(skipped_blocks=runs.skipped(len(network.blocks)), relative_error=float(error))
        named = dataclasses.replace(sampling, name=f"{sampling.name}, {cache}")
        return dataclasses.replace(_denoised(subject, inputs, named, timing), cached=effect)


def _denoising_peak(subject: Subject, inputs: _Inputs, sampling: DenoisingLoop) -> int:
    """Measured apart from the time, and over one step, which needs as much as all of them."""
    return grown_bytes(_loop(subject, inputs, sampling, steps=1), subject.transformer.device)


def _coded(measured: MeasuredVae, inputs: _Inputs, timing: Timing) -> _Coding:
    vae, runs = measured.vae, {"warmup": timing.warmup, "repeats": timing.repeats}
    encode_s = median_seconds(lambda: encode_video(vae, inputs.portrait), vae.device, **runs)
    decode_s = median_seconds(lambda: run_decoder(vae, inputs.noise), vae.device, **runs)
    encoding = grown_bytes(lambda: encode_video(vae, inputs.portrait), vae.device)
    # The causal cache is complete from the third latent frame on.
    decoding = grown_bytes(lambda: run_decoder(vae, inputs.noise[:, :, :4]), vae.device)
    return _Coding(
        name=measured.name,
        weight_bytes=weight_bytes(vae),
        encode_s=encode_s,
        decode_s=decode_s,
        peak_bytes=max(encoding, decoding),
    )


def _row(
    subject: Subject,
    denoising: _Denoising,
    coding: _Coding,
    first: InferenceRow | None,
    *,
    peak_flops: float | None,
    forward_flops: int,
    video_s: float,
) -> InferenceRow:
    full_s = coding.encode_s + denoising.seconds + coding.decode_s
    speed = forward_flops * denoising.forwards / denoising.seconds
    return InferenceRow(
        sampling=denoising.sampling.name,
        steps=denoising.sampling.steps,
        guided=denoising.sampling.guided,
        forwards=denoising.forwards,
        extrapolated=denoising.extrapolated,
        cached=denoising.cached,
        decoder=coding.name,
        dit_s=denoising.seconds,
        decode_s=coding.decode_s,
        encode_s=coding.encode_s,
        full_s=full_s,
        dit_speedup=first.dit_s / denoising.seconds if first else 1.0,
        decode_speedup=first.decode_s / coding.decode_s if first else 1.0,
        full_speedup=first.full_s / full_s if first else 1.0,
        dit_flops_per_s=speed,
        mfu=None if peak_flops is None else speed / peak_flops,
        peak_bytes=weight_bytes(subject.transformer)
        + coding.weight_bytes
        + max(denoising.peak_bytes, coding.peak_bytes),
        real_time_factor=full_s / video_s,
    )
