"""What a set is to be made of: weights of the values along every dimension that the paper names (Sec. 4.2, Fig. 4)."""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from curation.clip.schema import ShotType

Weights = Mapping[str, float]

SUBJECTS: Final = ("human", "animation", "animal")
CATEGORIES: Final = {"human": "human", "animation": "comic", "animal": "comic"}
"""Subject → its category in an id; the public set files animals under `comic`."""
MODES: Final = ("talk", "sing")
GENDERS: Final = ("female", "male")
LANGUAGES: Final = {"en": "English", "cn": "Chinese"}
"""Languages in which a message can be checked → their names in the public JSON."""
SPAN = re.compile(r"(\d+(?:\.\d+)?)-(\d+(?:\.\d+)?)")
SIZE = re.compile(r"([1-9]\d*)x([1-9]\d*)")
SHOTS: Final = tuple(shot.value for shot in (ShotType.PORTRAIT, ShotType.UPPER_BODY, ShotType.FULL_BODY))


@dataclass(frozen=True, kw_only=True, slots=True)
class Shares:
    """Weights of the values of each dimension. They are divided by their sum, so the counts of Fig. 4 can be given."""

    subject: Weights
    """`human`, `animation`, `animal`."""
    mode: Weights
    """`talk`, `sing`; the paper generates talking only and adds real singing by hand."""
    language: Weights
    """`en`, `cn`."""
    gender: Weights
    """`female`, `male`, of humans and animation; animals are `unknown`."""
    age: Weights
    """Bands in years such as `18-34`, of humans and animation."""
    shot: Weights
    """`portrait`, `upper_body`, `full_body`."""
    duration_s: Weights
    """Spans in seconds such as `27-30` that the speech should last."""
    prompt_words: Weights
    """Spans such as `60-75`: words of the English scene prompt."""
    size: Weights
    """Width x height of the image in pixels, such as `832x1216`."""
    human_style: Weights
    """How a human is photographed, in words for the writer."""
    animation_style: Weights
    """How an animated character is drawn."""
    animal_style: Weights
    """How an animal is shown."""
    accessories: Weights
    """What is worn, of humans and animation."""
    environment: Weights
    """Where it takes place."""
    objects: Weights
    """What is touched or held; `none` for nothing."""

    def __post_init__(self) -> None:
        """Refuse what cannot be planned."""
        for name in (field.name for field in dataclasses.fields(self)):
            _check_weights(name, getattr(self, name))
        known = {"subject": SUBJECTS, "mode": MODES, "language": LANGUAGES, "gender": GENDERS, "shot": SHOTS}
        for name, values in known.items():
            wrong = [value for value in getattr(self, name) if value not in values]
            if wrong:
                raise ValueError(f"{name} has no {wrong[0]!r}; there are {', '.join(values)}")
        for name in ("age", "duration_s", "prompt_words"):
            for value in getattr(self, name):
                span(value)
        for value in self.size:
            size(value)


def span(text: str) -> tuple[float, float]:
    """The ends of a span such as `27-30`.

    Raises:
        ValueError: the text is not a span.
    """
    found = SPAN.fullmatch(text)
    if found is None or not float(found[1]) < float(found[2]):
        raise ValueError(f"{text!r} is not a span such as 27-30")
    return float(found[1]), float(found[2])


def size(text: str) -> tuple[int, int]:
    """Width and height in pixels, of a size such as `832x1216`.

    Raises:
        ValueError: the text is not a size.
    """
    found = SIZE.fullmatch(text)
    if found is None:
        raise ValueError(f"{text!r} is not a size such as 832x1216")
    return int(found[1]), int(found[2])


def counts(weights: Weights, num: int) -> dict[str, int]:
    """How many of `num` each value gets: shares rounded by largest remainder; of equal ones the first goes first.

    The counts add up to `num`, and each differs from its exact share by less than one.
    """
    total = math.fsum(weights.values())
    exact = {value: weight / total * num for value, weight in weights.items()}
    found = {value: math.floor(share) for value, share in exact.items()}
    by_remainder = sorted(exact, key=lambda value: found[value] - exact[value])
    for value in by_remainder[: num - sum(found.values())]:
        found[value] += 1
    return found


def _check_weights(name: str, weights: Weights) -> None:
    if not all(math.isfinite(weight) and weight >= 0 for weight in weights.values()):
        raise ValueError(f"the weights of {name} must be numbers of at least 0")
    if not math.fsum(weights.values()) > 0:
        raise ValueError(f"{name} needs a value of a weight above 0")
