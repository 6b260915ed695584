from __future__ import annotations

from collections import Counter

from curation.encoding.curated_clips import CuratedClip
from curation.encoding.references import group_clips

AREA = 96 * 96


def clip(key: str, **changes: object) -> CuratedClip:
    values = {
        "source": "a.mp4", "pool": "human", "shot": (0.0, 20.0), "is_crop": False, "width": 640, "height": 640,
        "num_frames": 100,
    }  # fmt: skip
    return CuratedClip(key=key, **(values | changes))  # type: ignore[arg-type]


def test_only_clips_of_one_shot_and_shape_lend_each_other_frames() -> None:
    clips = [
        clip("a-0"),
        clip("a-1"),
        clip("a-2", shot=(20.0, 40.0)),
        clip("a-3", is_crop=True),
        clip("a-4", width=1280),
        clip("b-0", source="b.mp4"),
    ]
    groups = group_clips(clips, area=AREA, num_references=64)
    assert [[member.key for member in group.clips] for group in groups] == [
        ["a-0", "a-1"], ["a-2"], ["a-3"], ["a-4"], ["b-0"]
    ]  # fmt: skip
    for group in groups:
        keys = {member.key for member in group.clips}
        assert {draw.key for draws in group.draws.values() for draw in draws} == keys
    assert groups[3].size == (64, 128)


def test_frames_are_drawn_uniformly_over_all_of_them_and_once() -> None:
    long, short = clip("long", num_frames=300), clip("short", num_frames=100)
    counts: Counter[str] = Counter()
    for number in range(1000):
        asking = clip(f"asking-{number}", num_frames=100)
        (group,) = group_clips([asking, long, short], area=AREA, num_references=4)
        draws = group.draws[asking.key]
        assert len(set(draws)) == 4
        counts.update(draw.key if draw.key in {"long", "short"} else "own" for draw in draws)
        for draw in draws:
            assert 0 <= draw.frame < (300 if draw.key == "long" else 100)
    # 4000 draws: a share of 1/5 has a standard deviation of 0.6 %.
    assert abs(counts["long"] / 4000 - 0.6) < 0.03
    assert abs(counts["short"] / 4000 - 0.2) < 0.025


def test_draws_belong_to_the_clip() -> None:
    groups = [group_clips([clip("a"), clip("b")], area=AREA, num_references=4)[0] for _ in range(2)]
    assert groups[0].draws == groups[1].draws
    assert groups[0].draws["a"] != groups[0].draws["b"]
    asked = groups[0].asked_of("a")
    assert asked == sorted({d.frame for draws in groups[0].draws.values() for d in draws if d.key == "a"})


def test_a_short_clip_alone_repeats_frames() -> None:
    (group,) = group_clips([clip("a", num_frames=2)], area=AREA, num_references=4)
    assert len(group.draws["a"]) == 4
