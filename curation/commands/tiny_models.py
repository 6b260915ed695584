"""`python -m curation tiny-models`: random tiny weights of every production model, to try the machinery on a CPU."""

from __future__ import annotations

import argparse
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What the command takes."""
    parser.add_argument("--out", required=True, metavar="DIR", type=Path, help="where to make them")
    parser.add_argument("--only", nargs="+", default=(), metavar="NAME", help="names of models (default: all)")
    parser.add_argument(
        "--retinaface", metavar="FILE", type=Path, help="real RetinaFace weights to copy, in place of random ones"
    )
    parser.add_argument(
        "--finevq-code", metavar="DIR", type=Path, help="FineVQ's repository (default: FineVQ is left out)"
    )


def run(options: argparse.Namespace) -> None:
    """Make them and print the path of each.

    Raises:
        ConfigError: a file or an environment that is needed is not there.
    """
    from curation.tiny_models.make import Wish, make_tiny_models  # noqa: PLC0415 (only its own libraries are heavy)

    wish = Wish(out=options.out, only=options.only, retinaface=options.retinaface, finevq_code=options.finevq_code)
    for name, path in make_tiny_models(wish):
        files = [path] if path.is_file() else [each for each in path.rglob("*") if each.is_file()]
        print(f"{name}\t{path}\t{sum(file.stat().st_size for file in files) / 1e6:.1f} MB")
