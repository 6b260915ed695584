"""Defects: clips with bars, a station's logo, frozen or blank spans are rejected."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from curation.backends.models import NO_MODELS, ModelsConfig
from curation.backends.registry import DEFECT_DETECTORS
from curation.backends.settings import PLACEMENT
from curation.backends.text.overlay import Motion, decode_overlays
from curation.clip.observations import Box
from curation.clip.schema import Clip
from curation.rules.rule import Limit, Rule, decide_clip

STAGE = "defects"
MEASURED = ("frozen_s", "blank_s", "letterbox", "pillarbox", "blurred_fill", "still_s", "logo")
"""Kinds of defects that are measured, in the order in which they are judged."""
ASKED = (
    "poor_image",
    "visible_logo",
    "subtitles",
    "watermark",
    "split_screen",
    "no_recording",
    "effects",
)
"""Kinds of defects that a language model is asked about; it gives the probability of each."""


@dataclass(frozen=True, kw_only=True, slots=True)
class DefectConfig:
    """Which detector, and how much of each defect may stay. A clip is rejected above a limit, not at it."""

    backend: str = "measured"
    """Defect detector. The paper lets a multimodal language model flag defects (Sec. 4.1)."""
    second_backend: str | None = None
    """Another one, for the clips that the first one lets pass: what is measured costs nothing, and a model need not be
    asked about it. None for nobody."""
    in_flight: int = field(default=8, metadata=PLACEMENT)
    """Clips of one source that are looked at at the same time."""

    max_letterbox: float = 0.03
    """Share of the height that dark bars at top and bottom may take together: broadcast blanking and padding
    to a multiple of 16 stay below it, the flattest letterbox in use (1.78 in 1.66) takes 0.07."""

    max_pillarbox: float = 0.03
    """Share of the width that dark bars at both sides may take together."""

    max_blurred_fill: float = 0.0
    """Share of the width that bars of blurred fill may take; bars that are found take 0.1 and more."""

    max_logo: float = 0.0
    """Share of the area that a mark in a corner may take; marks that are found take 0.0008 and more."""

    max_logo_text_width: float = 0.3
    """Overlaid text in a corner counts as a logo up to this width; wider text is a banner, which the subtitles stage
    has judged."""

    max_frozen_s: float = 1.0
    """Longest span in which every frame repeats the one before. Measured: 0.03 s at most in clips to keep
    (variable frame rate), 5 s in a still image under speech."""

    max_still_s: float = 2.0
    """Longest span in which nothing changes from keyframe to keyframe. Measured: 0 s in clips to keep, the
    calmest talking head and an animated portrait included; a listener may pause for a second."""

    max_blank_s: float = 0.2
    """Longest blank span: a flash or a dip of a few frames may stay, a fade to black may not."""

    max_poor_image: float = 0.5
    """Highest probability of a poor picture that a language model may give."""
    max_visible_logo: float = 0.5
    """The same for a logo or emblem over the picture."""
    max_subtitles: float = 0.5
    """The same for text over the picture that the subtitles stage has let pass."""
    max_watermark: float = 0.5
    """The same for a watermark."""
    max_split_screen: float = 0.5
    """The same for a picture that is put together from several."""
    max_no_recording: float = 0.5
    """The same for slideshows, screen recordings and video games."""
    max_effects: float = 0.5
    """The same for stickers, filters and transitions."""

    def __post_init__(self) -> None:
        shares = (
            "max_letterbox",
            "max_pillarbox",
            "max_blurred_fill",
            "max_logo",
            "max_logo_text_width",
            *(f"max_{kind}" for kind in ASKED),
        )
        for name in shares:
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"defects.{name} must be in [0, 1], not {getattr(self, name)}")
        for name in ("max_frozen_s", "max_still_s", "max_blank_s"):
            if not getattr(self, name) >= 0:
                raise ValueError(f"defects.{name} must not be negative, but is {getattr(self, name)}")
        if self.second_backend == self.backend:
            raise ValueError("defects.second_backend must be another one than defects.backend")
        if self.in_flight < 1:
            raise ValueError(f"defects.in_flight must be at least 1, not {self.in_flight}")

    @property
    def rules_by_look(self) -> tuple[tuple[Rule, ...], tuple[Rule, ...]]:
        """What rejects a clip by what the first detector finds, and by what the second one finds after that."""
        # The first detector's findings have the logos that are text beside them.
        looks = ((*ASKED, "logo"), MEASURED) if self.backend == "qwen_vl" else (MEASURED, ASKED)
        first, second = (tuple(map(self._rule, kinds)) for kinds in looks)
        return first, second

    @property
    def rules(self) -> tuple[Rule, ...]:
        """What rejects a clip."""
        first, second = self.rules_by_look
        return first + second

    def _rule(self, kind: str) -> Rule:
        limit = Limit(f"defect_{kind}", ">", getattr(self, f"max_{kind}"), f"max_{kind}")
        return Rule(name=kind.removesuffix("_s"), limits=(limit,))


class DefectFilter:
    """Reject clips with a defect above its limit (paper, Sec. 4.1)."""

    def __init__(self, config: DefectConfig, models: ModelsConfig = NO_MODELS) -> None:
        self.config = config
        self.detector = DEFECT_DETECTORS.build(config.backend, models)
        second = config.second_backend
        self.second = None if second is None else DEFECT_DETECTORS.build(second, models)

    def __call__(self, clip: Clip) -> Clip:
        """Scores: the severity of every kind of defect that was looked for."""
        for severities in self._findings(clip):
            assert severities.keys() <= {*MEASURED, *ASKED}, "every kind has a limit"
            clip = clip.with_scores(**{f"defect_{kind}": severity for kind, severity in severities.items()})
            clip = decide_clip(clip, STAGE, self.config.rules)
            if not clip.kept:
                break
        return clip

    def _findings(self, clip: Clip) -> Iterator[Mapping[str, float]]:
        """Those of each detector in turn; the second one looks only when it is asked for its own."""
        found = {**self.detector.detect(clip)}
        yield {**found, "logo": max(found.get("logo", 0.0), self._logo_text(clip))}
        if self.second is not None:
            yield self.second.detect(clip)

    def _logo_text(self, clip: Clip) -> float:
        """Area of the largest text that the subtitles stage saw fixed in a corner over a moving picture; 0 if none."""
        encoded = clip.scores.get("subtitle_overlays")
        if not isinstance(encoded, str):
            return 0.0
        return max(
            (
                box.area
                for motion, box in decode_overlays(encoded)
                if motion is Motion.OVER_MOTION and self._in_corner(box)
            ),
            default=0.0,
        )

    def _in_corner(self, box: Box) -> bool:
        narrow = box.width <= self.config.max_logo_text_width
        return narrow and (box.x1 <= 0.4 or box.x0 >= 0.6) and (box.y1 <= 0.25 or box.y0 >= 0.75)
