"""Requests to served models over HTTP: JSON is sent, and JSON or a file comes back."""

from __future__ import annotations

import http.client
import json
import os
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from infra.jobs import tally

RETRIES = 3
FIRST_PAUSE_S = 1.0
"""Doubled with every further try."""
HOPELESS = frozenset({400, 401, 403, 404, 405, 413, 422})
"""Statuses after which a request is not repeated: the answer would be the same."""
MAX_PAUSE_S = 60.0
"""Longest pause, even where a server with too many requests (429) asks for a longer one."""
MAX_TOLD = 300
"""Letters kept of what a server says about an error."""


class NotNowError(Exception):
    """An endpoint gave no answer: the next run may try again; the message says what happened, short and countable.

    `status` is that of HTTP where there was one, `told` what the server said about it, in one line.
    """

    def __init__(self, problem: str, *, status: int | None = None, told: str = "") -> None:
        super().__init__(problem)
        self.status = status
        self.told = told


@dataclass(frozen=True, kw_only=True, slots=True)
class Server:
    """One model behind an OpenAI-compatible API."""

    url: str
    """Of the API, up to and with `/v1`."""
    model: str
    """Name under which it is served."""
    key_variable: str = "OPENAI_API_KEY"
    """Environment variable that holds the endpoint's key, where it wants one."""
    timeout_s: float = 300.0
    """Of one answer."""

    def __post_init__(self) -> None:
        """Refuse impossible values."""
        check_url(self.url)
        if not self.model or self.timeout_s <= 0:
            raise ValueError("a served model needs a name, and timeout_s must be above 0")

    @property
    def key(self) -> str | None:
        """The endpoint's key, None where its variable is not set."""
        return os.environ.get(self.key_variable)

    def post(self, path: str, body: Mapping[str, Any], *, tries: int = RETRIES) -> Any:
        """What the API answers below its address, decoded.

        Raises:
            NotNowError: see `post`.
        """
        return post(f"{self.url}/{path}", body, timeout_s=self.timeout_s, key=self.key, tries=tries)

    def post_for_file(self, path: str, body: Mapping[str, Any]) -> bytes:
        """The same for a path that answers with a file.

        Raises:
            NotNowError: see `post`.
        """
        return _ask(_posting(f"{self.url}/{path}", body, self.key), self.timeout_s, RETRIES)


def post(url: str, body: Mapping[str, Any], *, timeout_s: float, key: str | None = None, tries: int = RETRIES) -> Any:
    """What the server answers, decoded.

    Raises:
        NotNowError: it cannot be reached, or answers with an error, `tries` times.
    """
    return _decoded(_ask(_posting(url, body, key), timeout_s, tries))


def get(url: str, *, timeout_s: float, key: str | None = None) -> Any:
    """As `post`, without a body and without trying again.

    Raises:
        NotNowError: see `post`.
    """
    return _decoded(_ask(urllib.request.Request(url, headers=_headers(key)), timeout_s, 1))


def get_file(url: str, *, timeout_s: float) -> bytes:
    """The file at a web address.

    Raises:
        NotNowError: see `post`; or it is no web address.
    """
    try:
        check_url(url)
    except ValueError as error:
        raise NotNowError(str(error)) from error
    return _ask(urllib.request.Request(url), timeout_s, RETRIES)


def served_models(url: str, *, key: str | None = None) -> list[str]:
    """Names of the models that an OpenAI-compatible API lists.

    Raises:
        NotNowError: it does not answer, or not in that protocol.
    """
    listed = get(f"{url}/models", timeout_s=10.0, key=key)
    try:
        return [str(model["id"]) for model in listed["data"]]
    except (KeyError, TypeError) as error:
        raise NotNowError("it does not speak the OpenAI protocol") from error


def check_url(url: str) -> None:
    """Accept web addresses only.

    Raises:
        ValueError: it is something else.
    """
    if not url.startswith(("http://", "https://")):
        raise ValueError(f"{url!r} is not an address of a server; it begins with http:// or https://")


def _headers(key: str | None) -> dict[str, str]:
    return {"Content-Type": "application/json", **({} if key is None else {"Authorization": f"Bearer {key}"})}


def _posting(url: str, body: Mapping[str, Any], key: str | None) -> urllib.request.Request:
    return urllib.request.Request(url, json.dumps(body).encode(), _headers(key))


def _decoded(answer: bytes) -> Any:
    try:
        return json.loads(answer)
    except ValueError as error:
        raise NotNowError("the server's answer is not JSON") from error


def _ask(request: urllib.request.Request, timeout_s: float, tries: int) -> bytes:
    problem = NotNowError("")
    wished_s = 0.0
    for attempt in range(tries):
        if attempt:
            time.sleep(max(FIRST_PAUSE_S * 2 ** (attempt - 1), min(wished_s, MAX_PAUSE_S)))
        try:
            with _counted(request.host), urllib.request.urlopen(request, timeout=timeout_s) as answer:
                return bytes(answer.read())
        except urllib.error.HTTPError as error:
            problem = NotNowError(f"the server answered {error.code}", status=error.code, told=_told(error))
            if error.code in HOPELESS:
                break
            after = error.headers.get("Retry-After", "")
            wished_s = float(after) if after.isdigit() else 0.0
        except (urllib.error.URLError, OSError, http.client.HTTPException) as error:
            problem = NotNowError(f"the server cannot be reached ({getattr(error, 'reason', error)})")
    raise problem


@contextmanager
def _counted(server: str) -> Iterator[None]:
    """Count the request that is made inside, by how it ends, and the seconds that it takes."""
    outcome, start = "answered", time.monotonic()
    try:
        yield
    except urllib.error.HTTPError as error:
        outcome = str(error.code)
        raise
    except (OSError, http.client.HTTPException):
        outcome = "unreachable"
        raise
    finally:
        tally.count("served_requests", server, outcome)
        tally.count("served_seconds", server, amount=time.monotonic() - start)


def _told(error: urllib.error.HTTPError) -> str:
    """The message in the body of an error, as OpenAI's API, FastAPI or plain servers put it."""
    try:
        text = error.read().decode(errors="replace")
    except (OSError, http.client.HTTPException):
        return ""
    try:
        body = json.loads(text)
        inner = body.get("error", body)
        text = str(inner.get("message", inner.get("detail", inner)) if isinstance(inner, dict) else inner)
    except (ValueError, AttributeError):
        pass  # not JSON, or not an object: the text itself is the message
    return " ".join(text.split())[:MAX_TOLD]
