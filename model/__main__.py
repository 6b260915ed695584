"""`python -m model`: generate a video, convert Wan2.2 into a model directory, tell what a model costs."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from model.options import add_model_options, add_sampling_options

DESCRIPTION = """\
Soul makes a video of any length out of one portrait, speech and a prompt.

  generate   portrait + speech + prompt -> mp4, written clip by clip
  convert    Wan2.2 (directory or Hub id) -> model directory
  info       parameters, operations and memory of a model at a size and length
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; a person's mistake becomes one line and exit code 2."""
    options = _parser().parse_args(arguments)
    # Imported late: torch and diffusers take seconds, and --help should not wait for them.
    from model import commands  # noqa: PLC0415

    try:
        run = {"generate": commands.generate, "convert": commands.convert, "info": commands.info}
        run[options.command](options)
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m model", description=DESCRIPTION, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True)
    _add_generate(commands.add_parser("generate", help="make a video"))
    _add_convert(commands.add_parser("convert", help="make a model directory from Wan2.2"))
    _add_info(commands.add_parser("info", help="what a model costs"))
    return parser


def _add_generate(parser: argparse.ArgumentParser) -> None:
    parser.description = "Several GPUs share a clip: torchrun --nproc-per-node=N -m model generate ..."
    add = parser.add_argument
    add("--image", required=True, type=Path, help="portrait; first frame of the video and pivot of every clip")
    add("--audio", required=True, type=Path, help="speech: any file with sound; the video lasts as long")
    add("--prompt", required=True, help="what happens in the video")
    add("--out", required=True, type=Path, help="the mp4; while it is made, NAME.part.mp4 can be watched")
    add_model_options(parser)
    add_sampling_options(parser)


def _add_convert(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("wan", help="Wan2.2-TI2V-5B: official release or diffusers' layout, directory or Hub id")
    add("--out", required=True, type=Path, help="the model directory to write")
    add(
        "--components",
        help="where vae/, text_encoder/ and tokenizer/ are, in diffusers' layout (default: WAN)",
    )
    add("--vae", help="another autoencoder, e.g. an eVAE")
    add("--whisper", default="openai/whisper-large-v3", help="whose encoder hears (default: %(default)s)")
    add(
        "--zero-audio-output",
        action="store_true",
        help="start audio attention silent (paper: as text attention)",
    )
    add("--scheduler", choices=("unipc", "euler", "few-step"), default="unipc", help="default: %(default)s")
    add("--dtype", choices=("bfloat16", "float32"), default="bfloat16", help="default: %(default)s")
    add("--codebook", type=Path, help="codebook.safetensors to put into the directory")


def _add_info(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--preset", default="soul-5b", help="soul-5b or tiny (default: %(default)s)")
    add("--size", help="WIDTHxHEIGHT (default: the preset's area at 16:9)")
    add("--seconds", type=float, default=10.0, help="length of the speech (default: %(default)s)")
    add("--steps", type=int, help="denoising steps of a clip (default: the preset's)")
    add("--guidance-scale", type=float, help="1 = one forward a step, else two (default: the preset's)")


if __name__ == "__main__":
    sys.exit(main())
