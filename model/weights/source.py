"""What people name a model by: a directory, a Hub id or a preset, told apart before anything is loaded."""

import argparse
from pathlib import Path
from typing import Final

PRESETS: Final = ("tiny", "soul-5b")
"""Names that need no files; `model.pretrained.presets` holds what they are."""

SHIPPED: Final = "pretrained"
"""Names the small network that comes with Soul."""
SHIPPED_DIRECTORY: Final = Path(__file__).parents[1] / "pretrained" / "drawn_faces"
"""Its model directory."""


def is_shipped(source: str) -> bool:
    """Whether a name means the network that comes with Soul; a directory of that name comes first."""
    return source == SHIPPED and not Path(source).is_dir()


def names_a_directory(source: str) -> bool:
    """Whether a name can only mean a directory of this machine, which may not exist; it is never looked up on the Hub.

    A Hub id is `owner/name`. `runs/model` has its form, but means a directory where there is a folder `runs`.
    """
    if source.startswith((".", "/", "~")) or source.count("/") != 1 or source.endswith("/"):
        return True
    return Path(source).exists() or Path(source).parent.is_dir()


def model_source(text: str) -> str:
    """The type of an option that takes a model directory, a Hub id, a preset or `pretrained`.

    Raises:
        argparse.ArgumentTypeError: a directory that is not there.
    """
    return text if text in (*PRESETS, SHIPPED) else _checked(text, "")


def trained_model(text: str) -> str:
    """As `model_source`, for commands that make videos: if the directory is missing, the error says to train first.

    Raises:
        argparse.ArgumentTypeError: a directory that is not there.
    """
    if text in (*PRESETS, SHIPPED):
        return text
    return _checked(text, f"; train first (`make train`), or give `{SHIPPED}`: the small network that comes with Soul")


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
