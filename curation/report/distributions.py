"""The six distributions that the paper shows of Soul-1M (Fig. 3), for a run's kept clips."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from curation.shards.columns import numbers, strings

DISTRIBUTION_COLUMNS = ("shot_type", "num_people", "audio_type", "audio_kept", "width", "height", "start_s", "end_s")
NOT_MEASURED = "not measured"

Masks = Mapping[str, npt.NDArray[np.bool_]]


@dataclass(frozen=True, kw_only=True, slots=True)
class Bin:
    """One bar."""

    label: str
    count: int
    share: float
    """Share of all kept clips, 0 to 1."""
    soul_1m: float | None
    """Share that the paper gives for Soul-1M; None where its bins differ."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Distribution:
    """One chart."""

    title: str
    bins: tuple[Bin, ...]
    note: str = ""

    @property
    def scale(self) -> float:
        """Share that the longest bar stands for."""
        return max([0.01, *(max(bin_.share, bin_.soul_1m or 0.0) for bin_ in self.bins)])


def distributions(kept: pa.Table) -> list[Distribution]:
    """The six charts.

    Args:
        kept: the kept clips, with at least `DISTRIBUTION_COLUMNS`. Clips that lack a value are counted in a bin of
            their own, so that the bins of a chart always add up to all kept clips.
    """
    charts: tuple[tuple[str, Callable[[pa.Table], Masks], Sequence[float | None], str], ...] = (
        ("Shot type", _shot_type, (0.3, 0.4, 0.1, 0.2), ""),
        ("Number of people", _num_people, (0.1, 0.75, 0.15), ""),
        ("Audio type", _audio_type, (0.75, 0.05, 0.2), "“No audio” includes clips whose sound was dropped."),
        (
            "Resolution",
            _resolution,
            (0.03, 0.42, 0.5, 0.05),
            "By the short edge: 720P from 720 pixels, 1080P from 1080, 4K from 2160; 480P is what is below.",
        ),
        ("Aspect ratio", _aspect_ratio, (None, 0.3, 0.25, 0.45, None), "r = width / height; 1 within one percent."),
        ("Duration", _duration, (), "The paper gives whole videos (≤ 10 s: 50 %, 10–30 s: 45 %), not sub-clips."),
    )
    return [_distribution(title, measure(kept), paper, note, kept.num_rows) for title, measure, paper, note in charts]


def _distribution(title: str, masks: Masks, paper: Sequence[float | None], note: str, total: int) -> Distribution:
    counts = {label: int(mask.sum()) for label, mask in masks.items()}
    rest = total - sum(counts.values())
    references = [*paper, *[None] * len(counts)]
    bins = [
        Bin(label=label, count=count, share=count / max(1, total), soul_1m=reference)
        for (label, count), reference in zip(counts.items(), references, strict=False)
        if count or reference is not None or not paper
    ]
    if rest:
        bins.append(Bin(label=NOT_MEASURED, count=rest, share=rest / total, soul_1m=None))
    return Distribution(title=title, bins=tuple(bins), note=note)


def _shot_type(kept: pa.Table) -> Masks:
    values = strings(kept, "shot_type")
    names = {"portrait": "Portrait", "upper_body": "Upper body", "full_body": "Full body", "none": "No body"}
    return {label: values == value for value, label in names.items()}


def _num_people(kept: pa.Table) -> Masks:
    people = numbers(kept, "num_people")
    return {"No person": people == 0, "Single": people == 1, "Multiple": people > 1}


def _audio_type(kept: pa.Table) -> Masks:
    has_audio = pc.fill_null(kept["audio_kept"], fill_value=False).to_numpy().astype(bool)
    kind = strings(kept, "audio_type")
    return {
        "Talking": has_audio & (kind == "talking"),
        "Singing": has_audio & (kind == "singing"),
        "No audio": ~has_audio | (kind == "none"),
        "Not told apart": has_audio & (kind == "unknown"),
    }


def _resolution(kept: pa.Table) -> Masks:
    short = np.fmin(numbers(kept, "width"), numbers(kept, "height"))
    return {
        "480P": short < 720,
        "720P": (short >= 720) & (short < 1080),
        "1080P": (short >= 1080) & (short < 2160),
        "4K": short >= 2160,
    }


def _aspect_ratio(kept: pa.Table) -> Masks:
    height = numbers(kept, "height")
    ratio = numbers(kept, "width") / np.where(height > 0, height, np.nan)
    square = np.abs(ratio - 1) <= 0.01
    return {
        "r < 0.5": ratio < 0.5,
        "0.5 ≤ r < 1": (ratio >= 0.5) & (ratio < 1) & ~square,
        "r = 1": square,
        "1 < r ≤ 2": (ratio > 1) & (ratio <= 2) & ~square,
        "r > 2": ratio > 2,
    }


def _duration(kept: pa.Table) -> Masks:
    # Frame times miss 4.2 s by rounding; rounding to a hundredth of a second keeps it on its side of the edge.
    seconds = np.round(numbers(kept, "end_s") - numbers(kept, "start_s"), 2)
    edges = (0.0, 4.0, 4.2, 4.4, 4.6, 4.8, 5.0, 10.0, 30.0, np.inf)
    labels = (
        *("under 4 s", "4.0–4.2 s", "4.2–4.4 s", "4.4–4.6 s", "4.6–4.8 s", "4.8–5.0 s"),
        *("5–10 s", "10–30 s", "over 30 s"),
    )
    masks = {
        label: (seconds >= low) & (seconds < high)
        for label, low, high in zip(labels, edges[:-1], edges[1:], strict=True)
    }
    # The longest possible sub-clip belongs to the last bin of 4–5 s.
    longest = np.abs(seconds - 5.0) <= 0.05
    masks["4.8–5.0 s"] |= longest
    masks["5–10 s"] &= ~longest
    inside = list(labels[1:6])
    return {label: mask for label, mask in masks.items() if label in inside or mask.any()}
