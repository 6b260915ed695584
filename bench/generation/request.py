"""What a sample's video is made from, and whether an existing video was made from the same.

Beside each `<id>.mp4` lies its record, `<id>.made.json`. A video whose record has another key is made again. A video
without a record was not made by this command and is never replaced.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.metrics.measured_video import file_hash
from bench.samples.samples import Sample
from infra.storage.files import write_atomically
from model.generation.request import Sampling
from model.pretrained.model_parts import ModelParts
from model.weights.directory import fingerprint
from model.weights.files import locate


@dataclass(frozen=True, kw_only=True, slots=True)
class Request:
    """One video to be made."""

    sample: Sample
    out: Path
    """The mp4."""
    origin: Mapping[str, Any]
    """All that determines the video: model, sampling, contents of image and sound, prompt."""
    num_clips: int = 0
    """Clips that the finished video consists of."""
    problem: str | None = None
    """Why it could not be made; one line."""

    @property
    def record(self) -> Path:
        """The file that says what the video was made from."""
        return self.out.with_suffix(".made.json")

    @property
    def key(self) -> str:
        """Sixteen hex digits of the origin."""
        return hashlib.sha256(json.dumps(self.origin, sort_keys=True).encode()).hexdigest()[:16]

    def is_made(self) -> bool:
        """Whether the video is there and was made from this origin."""
        try:
            known = json.loads(self.record.read_text(encoding="utf-8"))["key"]
        except (FileNotFoundError, ValueError, KeyError, TypeError):
            return False
        return known == self.key and self.out.is_file()

    def begin(self) -> None:
        """Write an empty record where there is none.

        An older video stays until the new one replaces it, which happens before `finish`.
        """
        if not self.record.is_file():
            self._write({"key": ""})

    def finish(self, about: Mapping[str, Any]) -> None:
        """Write the record: what the video was made from, and figures about it."""
        self._write({"key": self.key, **self.origin, **about})

    def give_up(self) -> None:
        """Remove the record and any older video, which is not of this origin."""
        for path in (self.out, self.out.with_suffix(".part.mp4"), self.record):
            path.unlink(missing_ok=True)

    def _write(self, values: Mapping[str, Any]) -> None:
        write_atomically(str(self.record), (json.dumps(values, indent=1, ensure_ascii=False) + "\n").encode())


@dataclass(frozen=True, kw_only=True, slots=True)
class Requests:
    """Which videos of a set of samples are to be made."""

    to_make: tuple[Request, ...]
    num_made: int
    """Videos that are there already."""
    incomplete: Mapping[str, str]
    """Sample of which no video can be made → what it lacks."""


def plan_requests(samples: Sequence[Sample], out: Path, parts: ModelParts, sampling: Sampling) -> Requests:
    """Compare the videos that are wanted with those in `out`.

    Raises:
        ValueError: there is no such model, or `out` holds videos that were not made here.
    """
    model = describe(parts)
    complete = {sample.id: sample for sample in samples if _lack(sample) is None}
    incomplete = {s.id: lack for s in samples if (lack := _lack(s)) is not None}
    wanted = [request_of(sample, out, model, sampling) for sample in complete.values()]
    foreign = [request.out for request in wanted if request.out.is_file() and not request.record.is_file()]
    if foreign:
        raise ValueError(f"{foreign[0]} was not made by this command: give another --out")
    to_make = tuple(request for request in wanted if not request.is_made())
    return Requests(to_make=to_make, num_made=len(wanted) - len(to_make), incomplete=incomplete)


def _lack(sample: Sample) -> str | None:
    """Why no video can be made, if so. Whether image and sound can be decoded shows only when they are read."""
    if ".json" in sample.problems:
        return "no prompt that can be read"
    if sample.image is None:
        return "no image"
    return "no sound" if sample.audio is None else None


def request_of(sample: Sample, out: Path, model: Mapping[str, Any], sampling: Sampling) -> Request:
    """The request of one sample, which has an image and sound."""
    assert sample.image is not None
    assert sample.audio is not None
    origin = {
        "sample": sample.id,
        "prompt": sample.prompt,
        "image": file_hash(sample.image),
        "audio": file_hash(sample.audio),
        "model": dict(model),
        "sampling": dataclasses.asdict(sampling),
    }
    return Request(sample=sample, out=out / f"{sample.id}.mp4", origin=origin)


def describe(parts: ModelParts) -> dict[str, Any]:
    """The model by its contents, because its directory may be trained further.

    Raises:
        ValueError: there is no such model, autoencoder or codebook.
    """
    if parts.codebook is not None and not parts.codebook.is_file():
        raise ValueError(f"{parts.codebook}: no such codebook")
    return {
        "model": "random" if parts.is_random else fingerprint(locate(parts.model)),
        "vae": None if parts.vae is None else fingerprint(locate(parts.vae)),
        "codebook": None if parts.codebook is None else file_hash(parts.codebook),
        "scheduler": parts.scheduler,
        "dtype": parts.dtype,
    }
