"""The client of FineVQ: what it sends, and what it makes of the answers."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from typing import Any

import pytest

from infra.served import endpoint
from infra.served.endpoint import NotNowError
from infra.served.finevq import PROMPT, FineVqServer, NoScoreError, Sampling
from tests.worlds.served_models import Answer, Asked, serving


class Replies:
    def __init__(self) -> None:
        self.answers: list[Answer] = []
        self.asked: list[Asked] = []

    def __call__(self, asked: Asked) -> Answer:
        self.asked.append(asked)
        return self.answers[min(len(self.asked), len(self.answers)) - 1]


@pytest.fixture
def replies(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[FineVqServer, Replies]]:
    monkeypatch.setattr(endpoint, "FIRST_PAUSE_S", 0.001)
    found = Replies()
    with serving(found) as url:
        yield FineVqServer(url=url, timeout_s=5.0), found


def test_a_video_is_sent_with_all_that_decides_its_score(replies: tuple[FineVqServer, Replies]) -> None:
    server, found = replies
    found.answers = [Answer({"score": 72.5})]
    assert server.score(b"mp4", Sampling(num_frames=4, motion_frames=64)) == 72.5
    (asked,) = found.asked
    sent = base64.b64encode(b"mp4").decode()
    assert (asked.path, asked.body) == (
        "/score",
        {"video": sent, "num_frames": 4, "side_px": 448, "motion_frames": 64, "prompt": PROMPT},
    )


@pytest.mark.parametrize(
    ("body", "told"), [({"error": "no frames"}, "no frames"), (b'{"score": NaN}', "the score is not a number")]
)
def test_a_video_without_a_score_is_told_from_a_server_without_an_answer(
    replies: tuple[FineVqServer, Replies], body: Any, told: str
) -> None:
    server, found = replies
    found.answers = [Answer(body)]
    with pytest.raises(NoScoreError, match=told):
        server.score(b"mp4", Sampling())


@pytest.mark.parametrize("body", [{}, [], {"score": None}, "72"])
def test_an_answer_of_another_protocol_is_no_answer(replies: tuple[FineVqServer, Replies], body: Any) -> None:
    server, found = replies
    found.answers = [Answer(body)]
    with pytest.raises(NotNowError, match="has no score"):
        server.score(b"mp4", Sampling())
    with pytest.raises(NotNowError, match="names no model"):
        server.model()


def test_tries_are_the_callers(replies: tuple[FineVqServer, Replies]) -> None:
    server, found = replies
    found.answers = [Answer({}, 503)]
    with pytest.raises(NotNowError, match="503"):
        server.score(b"mp4", Sampling(), tries=1)
    assert len(found.asked) == 1


def test_impossible_values_are_refused() -> None:
    with pytest.raises(ValueError, match="not an address"):
        FineVqServer(url="localhost:8000")
    with pytest.raises(ValueError, match="timeout_s"):
        FineVqServer(url="http://localhost", timeout_s=0)
    with pytest.raises(ValueError, match="at least 32"):
        Sampling(motion_frames=8)
    with pytest.raises(ValueError, match="at least one frame"):
        Sampling(num_frames=0)
