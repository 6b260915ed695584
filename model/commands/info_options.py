"""Options of `python -m model info`."""

import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What the command takes."""
    add = parser.add_argument
    add("--preset", default="soul-5b", help="soul-5b or tiny (default: %(default)s)")
    add("--size", help="WIDTHxHEIGHT (default: the preset's area at 16:9)")
    add("--seconds", type=float, default=10.0, help="length of the speech (default: %(default)s)")
    add("--steps", type=int, help="denoising steps of a clip (default: the preset's)")
    add("--guidance-scale", type=float, help="1 = one forward a step, else two (default: the preset's)")
    add("--audio-guidance-scale", type=float, help="three forwards where it differs (default: as --guidance-scale)")
