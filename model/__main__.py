"""`python -m model`: generate a video, convert Wan2.2 into a model directory, tell what a model costs."""

import argparse
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final, NoReturn

from model.generation.options import add_model_options, add_sampling_options
from model.weights.source import weights_source

DESCRIPTION: Final = """\
Soul makes a video of any length out of one portrait, speech and a prompt.

  convert    Wan2.2 (directory or Hub id) -> model directory
  info       parameters, operations and memory of a model at a size and length
  generate   portrait + speech + prompt -> mp4, written clip by clip

Exit status: 0 done, 1 broken off, 2 a mistake in what was asked for, 130 interrupted.
"""


def main(
    arguments: Sequence[str] | None = None,
    *,
    prog: str = "python -m model",
    commands: Mapping[str, "Add"] | None = None,
) -> int:
    """Run a command; returns the exit status, see `DESCRIPTION`.

    Args:
        arguments: in place of those of this process.
        prog: what was typed before the command.
        commands: in place of all of them.
    """
    options = argparse.Namespace()
    try:
        options = _parser(prog, COMMANDS if commands is None else commands).parse_args(arguments)
        # Imported late: torch and diffusers take seconds, and neither --help nor a mistake should wait for them.
        from model import commands as work  # noqa: PLC0415

        run = {"generate": work.generate, "convert": work.convert, "info": work.info}
        run[options.command](options)
    except ValueError as error:
        return _say(error, 2)
    except KeyboardInterrupt:
        return _say(_interrupted(options), 130)
    except OSError as error:
        # A full disk, a directory that cannot be written: it says which file.
        return _say(error, 1)
    return 0


class Parser(argparse.ArgumentParser):
    """Says what was typed wrongly in one line."""

    def error(self, message: str) -> NoReturn:
        """Refuse what was typed.

        Raises:
            ValueError: always.
        """
        raise ValueError(f"{message.removeprefix('argument ')}; see {self.prog} --help")


def _interrupted(options: argparse.Namespace) -> str:
    part = options.out.with_suffix(".part.mp4") if "image" in options else None
    return f"interrupted; the clips that were made are in {part}" if part and part.exists() else "interrupted"


def _say(problem: object, status: int) -> int:
    # Of processes that share a video, one speaks.
    if os.environ.get("RANK", "0") == "0":
        lines = (line.strip() for line in str(problem).splitlines())
        print(f"soul: {' '.join(line for line in lines if line)}", file=sys.stderr)
    return status


def _parser(prog: str, commands: Mapping[str, "Add"]) -> Parser:
    parser = Parser(prog=prog, description=DESCRIPTION, formatter_class=argparse.RawDescriptionHelpFormatter)
    parsers = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, add in commands.items():
        add(parsers.add_parser(name))
    return parser


def _add_generate(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Make a video, clip by clip. Several GPUs share a clip: torchrun --nproc-per-node=N -m model generate ..."
    )
    add = parser.add_argument
    add(
        "--image",
        required=True,
        type=_existing("image"),
        help="portrait; first frame of the video and pivot of every clip",
    )
    add(
        "--audio",
        required=True,
        type=_existing("audio file"),
        help="speech: any file with sound; the video lasts as long",
    )
    add("--prompt", required=True, help="what happens in the video")
    add("--out", required=True, type=Path, help="the mp4; while it is made, NAME.part.mp4 can be watched")
    add_model_options(parser)
    add_sampling_options(parser)


def _add_convert(parser: argparse.ArgumentParser) -> None:
    parser.description = "Make a model directory from Wan2.2."
    add = parser.add_argument
    add(
        "wan",
        type=weights_source,
        help="Wan2.2-TI2V-5B: official release or diffusers' layout, directory or Hub id",
    )
    add("--out", required=True, type=Path, help="the model directory to write")
    add(
        "--components",
        type=weights_source,
        help="where vae/, text_encoder/ and tokenizer/ are, in diffusers' layout (default: WAN)",
    )
    add("--vae", type=weights_source, help="another autoencoder, e.g. an eVAE")
    add(
        "--whisper",
        type=weights_source,
        default="openai/whisper-large-v3",
        help="whose encoder hears (default: %(default)s)",
    )
    add(
        "--zero-audio-output",
        action="store_true",
        help="start audio attention silent (paper: as text attention)",
    )
    add("--scheduler", choices=("unipc", "euler", "few-step"), default="unipc", help="default: %(default)s")
    add("--dtype", choices=("bfloat16", "float32"), default="bfloat16", help="default: %(default)s")
    add("--codebook", type=Path, help="codebook.safetensors to put into the directory")


def _add_info(parser: argparse.ArgumentParser) -> None:
    parser.description = "Tell what a model costs."
    add = parser.add_argument
    add("--preset", default="soul-5b", help="soul-5b or tiny (default: %(default)s)")
    add("--size", help="WIDTHxHEIGHT (default: the preset's area at 16:9)")
    add("--seconds", type=float, default=10.0, help="length of the speech (default: %(default)s)")
    add("--steps", type=int, help="denoising steps of a clip (default: the preset's)")
    add("--guidance-scale", type=float, help="1 = one forward a step, else two (default: the preset's)")


def _existing(what: str) -> Callable[[str], Path]:
    def check(text: str) -> Path:
        if not text.strip():
            raise argparse.ArgumentTypeError(f"it is empty: name an {what}")
        if not Path(text).exists():
            raise argparse.ArgumentTypeError(f"no such {what}: {text}")
        return Path(text)

    return check


Add = Callable[[argparse.ArgumentParser], None]
COMMANDS: Final[Mapping[str, Add]] = {"convert": _add_convert, "info": _add_info, "generate": _add_generate}
"""What adds each command's options."""


if __name__ == "__main__":
    sys.exit(main())
