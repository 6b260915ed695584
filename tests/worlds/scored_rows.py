"""Made-up results with known truth: which method is better, which ties, which drifts."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from bench.rows import Row
from bench.values import Better, Value

CATALOGUE = {
    "av_align": (
        Value(name="av_align", better=Better.HIGHER, unit="", about="onsets and motion peaks that meet"),
        Value(name="num_onsets", better=Better.NEITHER, unit="", about="sound onsets"),
    ),
    "appearance": (Value(name="colour_drift", better=Better.LOWER, unit="ΔE", about="colour moved away"),),
    "mouth_sync": (
        Value(name="mouth_offset", better=Better.ZERO, unit="frames", about="by how much the sound is late"),
    ),
}
HOSTILE = "</script><script>alert(1)</script><img src=x onerror=alert(2)>\"'{{ 1234567 * 7 }}"
QUALITY = {"Good": 0.5, "Same": 0.5, "Poor": 0.2}


def sample_ids(num: int) -> list[str]:
    return [
        f"{index:04d}_human_{('talk', 'sing')[index % 2]}_{('en', 'cn')[index % 3 == 0]}_female" for index in range(num)
    ]


def groups(samples: Sequence[str]) -> dict[str, dict[str, str]]:
    return {one: {"mode": one.split("_")[2], "language": one.split("_")[3], "shot": "unknown"} for one in samples}


def rows(samples: Sequence[str], *, controls: Sequence[str] = (), protocol: str = "aaaa") -> list[Row]:
    """`Same` is now a little better than `Good`, now worse; `Poor` is worse; every seventh video has no face."""
    made = []
    for method, quality in QUALITY.items():
        for index, sample in enumerate(samples):
            like = "Good" if method == "Same" else method
            rng = np.random.default_rng(zlib.crc32(f"{like} {sample}".encode()))
            better = 0.02 * (-1) ** index if method == "Same" else 0.0
            for control in ("", *controls):
                spoilt = 0.15 if control else 0.0
                score = quality + better - spoilt + float(rng.normal(0, 0.05))
                made.append(replace(_av_align(method, sample, protocol, score, rng), control=control))
                if control:
                    continue
                made.append(_appearance(method, sample, protocol, quality, rng))
                made.append(_mouth(method, sample, protocol, quality, rng, has_face=index % 7 != 3))
    return made


def row(**fields: Any) -> Row:
    plain: dict[str, Any] = {"method": "Good", "sample": "x", "metric": "av_align", "protocol": "aaaa"}
    return Row(**{**plain, "video": "v", "inputs": "i", **fields})


def _av_align(method: str, sample: str, protocol: str, score: float, rng: np.random.Generator) -> Row:
    onsets = np.sort(rng.uniform(0, 24, 40)).round(3)
    detail = {
        "onsets_s": onsets.tolist(),
        "peaks_s": sorted([*onsets[::2].tolist(), *rng.uniform(0, 24, 20).round(3).tolist()]),
        "motion": rng.gamma(2, 0.2, 600).round(3).tolist(),
        "fps": 25.0,
    }
    values = {"av_align": score, "num_onsets": 40.0}
    return row(method=method, sample=sample, protocol=protocol, values=values, detail=detail)


def _appearance(method: str, sample: str, protocol: str, quality: float, rng: np.random.Generator) -> Row:
    curve = ((1 - quality) * 0.4 * np.arange(24) + rng.normal(0, 0.3, 24)).round(3)
    return row(
        method=method,
        sample=sample,
        metric="appearance",
        protocol=protocol,
        values={"colour_drift": float(curve[-1])},
        detail={"colour_drift_by_second": curve.tolist()},
    )


def _mouth(method: str, sample: str, protocol: str, quality: float, rng: np.random.Generator, *, has_face: bool) -> Row:
    if not has_face:
        return row(method=method, sample=sample, metric="mouth_sync", protocol=protocol, reason="no face")
    offsets = np.arange(-15, 16)
    curve = np.exp(-((offsets - 1) ** 2) / 8) * quality + rng.normal(0, 0.03, 31)
    windows = np.exp(-((offsets - 1) ** 2) / 8)[None] * -1 + rng.normal(0, 0.2, (24, 31))
    return row(
        method=method,
        sample=sample,
        metric="mouth_sync",
        protocol=protocol,
        values={"mouth_offset": float(rng.integers(-1, 2) if quality > 0.3 else rng.integers(4, 9))},
        detail={"curve": curve.round(3).tolist(), "distance_map": windows.round(2).tolist()},
    )
