import threading
import time
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor

from model.generation.overlap import decode_beside
from model.generation.pipeline import SoulPipeline
from tests.worlds.decoders import small_wan
from tests.worlds.pipelines import asked, noise, small_pipeline

WAIT_S = 60
SPEECH = noise(1.5)
"""38 frames: four clips of five latents."""


@pytest.fixture
def pipeline() -> SoulPipeline:
    return small_pipeline(clip_latents=5)


@pytest.fixture(autouse=True)
def no_thread_is_left() -> Iterator[None]:
    before = set(threading.enumerate())
    yield
    assert set(threading.enumerate()) <= before


def spy_on_decoding(pipeline: SoulPipeline, monkeypatch: pytest.MonkeyPatch, spy: Any) -> None:
    """Call `spy` with the number of latents that were decoded before, and decode."""
    decode, count = pipeline.vae.decode_latent, iter(range(10_000))

    def decode_latent(latent: Tensor, *, first: bool) -> Tensor:
        spy(next(count))
        pixels: Tensor = decode(latent, first=first)
        return pixels

    monkeypatch.setattr(pipeline.vae, "decode_latent", decode_latent)


@pytest.mark.parametrize("vae", ["patch-dct", "wan"])
def test_the_same_video_with_and_without_overlap(pipeline: SoulPipeline, vae: str) -> None:
    if vae == "wan":
        pipeline.register_modules(vae=small_wan())
    one, other = (list(pipeline.stream(asked(audio=SPEECH), overlap=overlap)) for overlap in (False, True))
    beside = decode_beside(pipeline.stream_latents(asked(audio=SPEECH)), pipeline.vae, threading.Event())
    assert len(one) == 4
    for alone, *others in zip(one, other, beside, strict=True):
        for each in others:
            assert each.plan == alone.plan
            assert each.frames.tobytes() == alone.frames.tobytes()
            assert torch.equal(each.latents, alone.latents)


def test_three_clips_are_at_work_at_once(pipeline: SoulPipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    meeting, workers = threading.Barrier(3), []

    def meet() -> None:
        workers.append(threading.get_ident())
        meeting.wait(WAIT_S)

    # Clip 0 has five latents to decode, every later one two.
    spy_on_decoding(pipeline, monkeypatch, lambda latent: meet() if latent == 5 else None)
    # As on a CUDA device.
    latents = pipeline.stream_latents(asked(audio=SPEECH), on_step=lambda clip, _step: meet() if clip == 2 else None)
    for clip in decode_beside(latents, pipeline.vae, threading.Event()):
        if clip.plan.index == 0:
            meet()
    assert len(set(workers)) == 3
    assert threading.get_ident() in workers


def test_the_next_clip_is_made_while_the_caller_has_the_last(pipeline: SoulPipeline) -> None:
    meeting = threading.Barrier(2)

    def meet(clip: int, _step: int) -> None:
        if clip == 1:
            meeting.wait(WAIT_S)

    stream = pipeline.stream(asked(audio=SPEECH), on_step=meet)
    assert next(stream).plan.index == 0
    meeting.wait(WAIT_S)
    assert [clip.plan.index for clip in stream] == [1, 2, 3]


def test_no_more_than_one_clip_waits_between_two_threads(pipeline: SoulPipeline) -> None:
    steps: list[tuple[int, int]] = []
    latents = pipeline.stream_latents(asked(audio=noise(4.0), steps=2), on_step=lambda *step: steps.append(step))
    stream = decode_beside(latents, pipeline.vae, threading.Event())
    assert steps == []
    for clip in stream:
        furthest = steps[-1][0]
        assert clip.plan.index <= furthest <= clip.plan.index + 2
    assert steps == [(clip, step) for clip in range(clip.plan.index + 1) for step in range(2)]


def test_an_error_of_decoding_is_the_caller_s(pipeline: SoulPipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(latent: int) -> None:
        if latent == 6:
            raise RuntimeError("CUDA out of memory")

    spy_on_decoding(pipeline, monkeypatch, fail)
    stream = pipeline.stream(asked(audio=SPEECH))
    assert next(stream).plan.index == 0
    with pytest.raises(RuntimeError, match="CUDA out of memory"):
        next(stream)


def test_an_error_of_denoising_is_the_caller_s_after_the_clips_before_it(pipeline: SoulPipeline) -> None:
    def fail(clip: int, _step: int) -> None:
        if clip == 2:
            raise RuntimeError("no progress bar")

    stream = pipeline.stream(asked(audio=SPEECH), on_step=fail)
    made: list[int] = []
    with pytest.raises(RuntimeError, match="no progress bar"):
        made.extend(clip.plan.index for clip in stream)
    assert made == [0, 1]


@pytest.mark.parametrize("way", ["close", "drop", "ctrl-c"])
def test_a_clip_that_nobody_waits_for_breaks_off_after_its_step(
    pipeline: SoulPipeline, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    begun, stopping, steps = threading.Event(), threading.Event(), []
    monkeypatch.setattr("model.generation.pipeline.Event", lambda: stopping)

    def on_step(clip: int, step: int) -> None:
        steps.append((clip, step))
        if clip == 1:
            begun.set()
            assert stopping.wait(WAIT_S)

    stream = pipeline.stream(asked(audio=SPEECH, steps=3), on_step=on_step)
    assert next(stream).plan.index == 0
    assert begun.wait(WAIT_S)
    if way == "close":
        stream.close()
    elif way == "drop":
        del stream
    else:
        with pytest.raises(KeyboardInterrupt):
            stream.throw(KeyboardInterrupt())
    assert steps == [(0, 0), (0, 1), (0, 2), (1, 0)]


def test_parts_that_take_turns_on_the_device_are_not_run_beside_each_other(pipeline: SoulPipeline) -> None:
    pipeline.vae._hf_hook = SimpleNamespace(pre_forward=lambda _module: None)
    threads = set[int]()
    list(pipeline.stream(asked(audio=SPEECH), on_step=lambda _clip, _step: threads.add(threading.get_ident())))
    assert threads == {threading.get_ident()}


def test_latents_without_their_decoding(pipeline: SoulPipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = [clip.latents for clip in pipeline.stream(asked(audio=SPEECH))]
    spy_on_decoding(pipeline, monkeypatch, lambda _latent: pytest.fail("it was decoded"))
    for clip, latents in zip(pipeline.stream_latents(asked(audio=SPEECH)), expected, strict=True):
        assert torch.equal(clip.latents, latents)


def test_a_decoder_compiles_before_anything_runs_beside_it(
    pipeline: SoulPipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("model.generation.overlap.is_compiled", lambda _vae: True)
    denoised: list[int] = []
    seen: list[int] = []

    def compile_slowly(latent: int) -> None:
        if latent < 5:  # the first clip's
            time.sleep(0.1)
            seen.append(denoised[-1])

    spy_on_decoding(pipeline, monkeypatch, compile_slowly)
    latents = pipeline.stream_latents(asked(audio=SPEECH), on_step=lambda clip, _step: denoised.append(clip))
    list(decode_beside(latents, pipeline.vae, threading.Event()))
    assert seen == [0] * 5
