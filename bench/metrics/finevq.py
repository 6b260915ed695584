"""Video quality by FineVQ, which runs in a server of its own (`infra/served/finevq.py` has the protocol)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from bench.metrics.metric import Metric, NoValueError, Outcome, VideoInput
from bench.values import Better, Value
from bench.weights.source import HubWeights, Weights
from curation.media import probe
from infra.served import endpoint
from infra.served.endpoint import NotNowError
from infra.served.finevq import PROMPT, FineVqServer, NoScoreError, Sampling

REVISION = 1
"""Raised whenever the code gives other numbers for the same settings."""


@dataclass(frozen=True, kw_only=True, slots=True)
class FineVqConfig:
    """The endpoint, and FineVQ's published sampling."""

    url: str | None = None
    """Address of the server."""
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
    weights: ClassVar[tuple[Weights, ...]] = (
        HubWeights(
            repository="IntMeGroup/FineVQ_score",
            licence="none stated",
            about_bytes=17_000_000_000,
            only_if_named="they are for a server, which needs FineVQ's code too: a checkout of "
            "github.com/IntMeGroup/FineVQ in models/FineVQ",
        ),
    )
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
        how = "serve FineVQ (make serve-models, or python -m infra.servers.finevq) and pass --finevq-url"
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
        sampling = Sampling(num_frames=self.config.num_frames, side_px=self.config.side_px)
        try:
            score = self._server().score(video.path.read_bytes(), sampling)
        except NoScoreError as error:
            raise NoValueError("no score by FineVQ", message=str(error)) from error
        return Outcome(values={"video_quality": score})

    def _server(self) -> FineVqServer:
        assert self.config.url is not None, "a metric that is not available is not asked"
        return FineVqServer(url=self.config.url, timeout_s=self.config.timeout_s)

    def _served(self) -> str:
        if self._model is None:
            self._model = self._server().model()
        return self._model
