"""A metric that a video can make fail, and a job that measures with it wherever its workers run."""

from __future__ import annotations

import errno
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from bench.evaluation.job import EvaluationJob, EvaluationWorker
from bench.metrics.metric import Metric, VideoInput
from bench.values import Better, Value


class Fickle(Metric):
    """Does what the video's bytes say: `{"raise": …}`, `{"value": …}`, `{"detail": …}`."""

    name: ClassVar[str] = "fickle"
    values: ClassVar[tuple[Value, ...]] = (Value(name="fickle", better=Better.HIGHER, unit="", about="what it says"),)

    @property
    def parameters(self) -> Mapping[str, Any]:
        return {}

    def measure(self, video: VideoInput) -> Mapping[str, float]:
        orders = json.loads(video.path.read_text())
        match orders.get("raise"):
            case "bug":
                nothing: Any = None
                return {"fickle": nothing.sample_rate}
            case "library":
                raise RuntimeError(f"{video.path}: cannot\nread [/{video.sample.id}] at 0x7f8899aabbcc <script>")
            case "full":
                raise OSError(errno.ENOSPC, "No space left on device", str(video.path))
            case "memory":
                raise MemoryError
            case "assert":
                raise AssertionError
        return {"fickle": float(orders["value"])}


@dataclass(frozen=True, kw_only=True, slots=True)
class FickleJob(EvaluationJob):
    """Measures `fickle`."""

    def worker(self, stages: Sequence[str], *, debug: bool, units_in_flight: int = 1) -> EvaluationWorker:
        return EvaluationWorker({"fickle": Fickle()})


def write_orders(folder: Path, orders: Mapping[str, Mapping[str, Any]]) -> Path:
    """A method's directory whose videos are orders."""
    folder.mkdir(parents=True, exist_ok=True)
    for id_, one in orders.items():
        (folder / f"{id_}.mp4").write_text(json.dumps(one))
    return folder
