"""What passes between the queue and a replica."""

from __future__ import annotations

from dataclasses import dataclass

from model.generation.request import Sampling
from serving.progress import Progress


@dataclass(frozen=True, kw_only=True, slots=True)
class Order:
    """One video to be made."""

    portrait: bytes
    """The picture's file."""
    speech: bytes
    """The sound's file."""
    seconds: float | None
    """Of the speech that are used; None for all."""
    prompt: str
    sampling: Sampling


@dataclass(frozen=True, kw_only=True, slots=True)
class News:
    """How far a video is, and what has been written of it since the last news."""

    pid: int
    """The process that makes it."""
    progress: Progress
    fragments: bytes
    """Of fragmented MP4."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Piece:
    """A piece of the finished file; they come in order, after the last news."""

    data: bytes


@dataclass(frozen=True, kw_only=True, slots=True)
class Refused:
    """The request cannot be made, by whatever replica."""

    reason: str


Event = News | Piece | Refused
