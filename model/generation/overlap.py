"""A video's clips in an assembly line: one is denoised, the one before it decoded, the one before that used."""

from collections.abc import Generator
from contextlib import closing
from itertools import islice
from threading import Event

import torch

from model.ahead import ahead
from model.codecs.compiled_decoder import is_compiled
from model.codecs.vae import Autoencoder
from model.generation.clips import ClipDecoder, DenoisedClip, GeneratedClip
from model.generation.encoded_request import ProgressCallback


class AbandonedError(Exception):
    """Nobody waits any more for the clip that is being denoised."""


def stopped_by(stopping: Event, on_step: ProgressCallback) -> ProgressCallback:
    """`on_step`, which raises an `AbandonedError` instead once `stopping` is set."""

    def step_done(clip: int, step: int) -> None:
        if stopping.is_set():
            raise AbandonedError
        on_step(clip, step)

    return step_done


def decode_in_turn(
    clips: Generator[DenoisedClip, None, None], vae: Autoencoder
) -> Generator[GeneratedClip, None, None]:
    """Decode each clip before the next one is denoised."""
    return _decoded(ClipDecoder(vae), clips)


def overlapped(
    clips: Generator[DenoisedClip, None, None], vae: Autoencoder, stopping: Event
) -> Generator[GeneratedClip, None, None]:
    """Make the next clip while the caller uses the last one; arguments as of `decode_beside`.

    On a CUDA device it is also decoded while the one after it is denoised. On a CPU each of the two uses all cores
    already, and in two threads they would only disturb each other.
    """
    if vae.device.type == "cuda":
        return decode_beside(clips, vae, stopping)
    return ahead(decode_in_turn(clips, vae), stopping)


def decode_beside(
    clips: Generator[DenoisedClip, None, None], vae: Autoencoder, stopping: Event
) -> Generator[GeneratedClip, None, None]:
    """Decode clips while the next ones are denoised, each in a thread of its own.

    Args:
        clips: what denoises. On a CUDA device it runs on the caller's current stream, on which the request was encoded
            and on which the caller may use the latents; decoding has a stream of its own.
        vae: what decodes.
        stopping: set when the caller asks for no more clips; see `stopped_by`.
    """
    decoder = ClipDecoder(vae, beside=True)
    if is_compiled(vae):
        # The first clip compiles it, and before torch 2.13 nothing compiled can run in another thread meanwhile.
        yield from map(decoder, islice(clips, 1))
    stream = torch.cuda.current_stream(vae.device) if vae.device.type == "cuda" else None
    denoised = ahead(_on_stream(stream, clips), stopping)
    yield from ahead(_decoded(decoder, denoised), stopping)


def _decoded(decoder: ClipDecoder, clips: Generator[DenoisedClip, None, None]) -> Generator[GeneratedClip, None, None]:
    with closing(clips):
        yield from map(decoder, clips)


def _on_stream(
    stream: torch.cuda.Stream | None, clips: Generator[DenoisedClip, None, None]
) -> Generator[DenoisedClip, None, None]:
    """The clips, made on a CUDA stream and its device whichever thread asks for them; None leaves all as it is."""
    with closing(clips):
        while True:
            with torch.cuda.stream(stream):
                clip = next(clips, None)
            if clip is None:
                return
            yield clip
            del clip
