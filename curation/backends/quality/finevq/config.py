"""Settings of FineVQ: which server, and what it looks at."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

from curation.backends.settings import PLACEMENT
from infra.served.endpoint import NotNowError
from infra.served.finevq import FineVqServer, Sampling

SERVE = "`python -m curation serve-models` serves it"


@dataclass(frozen=True, kw_only=True, slots=True)
class FineVqConfig:
    """Which server, which weights, and what FineVQ looks at."""

    packages: ClassVar[tuple[str, ...]] = ()

    url: str = field(default="http://127.0.0.1:8004", metadata=PLACEMENT)
    """Address of the server."""
    model: str | None = None
    """Name and version of the weights, as the server's /health tells them; None to accept any."""
    num_frames: int = 8
    """Frames for the language model; 8 as published."""
    side_px: int = 448
    """Side of the frames, in pixels; 448 as published."""
    motion_frames: int | None = None
    """Most frames for SlowFast, at least 32; None for every frame, as published."""
    timeout_s: float = field(default=300.0, metadata=PLACEMENT)
    """Of one answer."""
    patience_s: float = field(default=1800.0, metadata=PLACEMENT)
    """How long a server that is away is waited for, by all clips together: one that died is restarted, and loads for
    minutes."""

    def __post_init__(self) -> None:
        """Refuse impossible values."""
        _ = self.server, self.sampling
        if self.patience_s < 0:
            raise ValueError(f"patience_s must not be below 0, but is {self.patience_s}")

    @property
    def server(self) -> FineVqServer:
        """The server that is asked."""
        return FineVqServer(url=self.url, timeout_s=self.timeout_s)

    @property
    def sampling(self) -> Sampling:
        """What FineVQ looks at."""
        return Sampling(num_frames=self.num_frames, side_px=self.side_px, motion_frames=self.motion_frames)

    def missing(self) -> list[str]:
        """A line where no server answers, or where it runs other weights."""
        try:
            served = self.server.model()
        except NotNowError as error:
            return [f"no FineVQ at {self.url}: {error}; {SERVE}"]
        if self.model is not None and served != self.model:
            return [f"FineVQ at {self.url} runs {served}, not {self.model}"]
        return []

    def found(self) -> str:
        """The weights that the server runs, and its address."""
        return f"{self.server.model()} at {self.url}"
