"""What a model directory brings to try it with: portraits with speech and a prompt, named in `examples/examples.json`.

{"examples": [{"name": "...", "image": "portrait.png", "audio": "speech.wav", "prompt": "..."}]}
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from model.weights.files import locate, read_json

EXAMPLES_FILE: Final = "examples/examples.json"


@dataclass(frozen=True, kw_only=True, slots=True)
class Example:
    """One video that can be asked of a model."""

    name: str
    """What people are shown."""
    image: Path
    """The portrait."""
    audio: Path
    """The speech."""
    prompt: str
    """What happens."""


def read_examples(model: str) -> tuple[Example, ...]:
    """The examples of a model directory, a Hub id or the shipped network; empty where it brings none.

    Raises:
        ValueError: there is no such model, or its list is broken; one line.
    """
    file = locate(model, patterns=["examples/*"]) / EXAMPLES_FILE
    if not file.is_file():
        return ()
    try:
        return tuple(
            Example(
                name=str(entry["name"]),
                image=file.parent / entry["image"],
                audio=file.parent / entry["audio"],
                prompt=str(entry["prompt"]),
            )
            for entry in read_json(file)["examples"]
        )
    except (KeyError, TypeError) as error:
        raise ValueError(f"{file}: not a list of examples with name, image, audio and prompt: {error}") from None
