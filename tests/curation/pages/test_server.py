"""How a page's address is taken, and who may ask it."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from curation.pages.server import address_of, application, listen, serving
from infra.config import ConfigError
from tests.worlds.browsed import ask


def answer(request: Request) -> Response:
    if "wrong" in request.query_params:
        raise ConfigError("two\nlines")
    return PlainTextResponse("here")


@pytest.fixture(params=["127.0.0.1", "0.0.0.0"])
def host(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def address(host: str) -> Iterator[str]:
    with serving(application([Route("/", answer)], host, {ConfigError: 400})) as place:
        yield place


def test_an_address_that_is_taken_is_one_line() -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        with pytest.raises(ConfigError, match="cannot listen on 127"):
            listen("127.0.0.1", other.getsockname()[1])
    with pytest.raises(ConfigError, match="give another --port or --host"):
        listen("no.such.host.invalid", 0)


def test_the_address_is_one_that_a_browser_takes() -> None:
    with listen("::1", 0) as taken:
        assert address_of("::1", taken) == f"http://[::1]:{taken.getsockname()[1]}"


def test_on_this_machine_alone_only_its_own_names_are_answered_to(address: str, host: str) -> None:
    assert ask(address, "").body == b"here"
    assert ask(address, "", Host="localhost:8600").status == 200
    assert ask(address, "", Host="evil.example").status == (400 if host == "127.0.0.1" else 200)


def test_a_mistake_is_one_line(address: str) -> None:
    told = ask(address, "", "wrong=1")
    assert (told.status, told.line) == (400, "two lines")
    assert told.headers["cache-control"] == "no-store"
