"""Video quality by FineVQ behind an endpoint: its packages conflict with ours (it pins transformers 4.37).

The server is a few lines around FineVQ's own inference, in its own environment:

    GET  /health  → {"model": "<name and version of the weights>"}
    POST /score   {"video": "<base64 of the mp4>", "num_frames": 8, "side_px": 448, "prompt": "..."}
                  → {"score": 72.6}  or  {"error": "<why this video has none>"}

The server must answer with an error for a video that it cannot read: FineVQ's own loader would take another video.
"""

from __future__ import annotations

import base64
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from bench.metrics.metric import Metric, NoValueError, Outcome, VideoInput
from bench.values import Better, Value
from curation.media import probe
from infra.served import endpoint
from infra.served.endpoint import NotNowError

REVISION = 1
"""Raised whenever the code gives other numbers for the same settings."""
PROMPT = "How would you rate the overall quality of this video?"
"""FineVQ's own."""


@dataclass(frozen=True, kw_only=True, slots=True)
class FineVqConfig:
    """The endpoint, and FineVQ's published sampling."""

    url: str | None = None
    """Address of the server; see the module."""
    num_frames: int = 8
    """Frames for the language model."""
    side_px: int = 448
    """Side of these frames, in pixels."""
    timeout_s: float = 300.0
    """Of one answer."""

    def __post_init__(self) -> None:
        """Refuse impossible values."""
        if self.url is not None:
            endpoint.check_url(self.url)


class FineVq(Metric):
    """FineVQ's overall score."""

    name: ClassVar[str] = "finevq"
    needs: ClassVar[tuple[str, ...]] = ("FineVQ served in its own environment (--finevq-url)",)
    values: ClassVar[tuple[Value, ...]] = (
        Value(name="video_quality", better=Better.HIGHER, unit="", about="FineVQ's overall score, 0 to 100"),
    )

    def __init__(self, config: FineVqConfig | None = None) -> None:
        self.config = config or FineVqConfig()
        self._model: str | None = None

    @property
    def parameters(self) -> Mapping[str, Any]:
        """Sampling, and what the server says it runs."""
        config = self.config
        shown = {"num_frames": config.num_frames, "side_px": config.side_px, "prompt": PROMPT}
        return {"revision": REVISION, "model": self._served() if config.url else None, **shown}

    def available(self) -> str | None:
        """Ask the server for its health."""
        how = "serve FineVQ in an environment of its own (see bench/metrics/finevq.py) and pass --finevq-url"
        if self.config.url is None:
            return f"no endpoint: {how}"
        try:
            self._served()
        except NotNowError as error:
            return f"no FineVQ at {self.config.url}: {error}; {how}"
        return None

    def measure(self, video: VideoInput) -> Outcome:
        """See the class."""
        probe(str(video.path))
        answer = endpoint.post(
            f"{self.config.url}/score",
            {
                "video": base64.b64encode(video.path.read_bytes()).decode(),
                "num_frames": self.config.num_frames,
                "side_px": self.config.side_px,
                "prompt": PROMPT,
            },
            timeout_s=self.config.timeout_s,
        )
        if isinstance(answer, dict) and "error" in answer:
            raise NoValueError("refused by FineVQ", message=str(answer["error"]))
        try:
            score = float(answer["score"])
        except (KeyError, TypeError, ValueError) as error:
            raise NotNowError("the server's answer has no score") from error
        if not math.isfinite(score):
            raise NoValueError("not a number by FineVQ")
        return Outcome(values={"video_quality": score})

    def _served(self) -> str:
        if self._model is None:
            answer = endpoint.get(f"{self.config.url}/health", timeout_s=10.0)
            try:
                self._model = str(answer["model"])
            except (KeyError, TypeError) as error:
                raise NotNowError("its /health names no model") from error
        return self._model
