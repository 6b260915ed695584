"""The picture at the head of the README: the shipped network's two examples, talking, over the sound that moves them.

python -m bench.studies.shipped_gif --out docs/talking.gif
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from infra.command_line import run_alone
from model.weights.source import SHIPPED, trained_model


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What the command takes."""
    add = parser.add_argument
    add("--out", type=Path, required=True, help="the GIF")
    add("--model", type=trained_model, default=SHIPPED, help="model with examples (default: %(default)s)")
    add("--seconds", type=float, default=4.0, help="how long it is (default: %(default)s)")


def main(arguments: Sequence[str] | None = None) -> int:
    """Make the picture; returns the exit status."""
    return run_alone("bench.studies.shipped_gif", __doc__, add_arguments, arguments)


if __name__ == "__main__":
    sys.exit(main())  # ahead of the imports that take seconds

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image
from torch import Tensor

from model.codecs.audio import SAMPLE_RATE_HZ, load_speech
from model.generation.request import VideoRequest
from model.pretrained.model_parts import ModelParts
from model.weights.examples import read_examples

Frames = npt.NDArray[np.uint8]

SIDE: Final = 240
"""Of a face in the picture, in pixels."""
WAVE_HEIGHT: Final = 40
EVERY: Final = 2
"""Frames of the video for one of the picture."""
COLOURS: Final = 96
_PAPER, _INK, _TO_COME = (255, 255, 255), (60, 90, 160), (205, 213, 228)


def run(options: argparse.Namespace) -> None:
    """Make the videos of all examples and lay them side by side.

    Raises:
        ValueError: the model brings no examples, or the folder is not there.
    """
    examples = read_examples(options.model)
    if not examples:
        raise ValueError(f"--model {options.model} brings no examples")
    if not options.out.parent.is_dir():
        raise ValueError(f"--out: no such directory: {options.out.parent}")
    pipeline = ModelParts(model=options.model, device="cpu").load()
    columns = []
    for example in examples:
        waveform = load_speech(example.audio)[: round(options.seconds * SAMPLE_RATE_HZ)]
        request = VideoRequest(image=example.image, audio=waveform, prompt=example.prompt)
        frames = np.asarray(pipeline(request).frames, np.uint8)
        columns.append(column(frames, waveform))
    pictures = [Image.fromarray(np.hstack(parts)) for parts in zip(*columns, strict=True)]
    palette = pictures[len(pictures) // 2].quantize(COLOURS)
    first, *rest = (picture.quantize(COLOURS, palette=palette, dither=Image.Dither.NONE) for picture in pictures)
    duration_ms = round(1000 * EVERY / pipeline.config.fps)
    first.save(options.out, save_all=True, append_images=rest, duration=duration_ms, loop=0, optimize=True)
    print(f"{options.out}: {len(pictures)} pictures, {options.out.stat().st_size / 1e3:.0f} kB")


def column(frames: Frames, waveform: Tensor) -> list[Frames]:
    """Every other frame of a video over its sound, of which the part that has been spoken is dark."""
    shown = []
    levels = loudness(waveform, SIDE)
    for at in range(0, len(frames), EVERY):
        face = cv2.resize(frames[at], (SIDE, SIDE), interpolation=cv2.INTER_CUBIC)
        shown.append(np.vstack([face, wave(levels, at / len(frames))]))
    return shown


def loudness(waveform: Tensor, width: int) -> npt.NDArray[np.float64]:
    """(width,): the sound's loudness over time, 0 to 1."""
    pieces = np.array_split(waveform.double().numpy(), width)
    levels = np.array([np.sqrt(np.mean(piece**2)) for piece in pieces])
    return np.asarray(levels / max(levels.max(), 1e-9), np.float64)


def wave(levels: npt.NDArray[np.float64], spoken: float) -> Frames:
    """A strip (WAVE_HEIGHT, W, 3) of the loudness; `spoken` (0 to 1) of it is dark."""
    strip = np.full((WAVE_HEIGHT, len(levels), 3), _PAPER, np.uint8)
    for x, level in enumerate(levels):
        half = round(level * (WAVE_HEIGHT / 2 - 3)) + 1
        colour = _INK if x <= spoken * len(levels) else _TO_COME
        strip[WAVE_HEIGHT // 2 - half : WAVE_HEIGHT // 2 + half, x] = colour
    return strip
