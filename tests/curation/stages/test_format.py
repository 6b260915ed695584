from __future__ import annotations

from dataclasses import replace

import pytest

from curation.clip.schema import Decision, Source
from curation.stages.format import FormatConfig, FormatFilter
from tests.worlds.synthetic_run import media

FILE = media(1280, 720, 4.0)
INFO = replace(FILE.info, codec="hevc", pixel_format="yuv420p10le", color_matrix="bt709")


DEFAULT = FormatConfig()


def rule_of(config: FormatConfig = DEFAULT, /, **changes: str) -> str | None:
    info = replace(INFO, **changes)  # type: ignore[arg-type]
    source = FormatFilter(config)(Source(uri="a.mov", media=replace(FILE, info=info)))
    if source.rejection is None:
        return None
    assert source.rejection == Decision(stage="format", rule=source.rejection.rule)
    return source.rejection.rule


@pytest.mark.parametrize("transfer", ["smpte2084", "arib-std-b67", "dolby-vision"])
def test_high_dynamic_range_has_a_rule_of_its_own(transfer: str) -> None:
    assert rule_of(color_transfer=transfer) == "hdr"
    assert rule_of(FormatConfig(take_hdr=True), color_transfer=transfer) is None


@pytest.mark.parametrize(
    ("field", "value", "rule"),
    [
        ("color_transfer", "linear", "colour_transfer"),
        ("color_transfer", "log100", "colour_transfer"),
        ("color_matrix", "ictcp", "colour_matrix"),
        ("color_matrix", "ycgco", "colour_matrix"),
        ("color_transfer", "unknown", None),
        ("color_transfer", "iec61966-2-1", None),
        ("color_primaries", "bt2020", None),
        ("field_order", "tt", None),
    ],
)
def test_what_cannot_be_shown_truthfully_is_rejected(field: str, value: str, rule: str | None) -> None:
    assert rule_of(DEFAULT, **{field: value}) == rule


def test_interlaced_video_is_rejected_where_that_is_asked_for() -> None:
    assert rule_of(FormatConfig(take_interlaced=False), field_order="bb") == "interlaced"
    assert rule_of(FormatConfig(take_interlaced=False), field_order="progressive") is None
