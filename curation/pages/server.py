"""How a page is served on this machine: its address, who may ask, what every answer says, and how it ends."""

from __future__ import annotations

import functools
import signal
import socket
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final

import uvicorn
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from infra.config import ConfigError

LOOPBACK: Final = ("127.0.0.1", "localhost", "::1")
HEADERS: Final = {
    # The same address shows another run an hour later.
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "Cross-Origin-Resource-Policy": "same-origin",
}


def listen(host: str, port: int) -> socket.socket:
    """Take an address, 0 being any free port.

    Raises:
        ConfigError: it cannot be taken.
    """
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        taken = socket.socket(family, socket.SOCK_STREAM)
        try:
            taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            taken.bind(address)
            taken.listen()  # who asks before the server is ready waits for the answer
        except OSError:
            taken.close()
            raise
    except OSError as error:
        raise ConfigError(
            f"cannot listen on {host}:{port} ({error.strerror}): give another --port or --host"
        ) from error
    return taken


def address_of(host: str, taken: socket.socket) -> str:
    """What a person opens.

    Args:
        host: as it was typed.
        taken: of `listen`.
    """
    return f"http://{f'[{host}]' if ':' in host else host}:{taken.getsockname()[1]}"


def application(routes: Sequence[Route], host: str, errors: Mapping[type[Exception], int] | None = None) -> Starlette:
    """What answers.

    Args:
        routes: of the page.
        host: as it was typed: on this machine alone, only its own names are answered to, so that no page of another
            site can ask in a name of its own that leads here.
        errors: exceptions that are answered with one line, and the HTTP status.
    """
    handlers: dict[Any, Any] = {kind: functools.partial(_line, status) for kind, status in (errors or {}).items()}
    names = [*LOOPBACK, "[::1]"] if host in LOOPBACK else ["*"]
    return Starlette(
        routes=routes,
        middleware=[Middleware(TrustedHostMiddleware, allowed_hosts=names, www_redirect=False)],
        exception_handlers=handlers,
    )


def serve(answers: Starlette, taken: socket.socket) -> None:
    """Answer until ctrl-C or SIGTERM.

    Args:
        answers: of `application`.
        taken: of `listen`.

    Raises:
        KeyboardInterrupt: the process was interrupted.
    """
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        _server(answers).run(sockets=[taken])
    finally:
        signal.signal(signal.SIGTERM, before)


@contextmanager
def serving(answers: Starlette) -> Iterator[str]:
    """The address of a page on this machine, while a thread of this process answers."""
    with listen(LOOPBACK[0], 0) as taken:
        server = _server(answers)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [taken]})
        thread.start()
        try:
            yield address_of(LOOPBACK[0], taken)
        finally:
            server.should_exit = True
            thread.join()


def _server(answers: Starlette) -> uvicorn.Server:
    return uvicorn.Server(uvicorn.Config(answers, log_level="warning", access_log=False, timeout_graceful_shutdown=1))


def _line(status: int, _: Request, error: Exception) -> Response:
    """What went wrong, as one line."""
    return PlainTextResponse(" ".join(str(error).split()), status_code=status, headers=HEADERS)
