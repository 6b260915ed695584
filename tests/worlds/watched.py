"""Made statuses of jobs, as a run's directory holds them."""

from __future__ import annotations

import copy
import json
import math
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

STAGES: Final = ("format", "scenes", "split", "quality", "caption")
COUNTS: Final = [
    {"name": "stage_seconds", "labels": ["caption"], "value": 60.0},
    {"name": "stage_seconds", "labels": ["probe"], "value": 5.0},
    {"name": "stage_seconds", "labels": ["split"], "value": 25.0},
    {"name": "stage_seconds", "labels": ["quality"], "value": 10.0},
    {"name": "machine_faults", "labels": ["the store throttles"], "value": 3.0},
    {"name": "served_requests", "labels": ["captions", "answered"], "value": 40.0},
    {"name": "served_requests", "labels": ["captions", "timed out"], "value": 10.0},
    {"name": "served_seconds", "labels": ["captions"], "value": 100.0},
    {"name": "served_tokens", "labels": ["Qwen3-VL", "prompt"], "value": 9000.0},
    {"name": "served_tokens", "labels": ["Qwen3-VL", "completion"], "value": 700.0},
    {"name": "of a later version", "labels": [], "value": 1.0},
]


def pool(name: str, stages: Sequence[str] = (), **known: int) -> dict[str, Any]:
    """A pool; two actors that are ready and busy, with a place each, unless told otherwise."""
    busy = {"ready": 2, "starting": 0, "most": 2, "places": 2, "in_hand": 2, "waiting": 0, "loads": 2}
    return {"name": name, "stages": list(stages), "loading_s": 3.0, **busy, **known}


POOLS: Final = [
    pool("cpu", STAGES[:4], waiting=120), pool("models", STAGES[4:], waiting=4), pool("commit", in_hand=0),
]  # fmt: skip


def history(
    began: float, *, until_s: float, step_s: float, per_step: int, planned: int = 10**9, every_s: float = 2.0
) -> list[dict[str, Any]]:
    """The history of a run that commits `per_step` units every `step_s` seconds, looked at every `every_s`.

    A unit has three clips, of which one is kept, and 30 seconds.
    """
    points = []
    for number in range(1, math.floor(until_s / every_s) + 1):
        units = min(planned, math.floor(number * every_s / step_s) * per_step)
        points.append(
            {"at": began + number * every_s, "units": units, "clips": 3 * units, "kept": units, "video_s": 30.0 * units}
        )
    return points


def status(*, job: str = "curation", began: float | None = None, **known: Any) -> dict[str, Any]:
    """A run of curation ten minutes after its beginning: 80 of 200 units committed, 8 a minute.

    Args:
        job: its name.
        began: Unix time; by default it is ten minutes later now.
        known: other values of the document.
    """
    began = time.time() - 600.0 if began is None else began
    document = {
        "job": job, "about": {"run": "made", "settings": "abc123", "num_done": 1200, "scratch": ""},
        "planned": 200, "began": began, "now": began + 600.0,
        "progress": {
            "units": 80, "failed": 2, "clips": 240, "kept": 150,
            "rejected": {
                "probe/unreadable": 2, "format/too_short": 8, "split/no_people": 40, "quality/low_score": 49,
                "worker/crashed": 1,
            },
            "video_s": 2400.0, "kept_video_s": 900.0, "num_bytes": 123_456_789, "commits": 10,
            "failures": {"bad-0001": "probe/unreadable: no moov atom", "worse-0002": "worker/crashed: it died"},
            "in_work": 6, "units_in_work": 5, "units_finished": 3, "waiting": {"the server is away": 2},
            "notes": ["no cuDNN on this node"], "counts": copy.deepcopy(COUNTS),
        },
        "pools": copy.deepcopy(POOLS), "nodes": 2, "attempts": 92, "lost": {"node left": 2}, "idle_s": 4.0,
        "oldest": "long-0007", "oldest_s": 33.0, "unit_timeout_s": 900.0, "ended": None,
        "units": {"waiting": 110, "in_work": 5, "finished": 3, "done": 78, "failed": 2, "left": 2},
        "history": history(began, until_s=600.0, step_s=60.0, per_step=8),
    }  # fmt: skip
    return {**document, **known}


def keep(run: Path, document: Any, *, name: str | None = None) -> None:
    """Put a document where a run keeps that of a job."""
    folder = run / "status"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name or document['job']}.json").write_text(json.dumps(document))
