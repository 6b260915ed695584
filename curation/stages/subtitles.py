"""Subtitles: clips with heavy, persistent text laid over the picture are rejected; filmed text may stay."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from curation.backends.models import NO_MODELS, ModelsConfig
from curation.backends.registry import TEXT_DETECTORS
from curation.backends.text.detector import TextBox
from curation.backends.text.overlay import Band, Motion, encode_overlays, find_bands, join_lines
from curation.clip.schema import Clip
from curation.rules.rule import Limit, Rule, decide_clip

STAGE = "subtitles"


@dataclass(frozen=True, kw_only=True, slots=True)
class SubtitleConfig:
    """Which text is burned in, and how much of it is heavy."""

    backend: str = "rapidocr"
    """Text detector. The paper uses PaddleOCR (Sec. 4.1); RapidOCR runs the same PP-OCR models."""

    num_keyframes: int = 3
    """Keyframes looked at, spread over the clip. Two are enough for most clips (see `SubtitleFilter`)."""

    min_width: float = 0.25
    """Overlaid text on a keyframe is heavy from this width: the sum of the widths of its lines, in picture widths. A
    station's logo is 0.05 to 0.15 wide, a caption of five Chinese characters about 0.25."""

    min_persistence: float = 0.5
    """A clip is rejected when at least this fraction of its keyframes has heavy text. Captions come and go with speech,
    so not every keyframe has one; a line on one keyframe alone is not persistent."""

    max_angle_deg: float = 3.0
    """Slant up to which a line counts as horizontal. Captions are; measured jitter of the detector: 1°."""

    lower_zone: float = 0.55
    """Captions lie below this fraction of the picture's height. Portrait videos set them high."""

    upper_zone: float = 0.25
    """Titles lie above this fraction of the height."""

    still_margin: float = 0.15
    """Before a fixed camera a sign stands as still as a banner. Text that neither moves nor changes over a still
    picture counts only when its outer edge is within this fraction of the height from the top or bottom, where banners
    are set (signs, maps and screens are further inside), or when it is set like a caption (see `centred_tolerance`)."""

    centred_tolerance: float = 0.03
    """Captions are centred exactly, so still text in the lower zone also counts when its middle is this close to the
    picture's, in picture widths. Measured on captions: 0.01 at most."""

    title_width: float = 0.4
    """A single line outside both zones counts from this width, and only over a picture that moves."""

    def __post_init__(self) -> None:
        if self.num_keyframes < 2:
            raise ValueError(f"subtitles.num_keyframes must be at least 2, not {self.num_keyframes}")
        for name in (
            "min_width",
            "min_persistence",
            "lower_zone",
            "upper_zone",
            "still_margin",
            "centred_tolerance",
            "title_width",
        ):
            value = getattr(self, name)
            if not 0 < value <= 1:
                raise ValueError(f"subtitles.{name} must be in (0, 1], not {value}")
        if not 0 <= self.max_angle_deg <= 45:
            raise ValueError(f"subtitles.max_angle_deg must be in [0, 45], not {self.max_angle_deg}")

    @property
    def rules(self) -> tuple[Rule, ...]:
        """What rejects a clip. As long as keyframes that were not looked at could change it, it is not settled."""
        heavy = Limit("subtitle_lasting_width", ">=", self.min_width, "min_width")
        open_ = Limit("subtitle_possible_width", ">=", self.min_width, "min_width")
        return (Rule(name="heavy_text", limits=(heavy,), unsettled=open_),)

    def needed(self, num_keyframes: int) -> int:
        """On how many of the keyframes text has to be to last."""
        return max(2, math.ceil(self.min_persistence * num_keyframes))


@dataclass(frozen=True, slots=True)
class _Look:
    """What a few keyframes showed."""

    widths: tuple[float, ...]
    """Width of overlaid text on each keyframe."""
    text_widths: tuple[float, ...]
    """Width of any text, filmed or overlaid."""
    overlays: tuple[Band, ...]
    text_area: float
    """Mean fraction of the picture under any text, filmed or overlaid."""


