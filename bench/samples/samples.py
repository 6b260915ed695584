"""Soul-Bench samples in the public layout: `<id>.json`, `<id>.png` and `<id>.wav` in one directory.

The id tells what a sample is: `NNNN_{human,comic}_{talk,sing}_{cn,en}_{female,male,unknown}`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, TypeAlias

from bench.samples.sample_files import find_beside, image_problem, read_texts, sound_length_s
from bench.samples.video_files import TAKEN, video_files

ID = re.compile(
    r"(?P<number>\d+)_(?P<category>[a-z]+)_(?P<mode>talk|sing)_(?P<language>[a-z]{2})_(?P<gender>female|male|unknown)"
)
Tell: TypeAlias = Callable[[str], object]
"""A function that is given a line which people should see before any work is done."""


def untold(line: str) -> None:
    """Ignore the line: for callers whose user has seen it already."""


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
    problems: Mapping[str, str] = field(default_factory=dict)
    """Which of its files cannot be used, `.json`, `.png` or `.wav` → why, in one line. The others are used."""

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
        """Length of the speech or song; None without it, or where it cannot be read."""
        try:
            return None if self.audio is None else sound_length_s(self.audio)
        except ValueError:
            return None

    def _part(self, name: str) -> str:
        match = ID.fullmatch(self.id)
        assert match is not None, "ids are checked when samples are read"
        return match[name]


def read_sample(path: Path) -> Sample:
    """The sample of one JSON file, with the image and the sound that lie beside it.

    Raises:
        ValueError: the name is not a Soul-Bench id, or the file is not a JSON object with an `en_prompt`.
    """
    _check_id(path)
    return _assemble(path, read_texts(path), {})


def read_samples(directory: Path, tell: Tell = untold) -> dict[str, Sample]:
    """All samples of a directory by id, sorted. A broken file affects only what it holds.

    Args:
        directory: of `<id>.json`, `.png` and `.wav`; hidden files are passed over.
        tell: given a line for every file that cannot be used.

    Raises:
        ValueError: there is no such directory, it cannot be read, or no sample in it can.
    """
    if not directory.is_dir():
        raise ValueError(f"no directory of samples at {directory}")
    try:
        listed = [path for path in directory.iterdir() if not path.name.startswith(".")]
        files = sorted(path for path in listed if path.suffix.lower() == ".json")
        samples, problems = _read_all(files)
    except OSError as error:
        raise ValueError(f"{directory} cannot be read ({error.strerror})") from error
    if not files:
        raise ValueError(f"{directory} holds no samples (<id>.json beside <id>.png and <id>.wav)")
    if not any(".json" not in sample.problems for sample in samples.values()):
        raise ValueError(problems[0])
    for problem in problems:
        tell(problem)
    return samples


def read_videos(directory: Path, samples: Mapping[str, Sample], tell: Tell = untold) -> dict[str, Path | None]:
    """A method's video of each sample, `<id>` with one of the usual endings; None where it made none.

    Args:
        directory: of the method.
        samples: by id.
        tell: given a line for every id that several files claim, and about other files that may be the missing videos.

    Raises:
        ValueError: there is no such directory, it cannot be read, or none of its files belongs to a sample.
    """
    files = video_files(directory, samples)
    if not files.found:
        raise ValueError(f"{directory} holds no video of these samples; {files.told_others()}. {TAKEN}")
    for note in files.notes(samples):
        tell(f"{directory}: {note}")
    return {id_: files.found.get(id_) for id_ in samples}


def _read_all(files: Sequence[Path]) -> tuple[dict[str, Sample], list[str]]:
    """Samples by id, and a line for each of their files that cannot be used."""
    samples: dict[str, Sample] = {}
    problems = []
    for path in files:
        try:
            _check_id(path)
        except ValueError as error:
            problems.append(f"left out: {error}")
            continue
        try:
            sample = _assemble(path, read_texts(path), {})
        except ValueError as error:
            sample = _assemble(path, {}, {".json": str(error)})
        samples[sample.id] = sample
        problems.extend(f"sample {sample.id}: {problem}" for problem in sample.problems.values())
    return samples, problems


def _check_id(path: Path) -> None:
    if ID.fullmatch(path.stem) is None:
        raise ValueError(
            f"{path}: {path.stem!r} is not a sample id; "
            "they look like 0036_human_talk_en_male (number, category, talk or sing, language, gender)"
        )


def _assemble(path: Path, texts: Mapping[str, Any], problems: Mapping[str, str]) -> Sample:
    """A sample from its texts and the files beside `path`; `problems` gains what is wrong with these."""
    image, audio = find_beside(path, ".png"), find_beside(path, ".wav")
    problems = dict(problems)
    if image is not None and (problem := image_problem(image)) is not None:
        problems[".png"] = problem
    if audio is not None:
        try:
            sound_length_s(audio)
        except ValueError as error:
            problems[".wav"] = str(error)
    named = {"en_prompt", "cn_prompt", "message"}
    return Sample(
        id=path.stem,
        prompt=texts.get("en_prompt", ""),
        prompt_cn=str(texts.get("cn_prompt", "")),
        message=str(texts.get("message", "")),
        attributes={name: value for name, value in texts.items() if name not in named},
        image=image,
        audio=audio,
        problems=problems,
    )
