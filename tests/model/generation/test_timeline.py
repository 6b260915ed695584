from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.codecs.geometry import latent_frames
from model.generation.timeline import num_clips, plan_clips


def test_the_papers_geometry() -> None:
    first, second, third = plan_clips(309, clip_latents=28, overlap_latents=2)
    assert (first.overlap, first.new, first.frames) == (range(0), range(1, 28), range(109))
    assert (second.overlap, second.new, second.frames) == (range(26, 28), range(28, 53), range(109, 209))
    assert (third.overlap, third.new, third.frames) == (range(51, 53), range(53, 78), range(209, 309))
    assert [len(plan.decoded) for plan in (first, second, third)] == [28, 25, 25]
    assert second.sounding == tuple(range(26, 53))
    assert [plan.index for plan in (first, second, third)] == [0, 1, 2]
    assert [plan.num_clean for plan in (first, second, third)] == [1, 3, 3]


@pytest.mark.parametrize(("num_frames", "clips"), [(1, 1), (109, 1), (110, 2), (209, 2), (210, 3)])
def test_a_clip_is_added_with_the_first_frame_that_the_others_lack(num_frames: int, clips: int) -> None:
    assert num_clips(num_frames, clip_latents=28, overlap_latents=2) == clips


def test_the_last_clip_is_denoised_whole_and_decoded_as_far_as_the_speech() -> None:
    *_, last = plan_clips(112, clip_latents=28, overlap_latents=2)
    assert last.num_latents == 28
    assert last.decoded == range(28, 29)
    assert last.frames == range(109, 112)


@given(
    num_frames=st.integers(1, 3000),
    geometry=st.tuples(st.integers(2, 40), st.integers(0, 8)).filter(lambda g: g[0] >= g[1] + 2),
)
def test_every_frame_and_every_latent_once(num_frames: int, geometry: tuple[int, int]) -> None:
    clip_latents, overlap_latents = geometry
    plans = list(plan_clips(num_frames, clip_latents=clip_latents, overlap_latents=overlap_latents))
    assert len(plans) == num_clips(num_frames, clip_latents=clip_latents, overlap_latents=overlap_latents)
    assert [f for plan in plans for f in plan.frames] == list(range(num_frames))
    assert [k for plan in plans for k in plan.decoded] == list(range(latent_frames(num_frames)))
    assert all(plan.num_latents == clip_latents for plan in plans)
    for before, after in pairwise(plans):
        assert list(after.overlap) == list(before.new)[len(before.new) - overlap_latents :] or overlap_latents > len(
            before.new
        )
        assert after.new.start == before.new.stop


def test_a_clip_without_room_is_refused() -> None:
    with pytest.raises(
        ValueError, match=r"^a clip of 3 latents has no room for new ones behind a pivot and 2 overlapping"
    ):
        list(plan_clips(10, clip_latents=3, overlap_latents=2))
    with pytest.raises(ValueError, match=r"^a video has at least one frame, got 0$"):
        list(plan_clips(0, clip_latents=28, overlap_latents=2))
