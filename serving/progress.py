"""How far a video is."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class Progress:
    """How far a video is."""

    clips: int
    """Clips that are written."""
    num_clips: int
    """Clips of the whole video."""
    steps: int
    """Denoising steps that are done."""
    num_steps: int
    """Denoising steps of the whole video."""
