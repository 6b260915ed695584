"""What people name a model by: a directory, a Hub id or a preset, told apart before anything is loaded."""

import argparse
from pathlib import Path
from typing import Final

PRESETS: Final = ("tiny", "soul-5b")
"""Names that need no files; `model.pretrained.presets` holds what they are."""


def names_a_directory(source: str) -> bool:
    """Whether a name can only mean a directory of this machine, which may not exist; it is never looked up on the Hub.

    A Hub id is `owner/name`. `runs/model` has its form, but means a directory where there is a folder `runs`.
    """
    if source.startswith((".", "/", "~")) or source.count("/") != 1 or source.endswith("/"):
        return True
    return Path(source).exists() or Path(source).parent.is_dir()


def model_source(text: str) -> str:
    """The type of an option that takes a model directory, a Hub id or a preset.

    Raises:
        argparse.ArgumentTypeError: a directory that is not there.
    """
    return text if text in PRESETS else _checked(text, "")


def trained_model(text: str) -> str:
    """As `model_source`, for commands that make videos: if the directory is missing, the error says to train first.

    Raises:
        argparse.ArgumentTypeError: a directory that is not there.
    """
    return text if text in PRESETS else _checked(text, "; train first (`make train`), or give `tiny`: random weights")


def weights_source(text: str) -> str:
    """The type of an option that takes a directory of weights or a Hub id.

    Raises:
        argparse.ArgumentTypeError: a directory that is not there.
    """
    return _checked(text, "")


def _checked(text: str, advice: str) -> str:
    if Path(text).is_dir() or not names_a_directory(text):
        return text
    if Path(text).exists():
        raise argparse.ArgumentTypeError(f"{text}: a file, not a directory")
    raise argparse.ArgumentTypeError(f"{text}: no such directory{advice}")
