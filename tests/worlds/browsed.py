"""What a browser would ask of the page's server."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode


@dataclass(frozen=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def line(self) -> str:
        """The body, if it is one line of text."""
        text = self.body.decode()
        assert "\n" not in text
        assert "Traceback" not in text
        return text


def ask(address: str, path: str, query: Mapping[str, str] | str = "", **headers: str) -> Answer:
    """Ask for a path; underscores in names of headers stand for dashes."""
    text = query if isinstance(query, str) else urlencode(query)
    request = urllib.request.Request(f"{address}/{path}?{text}")
    for name, value in headers.items():
        request.add_header(name.replace("_", "-"), value)
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return Answer(answer.status, dict(answer.headers), answer.read())
    except urllib.error.HTTPError as error:
        return Answer(error.code, dict(error.headers), error.read())
