"""How stages are put together."""

from __future__ import annotations

import threading
from dataclasses import replace

import pytest

import curation.stage
from curation.clip.schema import Clip, Source
from curation.stage import EachClip, InOrder
from tests.worlds.synthetic_run import clip, source


def marked(clip: Clip) -> Clip:
    return clip.with_scores(seen=1.0)


def test_a_stage_of_clips_sees_those_that_are_kept() -> None:
    made = source("/in/a.mp4", 1280, 720, 15.0)
    clips = (clip(made, 0), clip(made, 1).reject("faces", "no_face"), clip(made, 2))
    done = EachClip(marked)(replace(made, clips=clips))
    assert ["seen" in each.scores for each in done.clips] == [True, False, True]
    assert [each.key for each in done.clips] == [each.key for each in clips]


def test_stages_of_one_name_follow_each_other() -> None:
    made = source("/in/a.mp4", 1280, 720, 15.0)

    def first(source: Source) -> Source:
        return replace(source, metadata={"order": "1"})

    def second(source: Source) -> Source:
        return replace(source, metadata={"order": f"{source.metadata['order']}2"})

    assert InOrder(first, second)(made).metadata == {"order": "12"}


@pytest.mark.parametrize("in_flight", [1, 3])
def test_every_clip_is_a_sign_of_life_of_its_source(in_flight: int, monkeypatch: pytest.MonkeyPatch) -> None:
    made, signs = source("/in/a.mp4", 1280, 720, 15.0), list[int]()
    monkeypatch.setattr(curation.stage, "sign_of_life", lambda: signs.append(threading.get_ident()))
    EachClip(marked, in_flight=in_flight)(replace(made, clips=tuple(clip(made, index) for index in range(3))))
    # Given in the thread that works on the source: those that work on its clips have no deadline.
    assert signs == [threading.get_ident()] * 3
