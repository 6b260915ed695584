"""A server that comes back is waited for, one that stays away is given up, and a refusal is not asked again."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from infra.jobs.deadlines import deadline
from infra.jobs.machine_fault import MachineFaultError
from infra.jobs.notes import listen
from infra.served import patience
from infra.served.endpoint import NotNowError, Server, post
from infra.served.patience import ServerAwayError, patiently
from tests.worlds.served_models import Answer, Asked, serving


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    monkeypatch.setattr(patience, "FIRST_PAUSE_S", 0.01)
    monkeypatch.setattr(patience._Away, "since_s", {})
    monkeypatch.setattr(patience._Away, "told", set())
    lines: list[str] = []
    listen(lines.append)
    yield lines
    listen(None)


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


class Troubled:
    """Answers with the given errors first, then well."""

    def __init__(self, *statuses: int) -> None:
        self.statuses = list(statuses)
        self.num_asked = 0

    def __call__(self, asked: Asked) -> Answer:
        self.num_asked += 1
        return Answer({"error": "loading"}, self.statuses.pop(0)) if self.statuses else Answer({"a": 1})


def ask(url: str, patience_s: float, timeout_s: float = 5.0) -> Any:
    return patiently(lambda: post(url, {}, timeout_s=timeout_s, tries=1), server="the captioner", patience_s=patience_s)


@pytest.mark.parametrize("statuses", [(503,), (500, 502, 503, 504), (429, 429)])
def test_a_server_in_trouble_is_waited_for_and_told_of_once(told: list[str], statuses: tuple[int, ...]) -> None:
    server = Troubled(*statuses)
    with serving(server) as url:
        assert ask(url, 10) == {"a": 1}
        assert ask(url, 10) == {"a": 1}
    assert server.num_asked == len(statuses) + 2
    assert told == [
        f"waiting up to 10 s for the captioner: the server answered {statuses[0]}: loading",
        "the captioner answers again",
    ]


@pytest.mark.parametrize("status", [400, 401, 404, 422])
def test_a_refusal_is_not_asked_again(told: list[str], status: int) -> None:
    server = Troubled(status, status)
    with serving(server) as url, pytest.raises(NotNowError) as caught:
        ask(url, 10)
    assert (caught.value.status, caught.value.told, server.num_asked) == (status, "loading", 1)
    assert told == []


def test_a_server_that_stays_away_is_the_machines_fault(told: list[str]) -> None:
    begun = time.monotonic()
    with pytest.raises(ServerAwayError, match=r"^the captioner: no answer for 0.2 s, the server cannot be reached"):
        ask(f"http://127.0.0.1:{free_port()}", 0.2)
    assert time.monotonic() - begun >= 0.2
    assert issubclass(ServerAwayError, MachineFaultError)
    with pytest.raises(ServerAwayError):
        ask(f"http://127.0.0.1:{free_port()}", 0)
    assert len(told) == 1, "still the same wait"


def test_who_comes_later_does_not_wait_anew_for_a_server_that_stays_away(told: list[str]) -> None:
    server = Troubled(*[503] * 1000)
    with serving(server) as url:
        with pytest.raises(ServerAwayError):
            ask(url, 0.3)
        server.num_asked = 0
        for _ in range(5):
            with pytest.raises(ServerAwayError, match=r"no answer for 0\.3 s"):
                ask(url, 0.3)
        assert server.num_asked == 5
        server.statuses.clear()
        assert ask(url, 0.3) == {"a": 1}
        server.statuses = [503, 503]
        assert ask(url, 10) == {"a": 1}, "it has answered since, so it is waited for again"
    assert [line.split(":")[0] for line in told] == [
        "waiting up to 0.3 s for the captioner",
        "the captioner answers again",
        "waiting up to 10 s for the captioner",
        "the captioner answers again",
    ]


def test_an_answer_to_others_does_not_prolong_ones_own_wait(told: list[str]) -> None:
    def respond(asked: Asked) -> Answer:
        return Answer({"error": "too long"}, 500) if asked.body == {"long": True} else Answer({"a": 1})

    def ask_for(body: dict[str, Any]) -> Any:
        return patiently(lambda: post(url, body, timeout_s=5.0, tries=1), server="the captioner", patience_s=0.5)

    with serving(respond) as url, ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(ask_for, {"long": True})
        while not waiting.done():
            assert ask_for({}) == {"a": 1}
            time.sleep(0.05)
        with pytest.raises(ServerAwayError):
            waiting.result()


def test_a_server_that_starts_later_is_found(told: list[str]) -> None:
    port = free_port()
    answers: list[Any] = []
    waiting = threading.Thread(target=lambda: answers.append(ask(f"http://127.0.0.1:{port}", 10)))
    waiting.start()
    while not told:
        time.sleep(0.01)
    with serving(Troubled(), port=port):
        waiting.join(timeout=10)
    assert answers == [{"a": 1}]


def test_a_server_that_is_too_slow_is_waited_for(told: list[str]) -> None:
    slow = threading.Event()

    def respond(asked: Asked) -> Answer:
        if not slow.is_set():
            slow.set()
            time.sleep(0.5)
        return Answer({"a": 1})

    with serving(respond) as url:
        assert ask(url, 10, timeout_s=0.1) == {"a": 1}
    assert "timed out" in told[0]


def test_threads_tell_once_and_hear_of_each_others_success(told: list[str]) -> None:
    with serving(Troubled(*[503] * 20)) as url, ThreadPoolExecutor(4) as pool:
        assert list(pool.map(lambda _: ask(url, 10), range(4))) == [{"a": 1}] * 4
    assert [line.split(":")[0] for line in told[:2]] == [
        "waiting up to 10 s for the captioner",
        "the captioner answers again",
    ]
    assert len(told) == 2


def test_a_server_can_be_asked_once_at_a_time() -> None:
    server = Troubled(500, 500)
    with serving(server) as url, pytest.raises(NotNowError):
        Server(url=url, model="m").post("x", {}, tries=1)
    assert server.num_asked == 1


def test_who_waits_for_a_server_is_not_taken_for_hanging(told: list[str]) -> None:
    signs = list[str]()
    with (
        serving(Troubled(503)) as url,
        deadline(60.0, lambda: signs.append("of the unit that asks")),
        ThreadPoolExecutor(1) as threads,
    ):
        # The thread that asks may be another than the one that works on the unit.
        assert threads.submit(ask, url, 10).result(timeout=60) == {"a": 1}
    assert signs == ["of the unit that asks"]