class SubtitleFilter:
    """Reject clips with heavy, persistent burned-in text (paper, Sec. 4.1).

    Text detection dominates the cost, so the keyframes are looked at in turn, the outermost first, and the rest is left
    out as soon as there is too little text, filmed or overlaid, for the clip to be rejected. Those that are needed in
    any case are looked at together.
    """

    def __init__(self, config: SubtitleConfig, models: ModelsConfig = NO_MODELS) -> None:
        self.config = config
        self.detector = TEXT_DETECTORS.build(config.backend, models)

    def __call__(self, clip: Clip) -> Clip:
        """Scores: how wide lasting text is and could still be, area of any text, and where overlays lie."""
        images = [clip.keyframes[i].image() for i in self._order(len(clip.keyframes))]
        needed = self.config.needed(len(images))
        look = self._look(images, needed)
        heavy = sum(width >= self.config.min_width for width in look.widths)
        widest = max(look.overlays, key=lambda band: band.width, default=None)
        unseen = [math.inf] * (len(images) - len(look.widths))
        clip = clip.with_scores(
            subtitle_lasting_width=_widest(look.widths, needed),
            subtitle_possible_width=_widest([*look.text_widths, *unseen], needed) if unseen else None,
            subtitle_persistence=heavy / max(1, len(look.widths)),
            subtitle_width=float(np.mean(look.widths)) if look.widths else 0.0,
            subtitle_text_area=look.text_area,
            subtitle_motion=widest.motion.value if widest else None,
            subtitle_overlays=encode_overlays(look.overlays),
            subtitle_num_keyframes=len(look.widths),
        )
        return decide_clip(clip, STAGE, self.config.rules)

    def _order(self, num_keyframes: int) -> list[int]:
        """Numbers of the keyframes to look at: the first and the last of them, then those between."""
        wanted = min(self.config.num_keyframes, num_keyframes)
        spread = [int(num_keyframes * (i + 0.5) / wanted) for i in range(wanted)]
        return [*spread[:1], *spread[1:][-1:], *spread[1:-1]]

    def _look(self, images: list[npt.NDArray[np.uint8]], needed: int) -> _Look:
        lines: list[tuple[TextBox, ...]] = []
        widths: tuple[float, ...] = ()
        while len(lines) < len(images):
            # With so many more that show no text, the clip could not be rejected any more.
            possible = sum(width >= self.config.min_width for width in widths) + len(images) - len(lines)
            if possible < needed:
                break
            some = images[len(lines) : len(lines) + possible - needed + 1]
            lines += map(join_lines, self.detector.detect(some))
            widths = tuple(sum(line.box.width for line in found) for found in lines)
        return self._judge(lines, widths, images)

    def _judge(
        self, lines: list[tuple[TextBox, ...]], text_widths: tuple[float, ...], images: list[npt.NDArray[np.uint8]]
    ) -> _Look:
        overlays = tuple(band for band in find_bands(lines, images[: len(lines)]) if self._is_overlay(band))
        widths = [0.0] * len(lines)
        for band in overlays:
            for number, line in band.lines:
                widths[number] += line.box.width
        area = float(np.mean([sum(line.box.area for line in found) for found in lines])) if lines else 0.0
        return _Look(tuple(widths), text_widths, overlays, area)

    def _is_overlay(self, band: Band) -> bool:
        config = self.config
        angle_deg = float(np.median([line.angle_deg for _, line in band.lines]))
        if band.motion is Motion.MOVED or abs(angle_deg) > config.max_angle_deg:
            return False
        middle = band.box.centre[1]
        in_zone = middle >= config.lower_zone or middle <= config.upper_zone
        if band.motion is Motion.OVER_MOTION:
            return in_zone or band.width >= config.title_width
        if band.motion is Motion.CHANGED:
            return in_zone
        if middle >= config.lower_zone and abs(band.box.centre[0] - 0.5) <= config.centred_tolerance:
            return True
        return band.box.y0 <= config.still_margin or band.box.y1 >= 1 - config.still_margin


def _widest(widths: Sequence[float], count: int) -> float:
    """The width that text has on at least `count` of the keyframes."""
    return sorted(widths, reverse=True)[count - 1] if len(widths) >= count else 0.0
