"""Who is who: figures that stand, walk, cross and hide."""

from __future__ import annotations

import numpy as np
import pytest

from curation.backends.pose.found_person import FoundPerson
from curation.backends.pose.tracking import MAX_GAP_KEYFRAMES, follow
from tests.worlds.figures import figure

MIN_SCORE = 0.3


def tracks_of(people: list[list[FoundPerson]]) -> list[list[int]]:
    """The keyframes of each track."""
    return [[index for index, _ in track] for track in follow(people, MIN_SCORE)]


@pytest.mark.parametrize("order", [1, -1])
def test_two_who_cross_stay_who_they_are(order: int) -> None:
    """They meet in the middle, where they hide each other; they are told apart by where they go, not by their size."""
    left, right = np.linspace(100, 500, 9), np.linspace(500, 100, 9)
    people = [[figure(a, 50, 40), figure(b, 50, 41)][::order] for a, b in zip(left, right, strict=True)]
    tracks = follow(people, MIN_SCORE)
    assert len(tracks) == 2
    for track in tracks:
        heights = {round(person.box[3] - person.box[1]) for _, person in track}
        assert len(heights) == 1
        assert len(track) == 9


def test_somebody_who_is_hidden_while_crossing_is_found_again() -> None:
    left, right = np.linspace(100, 500, 9), np.linspace(500, 100, 9)
    people = [[figure(a, 50, 40), figure(b, 50, 41)] for a, b in zip(left, right, strict=True)]
    for hidden in (3, 4, 5):
        people[hidden] = people[hidden][:1]
    assert tracks_of(people) == [list(range(9)), [0, 1, 2, 6, 7, 8]]


def test_a_turn_back_is_no_new_person() -> None:
    people = [[figure(x, 50, 40)] for x in (100, 130, 160, 130, 100)]
    assert tracks_of(people) == [[0, 1, 2, 3, 4]]


@pytest.mark.parametrize("gap", [0, MAX_GAP_KEYFRAMES, MAX_GAP_KEYFRAMES + 1])
def test_gaps(gap: int) -> None:
    people = [[figure(100, 50, 40)], *[[]] * gap, [figure(102, 50, 40)]]
    assert len(follow(people, MIN_SCORE)) == (1 if gap <= MAX_GAP_KEYFRAMES else 2)


def test_somebody_elsewhere_is_another_person() -> None:
    assert tracks_of([[figure(100, 50, 40)], [figure(400, 50, 40)]]) == [[0], [1]]


def test_joints_tell_two_people_in_one_place_apart() -> None:
    """Two boxes that are alike: one stands upright, the other upside down."""
    upright = figure(200, 50, 40)
    upside_down = FoundPerson(box=upright.box, joints=upright.joints * (1, -1) + (0, 420), scores=upright.scores)
    people = [[upright, upside_down], [upside_down, upright], [upright, upside_down]]
    tracks = follow(people, MIN_SCORE)
    assert [[person is upright for _, person in track] for track in tracks] == [[True] * 3, [False] * 3]


def test_boxes_alone_do_where_no_joints_are_seen() -> None:
    blurred = [
        [FoundPerson(box=person.box, joints=person.joints, scores=np.zeros(17))]
        for person in (figure(100, 50, 40), figure(110, 50, 40), figure(120, 50, 40))
    ]
    assert tracks_of(blurred) == [[0, 1, 2]]


def test_everybody_is_in_one_track() -> None:
    random = np.random.default_rng(0)
    people = [[figure(x, 50, 40) for x in random.uniform(0, 600, random.integers(0, 4))] for _ in range(12)]
    tracks = follow(people, MIN_SCORE)
    assert sorted(index for track in tracks for index, _ in track) == [
        index for index, found in enumerate(people) for _ in found
    ]


def test_nobody() -> None:
    assert follow([[], [], []], MIN_SCORE) == []
    assert follow([], MIN_SCORE) == []
