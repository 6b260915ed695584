"""Defects measured on keyframes and frame statistics; no weights needed."""

from __future__ import annotations

from collections.abc import Mapping

import cv2

from curation.backends.defects.borders import blurred_fill, dark_bars
from curation.backends.defects.corner_logo import corner_logo
from curation.backends.defects.stillness import blank_s, frozen_s, still_s
from curation.clip.schema import Clip


class MeasuredDefects:
    """Borders, blurred fill, corner marks, frozen and blank spans."""

    def detect(self, clip: Clip) -> Mapping[str, float]:
        """Severities: `letterbox`, `pillarbox`, `blurred_fill` (share of height or width), `logo` (share of
        the area), `frozen_s`, `still_s`, `blank_s` (seconds).
        """
        severities: dict[str, float] = {}
        if clip.stats is not None:
            severities["frozen_s"] = frozen_s(clip.stats)
            severities["blank_s"] = blank_s(clip.stats)
        greys = [cv2.cvtColor(frame.image(), cv2.COLOR_BGR2GRAY) for frame in clip.keyframes]
        if not greys:
            return severities
        severities["letterbox"], severities["pillarbox"] = dark_bars(greys)
        severities["blurred_fill"] = blurred_fill(greys)
        severities["still_s"] = still_s([frame.time_s for frame in clip.keyframes], greys)
        mark = corner_logo(greys)
        severities["logo"] = mark.area if mark else 0.0
        return severities
