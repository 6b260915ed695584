"""FineVQ over HTTP: it runs in a server of its own, because its packages conflict with ours (transformers 4.37).

    GET  /health  → {"model": "<name and version of the weights>"}
    POST /score   {"video": "<base64 of the mp4>", "num_frames": 8, "side_px": 448, "motion_frames": null,
                   "prompt": "..."}
                  → {"score": 72.6}  or  {"error": "<why this video has none>"}

The server answers with an error for a video that it cannot read: FineVQ's own loader would take another video.
`infra/servers/finevq.py` is such a server.
"""

from __future__ import annotations

import base64
import math
from dataclasses import dataclass
from typing import Final

from infra.served import endpoint
from infra.served.endpoint import NotNowError

PROMPT: Final = "How would you rate the overall quality of this video?"
"""FineVQ's own."""
MIN_MOTION_FRAMES: Final = 32
"""SlowFast needs this many; the frames of a shorter video are repeated."""
HEALTH_TIMEOUT_S: Final = 10.0


class NoScoreError(Exception):
    """A video that has no score, whoever asks; the message is FineVQ's."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Sampling:
    """What FineVQ looks at in a video; the defaults are those that it is published with."""

    num_frames: int = 8
    """Frames for the language model, spread over the video."""
    side_px: int = 448
    """Side of the frames, in pixels."""
    motion_frames: int | None = None
    """Most frames for SlowFast, spread over the video; None for every frame. On a CPU 32 frames take 12 s."""

    def __post_init__(self) -> None:
        """Refuse impossible values."""
        if self.num_frames < 1 or self.side_px < 1:
            raise ValueError("FineVQ needs at least one frame, of at least one pixel")
        if self.motion_frames is not None and self.motion_frames < MIN_MOTION_FRAMES:
            raise ValueError(f"motion_frames must be at least {MIN_MOTION_FRAMES}, not {self.motion_frames}")


@dataclass(frozen=True, kw_only=True, slots=True)
class FineVqServer:
    """One server of FineVQ."""

    url: str
    """Without a path."""
    timeout_s: float = 300.0
    """Of one answer."""

    def __post_init__(self) -> None:
        """Refuse impossible values."""
        endpoint.check_url(self.url)
        if self.timeout_s <= 0:
            raise ValueError(f"timeout_s must be above 0, not {self.timeout_s}")

    def model(self) -> str:
        """Name and version of the weights that it runs.

        Raises:
            NotNowError: it gives no answer, or none of FineVQ's.
        """
        answer = endpoint.get(f"{self.url}/health", timeout_s=HEALTH_TIMEOUT_S)
        try:
            return str(answer["model"])
        except (KeyError, TypeError) as error:
            raise NotNowError("its /health names no model") from error

    def score(self, mp4: bytes, sampling: Sampling, *, tries: int = endpoint.RETRIES) -> float:
        """The overall quality of a video, about 0 to 100.

        Raises:
            NoScoreError: the video has no score.
            NotNowError: the server gives no answer, or none of FineVQ's.
        """
        body = {
            "video": base64.b64encode(mp4).decode(),
            "num_frames": sampling.num_frames,
            "side_px": sampling.side_px,
            "motion_frames": sampling.motion_frames,
            "prompt": PROMPT,
        }
        answer = endpoint.post(f"{self.url}/score", body, timeout_s=self.timeout_s, tries=tries)
        if isinstance(answer, dict) and "error" in answer:
            raise NoScoreError(str(answer["error"]))
        try:
            score = float(answer["score"])
        except (KeyError, TypeError, ValueError) as error:
            raise NotNowError("the server's answer has no score") from error
        if not math.isfinite(score):
            raise NoScoreError("the score is not a number")
        return score
