"""The interface of a metric: what it needs, what it gives, and a call that never raises for bad data."""

from __future__ import annotations

import hashlib
import json
import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any, ClassVar

from bench.samples.samples import Sample
from bench.values import Value
from bench.weights.source import Weights
from curation.media import MediaError

READING = 2
"""Raised whenever reading changes so that the same files give other frames, times, colours or sound samples."""


class Input(StrEnum):
    """What a metric uses besides the pictures; a control that changes none of it is skipped."""

    AUDIO = "audio"
    IMAGE = "image"
    """The reference image."""
    PROMPT = "prompt"


@dataclass(frozen=True, kw_only=True, slots=True)
class VideoInput:
    """A video and what it was made from."""

    path: Path
    sample: Sample
    audio: Path | None = None
    """A wav that replaces the video's own sound (for controls, or methods that publish silent videos)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """What a metric gives for one video: values, or the reason why there are none."""

    values: Mapping[str, float] = field(default_factory=dict)
    reason: str | None = None
    detail: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def none(cls, reason: str, **detail: Any) -> Outcome:
        """No value, and why."""
        return cls(reason=reason, detail=detail)


class NoValueError(Exception):
    """Raised while measuring: this video has no value; the message is the reason, short and countable."""

    def __init__(self, reason: str, **detail: Any) -> None:
        super().__init__(reason)
        self.reason = reason
        self.detail = detail


class Metric(ABC):
    """A measure of one video.

    Constructing one is cheap: weights are loaded, and endpoints asked, when the first video comes.
    """

    name: ClassVar[str]
    needs: ClassVar[tuple[str, ...]] = ()
    """What must be there, in words: packages, weight files, endpoints."""
    weights: ClassVar[tuple[Weights, ...]] = ()
    """Where its weights come from; `python -m bench fetch-weights` gets them."""
    values: ClassVar[tuple[Value, ...]]
    inputs: ClassVar[frozenset[Input]] = frozenset()

    @property
    @abstractmethod
    def parameters(self) -> Mapping[str, Any]:
        """Everything that changes the numbers: settings, versions, hashes of weights. The protocol is made from it."""

    @property
    def protocol(self) -> str:
        """Twelve hex digits that change with `parameters`."""
        plain = json.dumps({"metric": self.name, "reading": READING, **self.parameters}, sort_keys=True, default=str)
        return hashlib.sha256(plain.encode()).hexdigest()[:12]

    def available(self) -> str | None:
        """None if the metric can run here, else one line: what is missing and how to get it."""
        return None

    @abstractmethod
    def measure(self, video: VideoInput) -> Mapping[str, float] | Outcome:
        """The values of a video.

        Raises:
            NoValueError: there is none.
            MediaError: it cannot be read.
            NotNowError: an endpoint did not answer; no row is written, and the next run tries again.
        """

    def __call__(self, video: VideoInput) -> Outcome:
        """The values of a video, or why there are none.

        Raises:
            NotNowError: an endpoint did not answer.
            Exception: a bug; an evaluation of many videos turns it into a row.
        """
        try:
            outcome = self.measure(video)
        except MediaError as error:
            return Outcome.none(error.rule.replace("_", " "), message=error.detail)
        except NoValueError as error:
            return Outcome.none(error.reason, **error.detail)
        outcome = outcome if isinstance(outcome, Outcome) else Outcome(values=outcome)
        wrong = [name for name, value in outcome.values.items() if not math.isfinite(value)]
        return Outcome.none(f"{wrong[0]} is not a finite number", **outcome.detail) if wrong else outcome
