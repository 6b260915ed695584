"""Soul-Bench samples in the public layout: `<id>.json`, `<id>.png` and `<id>.wav` in one directory.

The id tells what a sample is: `NNNN_{human,comic}_{talk,sing}_{cn,en}_{female,male,unknown}`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Any

import cv2
import soundfile

from curation.backends.face import build_face_detector
from curation.backends.face_geometry import visible_heads
from curation.schema import ShotType
from curation.stages.pose import PoseConfig

ID = re.compile(
    r"(?P<number>\d+)_(?P<category>[a-z]+)_(?P<mode>talk|sing)_(?P<language>[a-z]{2})_(?P<gender>female|male|unknown)"
)
DURATION_EDGES_S = (10.0, 20.0, 27.0, 30.0)
"""Bounds of the duration slices; [27, 30] is the fullest bin of the paper's Fig. 4."""


@dataclass(frozen=True, kw_only=True)
class Sample:
    """What a method is given, and what it is about."""

    id: str
    prompt: str
    """English, as methods are given it."""
    prompt_cn: str = ""
    """The same in Chinese."""
    message: str = ""
    """What is spoken or sung."""
    attributes: Mapping[str, Any] = field(default_factory=dict)
    """Everything else in the JSON: age, nationality, personality, ..."""
    image: Path | None = None
    """The reference image, where there is one."""
    audio: Path | None = None
    """The speech or song, where there is one."""

    @property
    def category(self) -> str:
        """`human`, `comic`, ..."""
        return self._part("category")

    @property
    def mode(self) -> str:
        """`talk` or `sing`."""
        return self._part("mode")

    @property
    def language(self) -> str:
        """`cn`, `en`, ..."""
        return self._part("language")

    @property
    def gender(self) -> str:
        """`female`, `male` or `unknown`."""
        return self._part("gender")

    @cached_property
    def duration_s(self) -> float | None:
        """Length of the speech or song; None without it."""
        return None if self.audio is None else float(soundfile.info(str(self.audio)).duration)

    @cached_property
    def shot(self) -> str | None:
        """`portrait`, `upper_body` or `full_body`; None where there is no image or no face is found in it.

        The public files do not say, so it is measured on the image as curation measures shots (figure of eight heads).
        """
        image = None if self.image is None else cv2.imread(str(self.image))
        faces = () if image is None else build_face_detector("dlib_hog").detect(image)
        return shot_type(visible_heads(faces[0].box)).value if faces else None

    def slices(self) -> dict[str, str]:
        """The groups that the sample belongs to, by name of the grouping; `unknown` where it cannot be told."""
        return {
            "category": self.category,
            "mode": self.mode,
            "language": self.language,
            "gender": self.gender,
            "shot": self.shot or "unknown",
            "duration": duration_slice(self.duration_s),
        }

    def _part(self, name: str) -> str:
        match = ID.fullmatch(self.id)
        assert match is not None, "ids are checked when samples are read"
        return match[name]


def shot_type(heads: float) -> ShotType:
    """The type of a shot that ends `heads` head heights below the crown."""
    limits = PoseConfig()
    if heads < limits.portrait_below_heads:
        return ShotType.PORTRAIT
    return ShotType.UPPER_BODY if heads < limits.full_body_from_heads else ShotType.FULL_BODY


def duration_slice(duration_s: float | None) -> str:
    """The duration bin, such as `20-27 s`."""
    if duration_s is None:
        return "unknown"
    edges = (0.0, *DURATION_EDGES_S)
    for low, high in pairwise(edges):
        if duration_s < high or (high == edges[-1] and duration_s == high):
            return f"{low:g}-{high:g} s"
    return f"over {edges[-1]:g} s"


def read_sample(path: Path) -> Sample:
    """The sample of one JSON file, with the image and the sound that lie beside it.

    Raises:
        ValueError: the name is not a Soul-Bench id, or the file is not a JSON object with an `en_prompt`.
    """
    if ID.fullmatch(path.stem) is None:
        raise ValueError(
            f"{path}: {path.stem!r} is not a sample id; "
            "they look like 0036_human_talk_en_male (number, category, talk or sing, language, gender)"
        )
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        prompt = values.pop("en_prompt")
    except (OSError, ValueError, AttributeError, KeyError, TypeError) as error:
        raise ValueError(f"{path} is not a sample: expected a JSON object with an 'en_prompt' ({error})") from error
    image, audio = path.with_suffix(".png"), path.with_suffix(".wav")
    return Sample(
        id=path.stem,
        prompt=str(prompt),
        prompt_cn=str(values.pop("cn_prompt", "")),
        message=str(values.pop("message", "")),
        attributes=values,
        image=image if image.is_file() else None,
        audio=audio if audio.is_file() else None,
    )


def read_samples(directory: Path) -> dict[str, Sample]:
    """All samples of a directory by id, sorted.

    Raises:
        ValueError: there is no such directory, it holds no sample, or one of them is broken.
    """
    if not directory.is_dir():
        raise ValueError(f"no directory of samples at {directory}")
    files = sorted(directory.glob("*.json"))
    if not files:
        raise ValueError(f"{directory} holds no samples (<id>.json beside <id>.png and <id>.wav)")
    return {path.stem: read_sample(path) for path in files}


def read_videos(directory: Path, samples: Mapping[str, Sample]) -> dict[str, Path | None]:
    """A method's video of each sample, `<id>.mp4`; None where it made none.

    Raises:
        ValueError: there is no such directory, or none of its videos belongs to a sample.
    """
    if not directory.is_dir():
        raise ValueError(f"no directory of videos at {directory}")
    videos = {id_: directory / f"{id_}.mp4" for id_ in samples}
    if not any(path.is_file() for path in videos.values()):
        raise ValueError(f"{directory} holds no video of these samples; they are named <id>.mp4")
    return {id_: path if path.is_file() else None for id_, path in videos.items()}
