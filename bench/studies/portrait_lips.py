"""Does a model move the lips of the sample bucket's portrait with speech that no training had?

    python -m bench.studies.portrait_lips --model RUN/model --out RUN/demo

The portrait says new syllables, whose mouth opening is known. A model gets its picture and the sound, and the opening
that is read from its video is compared with the truth; beside it, the network before any training, and the truth
itself. Writes one of the model's videos with its sound (`video.mp4`) and `portrait_lips.json` to `--out`.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from infra.command_line import run_alone
from model.weights.source import trained_model


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What the command takes."""
    add = parser.add_argument
    add("--model", type=trained_model, required=True, help="model directory")
    add("--out", type=Path, required=True, metavar="DIR", help="where video and figures go")
    add("--size", type=int, default=160, help="side of the videos in pixels, divisible by 32 (default: %(default)s)")
    add("--videos", type=int, default=3, help="of the model (default: %(default)s)")
    add("--seconds", type=float, default=4.0, help="length of each (default: %(default)s)")
    add("--threads", type=int, default=2, help="of torch on a CPU (default: %(default)s)")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the study; returns the exit status."""
    return run_alone("bench.studies.portrait_lips", __doc__, add_arguments, arguments)


if __name__ == "__main__":
    sys.exit(main())  # ahead of the imports that take seconds

import numpy as np
import soundfile
import torch
from PIL import Image

from bench.studies.sample_portrait import FITTED_SEEDS, HELD_OUT_SEEDS, MouthReader, portrait_says
from bench.studies.talking_faces.measure import correlation
from bench.studies.talking_faces.performance import FPS, Take
from model.codecs.audio import SAMPLE_RATE_HZ
from model.generation.make_video import VideoInputs, make_video
from model.generation.pipeline import SoulPipeline
from model.generation.request import Sampling, VideoRequest
from model.pretrained.assemble import build_pipeline
from model.pretrained.model_parts import ModelParts

PROMPT: Final = "A person talks to the camera."
UNTRAINED: Final = "tiny"


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """One way to make the videos, and how the mouth moves in them."""

    name: str
    r: float
    """Mean correlation of the mouth's opening with that of the speech."""
    r_others: float
    """The same with the speech of another of the videos."""


def run(options: argparse.Namespace) -> None:
    """Run the study.

    Raises:
        ValueError: a mistake in what was asked for; one line.
    """
    if options.videos < 2:
        raise ValueError("the control is another video's speech: --videos must be at least 2")
    torch.set_num_threads(options.threads)
    # Whole frames: a video is as long as its sound, rounded up to one.
    seconds, size = round(options.seconds * FPS) / FPS, options.size
    reader = MouthReader.fitted([portrait_says(seed, seconds, size=size) for seed in FITTED_SEEDS])
    takes = [portrait_says(seed, seconds, size=size) for seed in HELD_OUT_SEEDS[: options.videos]]
    pipeline = ModelParts(model=options.model, device="cpu").load()
    untrained = build_pipeline(UNTRAINED, clip_latents=pipeline.config.clip_latents)
    rows = [_row("the truth, as it is drawn", reader, takes, [take.frames for take in takes])]
    for name, one in ((str(options.model), pipeline), ("the network before any training", untrained)):
        one.set_progress_bar_config(disable=True)
        rows.append(_row(name, reader, takes, [_made(one, take) for take in takes]))
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "portrait_lips.json").write_text(json.dumps([asdict(row) for row in rows], indent=1) + "\n")
    video = write_video(pipeline, takes[0], options.out)
    print(f"{'lips and held-out speech':<36} {'r':>7} {'other speech':>13}")
    for row in rows:
        print(f"{row.name:<36} {row.r:7.2f} {row.r_others:13.2f}")
    print(video)


def write_video(pipeline: SoulPipeline, take: Take, out: Path) -> Path:
    """The model's video of a take, with its sound, beside the portrait and the speech that it is made from."""
    portrait, speech, video = out / "portrait.png", out / "speech.wav", out / "video.mp4"
    Image.fromarray(take.frames[0]).save(portrait)
    soundfile.write(speech, take.waveform.numpy(), SAMPLE_RATE_HZ, subtype="PCM_16")
    make_video(pipeline, VideoInputs.read(portrait, speech, PROMPT), _sampling(take), video)
    return video


def _made(pipeline: SoulPipeline, take: Take) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    request = VideoRequest(
        image=Image.fromarray(take.frames[0]), audio=take.waveform, prompt=PROMPT, sampling=_sampling(take)
    )
    return np.asarray(pipeline(request).frames, np.uint8)


def _sampling(take: Take) -> Sampling:
    side = take.frames.shape[1]
    return Sampling(height=side, width=side)


def _row(
    name: str,
    reader: MouthReader,
    takes: Sequence[Take],
    videos: Sequence[np.ndarray[tuple[int, ...], np.dtype[np.uint8]]],
) -> Row:
    read = [reader.read(video) for video in videos]
    own = [correlation(opening, take.opening) for opening, take in zip(read, takes, strict=True)]
    others = [correlation(opening, takes[at - 1].opening) for at, opening in enumerate(read)]
    return Row(name=name, r=float(np.mean(own)), r_others=float(np.mean(others)))
