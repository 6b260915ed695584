"""How much one request may ask of the server, and how many may wait."""

from __future__ import annotations

from dataclasses import dataclass, fields

from model.codecs.image import AREAS


@dataclass(frozen=True, kw_only=True, slots=True)
class Limits:
    """Every bound of the server; a request beyond one is refused with a line that names it."""

    queue: int = 64
    """Requests that wait at most, of all clients together."""
    queue_per_client: int = 32
    """Requests of one client that wait at most, so that no client can fill the queue alone."""
    upload_mb: int = 64
    """Size of a request's body, and of what its URLs lead to, in millions of bytes."""
    megapixels: int = 50
    """Size of a portrait, looked up before it is decoded: decoding takes some 12 bytes a pixel."""
    speech_s: int = 600
    """Length of the speech, and so of the video."""
    steps: int = 100
    """Denoising steps of a clip."""
    area: int = AREAS["1080p"]
    """Pixels of a frame of the video."""
    keep: int = 100
    """Finished requests that are kept."""
    keep_h: float = 24.0
    """Hours for which they are kept."""

    def __post_init__(self) -> None:
        """Refuse impossible values."""
        for field in fields(self):
            if getattr(self, field.name) <= 0:
                raise ValueError(f"--{field.name.replace('_', '-')} must be above 0, not {getattr(self, field.name)}")
