"""Options of `python -m model generate`."""

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Final

from model.generation.options import add_acceleration_options, add_model_options, add_sampling_options
from model.media.video_codec import CODECS, X264
from model.weights.source import SHIPPED

OUT: Final = Path("runs", "generated", "video.mp4")
"""Where a video goes for which no place is given."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What the command takes."""
    add = parser.add_argument
    add(
        "--image",
        type=_existing("image"),
        help="portrait; first frame of the video and pivot of every clip (default: the model's example)",
    )
    add(
        "--audio",
        type=_existing("audio file"),
        help="speech: any file with sound; the video lasts as long (default: the model's example)",
    )
    add("--prompt", help="what happens in the video (default: the example's, or that a person talks to the camera)")
    add(
        "--out",
        default=OUT,
        type=Path,
        help="the mp4; while it is made, NAME.part.mp4 can be watched (default: %(default)s)",
    )
    add(
        "--video-codec",
        choices=tuple(CODECS),
        default=X264,
        help="h264 is x264's, the best for its size; the others encode faster, on an NVIDIA GPU, and where they cannot "
        "x264 takes their place (default: %(default)s)",
    )
    add(
        "--overlap",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="write a clip, and on a GPU decode the next, while the one after is denoised; without it the same video "
        "takes longer and less memory",
    )
    add_model_options(parser, default=SHIPPED)
    add_sampling_options(parser)
    add_acceleration_options(parser, compile_default="auto")


def _existing(what: str) -> Callable[[str], Path]:
    def check(text: str) -> Path:
        if not text.strip():
            raise argparse.ArgumentTypeError(f"it is empty: name an {what}")
        if not Path(text).exists():
            raise argparse.ArgumentTypeError(f"no such {what}: {text}")
        return Path(text)

    return check
