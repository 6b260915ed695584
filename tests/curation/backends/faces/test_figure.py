"""The eight-head figure from a face box, checked on drawn proportions."""

from __future__ import annotations

import pytest

from curation.backends.faces.figure import body_box, head_box, main_track, visible_heads
from curation.clip.observations import Box
from tests.worlds.people_clips import make_track


def figure_face(crown: float, head: float, x: float = 0.5) -> Box:
    """The face box of a figure whose head reaches from `crown` to `crown + head`, in a square picture."""
    size = head / 1.5
    return Box(x0=x - size / 2, y0=crown + head - size, x1=x + size / 2, y1=crown + head)


@pytest.mark.parametrize("heads", [1.2, 2.0, 3.5, 6.0, 7.5])
def test_the_lower_edge_is_found_in_heads(heads: float) -> None:
    crown = 0.05
    assert visible_heads(figure_face(crown, (1 - crown) / heads)) == pytest.approx(heads)


def test_there_is_nothing_below_the_soles() -> None:
    assert visible_heads(figure_face(0.3, 0.02)) == 8.0


def test_head_and_body_hang_together() -> None:
    face = figure_face(0.1, 0.2)
    head, body = head_box(face, 2.0), body_box(face, 2.0)
    assert (head.y0, head.y1) == pytest.approx((0.1, 0.3))
    # 1.3 head heights across, in a picture twice as wide as high.
    assert head.width * 2.0 == pytest.approx(1.3 * 0.2)
    assert (body.y0, body.y1) == pytest.approx((0.3, 1.0))
    assert body.x0 < head.x0 < head.x1 < body.x1
    short = body_box(face, 2.0, heads=3.0)
    assert short.y1 == pytest.approx(0.1 + 3 * 0.2)


def test_the_main_person_is_large_and_lasting() -> None:
    small = make_track([figure_face(0.1, 0.2)] * 8)
    false = make_track([figure_face(0.1, 0.5)])
    assert main_track((false, small)) is small
    assert main_track(()) is None
