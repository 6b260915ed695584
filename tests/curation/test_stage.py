"""How stages are put together."""

from __future__ import annotations

from dataclasses import replace

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
