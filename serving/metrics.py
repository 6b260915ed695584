"""What the server counts, in the text of Prometheus."""

from __future__ import annotations

from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

_SECONDS: Final = (0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1800)
_RATIOS: Final = (0.25, 0.5, 1, 2, 5, 10, 20, 50, 100, 200)


class Metrics:
    """Counters of one server."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self.queued = Gauge("soul_queue_length", "Requests that wait.", registry=self._registry)
        self.running = Gauge("soul_running", "Requests that are with a replica.", registry=self._registry)
        self.ended = Counter(
            "soul_requests", "Accepted requests that have ended, by outcome.", ("outcome",), registry=self._registry
        )
        self.refused = Counter(
            "soul_refused", "Requests that were not accepted, by HTTP's status.", ("status",), registry=self._registry
        )
        self.retries = Counter(
            "soul_retries", "Times that a request was made again, its replica having failed.", registry=self._registry
        )
        self.first_fragment = Histogram(
            "soul_first_fragment_seconds",
            "From acceptance to the first fragment of the video.",
            buckets=_SECONDS,
            registry=self._registry,
        )
        self.pace = Histogram(
            "soul_seconds_per_video_second",
            "Seconds of work for one second of video.",
            buckets=_RATIOS,
            registry=self._registry,
        )

    def text(self) -> bytes:
        """All of it."""
        return generate_latest(self._registry)
