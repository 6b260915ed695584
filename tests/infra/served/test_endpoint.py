"""The HTTP client: files, statuses, what servers say, and how often they are asked."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from infra.served import endpoint
from infra.served.chat import first_choice
from infra.served.endpoint import NotNowError, Server, get_file, served_models
from tests.worlds.served_models import Answer, Asked, serving


class Replies:
    def __init__(self) -> None:
        self.answers: list[Answer] = []
        self.asked: list[Asked] = []

    def __call__(self, asked: Asked) -> Answer:
        self.asked.append(asked)
        return self.answers[min(len(self.asked), len(self.answers)) - 1]


@pytest.fixture
def replies(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Server, Replies]]:
    monkeypatch.setattr(endpoint, "FIRST_PAUSE_S", 0.001)
    monkeypatch.setenv("SOME_KEY", "secret")
    found = Replies()
    with serving(found) as url:
        yield Server(url=f"{url}/v1", model="m", key_variable="SOME_KEY", timeout_s=5.0), found


def test_a_server_is_posted_to_with_its_key(replies: tuple[Server, Replies]) -> None:
    server, found = replies
    found.answers = [Answer({"a": 1}), Answer(b"\0\1", type="audio/wav")]
    assert server.post("chat/completions", {"b": 2}) == {"a": 1}
    assert server.post_for_file("audio/speech", {}) == b"\0\1"
    assert [(one.path, one.authorization) for one in found.asked] == [
        ("/v1/chat/completions", "Bearer secret"),
        ("/v1/audio/speech", "Bearer secret"),
    ]
    assert found.asked[0].body == {"b": 2}


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ({"error": {"message": "no such\nmodel", "code": None}}, "no such model"),
        ({"detail": "too long"}, "too long"),
        ({"error": "broken"}, "broken"),
        (b"<html>502</html>", "<html>502</html>"),
        ([1], "[1]"),
        (b"", ""),
    ],
)
def test_what_a_server_says_of_an_error_is_kept(replies: tuple[Server, Replies], body: Any, told: str) -> None:
    server, found = replies
    found.answers = [Answer(body, 400)]
    with pytest.raises(NotNowError, match="the server answered 400") as caught:
        server.post("x", {})
    assert (caught.value.status, caught.value.told) == (400, told)
    assert len(found.asked) == 1, "what cannot help is not tried again"


def test_what_may_help_is_tried_again(replies: tuple[Server, Replies]) -> None:
    server, found = replies
    found.answers = [Answer({}, 500), Answer({}, 429), Answer({"a": 1})]
    assert server.post("x", {}) == {"a": 1}
    found.answers = [Answer(b"{")]
    with pytest.raises(NotNowError, match="not JSON"):
        server.post("x", {})


def test_a_file_at_an_address_is_fetched_without_the_key(replies: tuple[Server, Replies]) -> None:
    server, found = replies
    found.answers = [Answer(b"png", type="image/png")]
    assert get_file(f"{server.url}/a.png", timeout_s=5) == b"png"
    assert found.asked[0].authorization is None
    with pytest.raises(NotNowError, match="is not an address"):
        get_file("file:///etc/passwd", timeout_s=5)


def test_lists_and_completions_of_another_protocol(replies: tuple[Server, Replies]) -> None:
    server, found = replies
    found.answers = [Answer({"data": [{"id": "a"}, {"id": "b"}]}), Answer(["a"])]
    assert served_models(server.url) == ["a", "b"]
    with pytest.raises(NotNowError, match="does not speak the OpenAI protocol"):
        served_models(server.url)
    others: tuple[Any, ...] = ({}, {"choices": []}, {"choices": [{"message": None}]}, None)
    for answer in others:
        with pytest.raises(NotNowError, match="not a chat completion"):
            first_choice(answer)
