"""Real cases added by hand (paper, Sec. 4.2, step 4: singing that matters in practice and cannot be generated)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

from bench.builder.briefs import sample_id
from bench.builder.build import IMAGE, SOUND, Build, content_hash, store
from bench.builder.failure import StepFailedError
from bench.builder.image import PngImage, check_image, read_image
from bench.builder.ledger import Entry, Kind
from bench.builder.shares import LANGUAGES
from bench.builder.speech import Recording, check_sound, read_sound
from infra.config import build as read_config
from infra.config import read_yaml

TEMPLATE: Final = """\
image: singer.jpg          # beside this file; any format that OpenCV reads
audio: song.flac           # any format that libsndfile reads
category: human            # or comic
mode: sing                 # or talk
language: cn               # or en
gender: female             # male, unknown
en_prompt: The woman in the image sings ...
cn_prompt: 画面中的女士正在唱歌……
message: the words that are sung
age: 30
nationality: unknown
hobbies: []
personality: ""
source: where image and sound are from
licence: CC0-1.0
note: who agreed to what, if anything
added_by: your name
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class RealCase:
    """A case as a person describes it."""

    image: Path
    """Beside the description, or absolute."""
    audio: Path
    category: Literal["human", "comic"]
    mode: Literal["talk", "sing"]
    language: Literal["en", "cn"]
    gender: Literal["female", "male", "unknown"]
    en_prompt: str
    cn_prompt: str
    message: str
    """What is sung or said."""
    source: str
    """Where image and sound are from, as the public JSON states it."""
    licence: str
    """Licence under which image and sound may be published."""
    added_by: str
    speaking_language: str = ""
    """Given where it is not the language of the id: the public set files Japanese under `en`."""
    age: int | Literal["unknown"] = "unknown"
    nationality: str = "unknown"
    hobbies: Sequence[str] = ()
    personality: str = ""
    note: str = ""

    def __post_init__(self) -> None:
        """Refuse empty texts."""
        needed = ("en_prompt", "cn_prompt", "message", "source", "licence", "added_by")
        empty = [name for name in needed if not getattr(self, name).strip()]
        if empty:
            raise ValueError(f"{empty[0]} must not be empty")

    def texts(self) -> dict[str, Any]:
        """The JSON of the sample, in the fields of the public set."""
        return {
            "gender": self.gender,
            "age": self.age,
            "nationality": self.nationality,
            "speaking_language": self.speaking_language or LANGUAGES[self.language],
            "hobbies": list(self.hobbies),
            "personality": self.personality,
            "message": self.message,
            "source": self.source,
            "cn_prompt": self.cn_prompt,
            "en_prompt": self.en_prompt,
            "main_character": self.category,
        }


@dataclass(frozen=True, kw_only=True, slots=True)
class Added:
    """The result of adding a case."""

    id: str
    is_new: bool
    """False where the same case had been added before."""


def add_case(build: Build, description: Path) -> Added:
    """Add a case: its files are copied, it gets an id, and the ledger records where it is from.

    Raises:
        ValueError: the description, the image or the sound is not what it should be.
    """
    case = read_config(RealCase, read_yaml(description), str(description))
    decoded, sound = _read_files(build, case, description.parent)
    wav = sound.to_wav()
    contents = {"image_content": content_hash(decoded.png), "sound_content": content_hash(wav)}
    texts = case.texts()
    for id_, known in build.state.cases.items():
        if all(known[name] == value for name, value in {"texts": texts, **contents}.items()):
            return Added(id=id_, is_new=False)
    number = build.spec.target + len(build.state.cases) + 1
    id_ = sample_id(number, case.category, case.mode, case.language, case.gender)
    store(build.directory.case_file(id_, IMAGE), decoded.png)
    store(build.directory.case_file(id_, SOUND), wav)
    told = {name: getattr(case, name) for name in ("source", "licence", "note", "added_by")}
    files = {"image_file": case.image.name, "audio_file": case.audio.name}
    measured = {"duration_s": round(sound.duration_s, 3), "size": list(decoded.size)}
    entry = Entry(
        kind=Kind.ADDED, sample=id_, data={"texts": texts, **contents, "provenance": {**told, **files, **measured}}
    )
    build.ledger.append([entry])
    build.state.cases[id_] = entry.data
    return Added(id=id_, is_new=True)


def _read_files(build: Build, case: RealCase, folder: Path) -> tuple[PngImage, Recording]:
    """Image and sound, checked against the limits of generated ones except for duration and aspect ratio."""
    image, audio = folder / case.image, folder / case.audio
    try:
        decoded = read_image(image.read_bytes())
        check_image(build.spec.image, decoded)
    except (OSError, ValueError, StepFailedError) as error:
        raise ValueError(f"{image}: {_words(error)}") from error
    try:
        sound = read_sound(audio.read_bytes())
        check_sound(build.spec.speech, sound)
    except (OSError, ValueError, StepFailedError) as error:
        raise ValueError(f"{audio}: {_words(error)}") from error
    return decoded, sound


def _words(error: Exception) -> str:
    if isinstance(error, StepFailedError):
        return f"{error.reason} ({error.detail})" if error.detail else error.reason
    return str(getattr(error, "strerror", None) or error)
