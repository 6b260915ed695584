"""Talking JSON to a served model."""

from __future__ import annotations

import http.client
import json
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from typing import Any

from bench.metrics.metric import NotNowError

RETRIES = 3
FIRST_PAUSE_S = 1.0
"""Doubled with every further try."""


def post(url: str, body: Mapping[str, Any], *, timeout_s: float, key: str | None = None) -> Any:
    """What the server answers, decoded.

    Raises:
        NotNowError: it cannot be reached, or answers with an error, three times.
    """
    return _ask(urllib.request.Request(url, json.dumps(body).encode(), _headers(key)), timeout_s, RETRIES)


def get(url: str, *, timeout_s: float, key: str | None = None) -> Any:
    """As `post`, without a body and without trying again.

    Raises:
        NotNowError: see `post`.
    """
    return _ask(urllib.request.Request(url, headers=_headers(key)), timeout_s, 1)


def check_url(url: str) -> None:
    """Accept web addresses only.

    Raises:
        ValueError: it is something else.
    """
    if not url.startswith(("http://", "https://")):
        raise ValueError(f"{url!r} is not an address of a server; it begins with http:// or https://")


def _headers(key: str | None) -> dict[str, str]:
    return {"Content-Type": "application/json", **({} if key is None else {"Authorization": f"Bearer {key}"})}


def _ask(request: urllib.request.Request, timeout_s: float, tries: int) -> Any:
    problem = ""
    for attempt in range(tries):
        if attempt:
            time.sleep(FIRST_PAUSE_S * 2 ** (attempt - 1))
        try:
            with urllib.request.urlopen(request, timeout=timeout_s) as answer:
                return json.loads(answer.read())
        except urllib.error.HTTPError as error:
            problem = f"the server answered {error.code}"
            if error.code in {400, 401, 403, 404, 413, 422}:
                break
        except (urllib.error.URLError, OSError, http.client.HTTPException) as error:
            problem = f"the server cannot be reached ({getattr(error, 'reason', error)})"
        except ValueError:
            problem = "the server's answer is not JSON"
    raise NotNowError(problem)
