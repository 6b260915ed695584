"""Who may ask: API keys from the environment; without one, only this machine itself."""

from __future__ import annotations

import hashlib
import hmac
import os
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Final, Self
from urllib.parse import urlsplit

VARIABLE: Final = "SOUL_API_KEY"
"""Names the keys, with commas or spaces between them."""
THIS_MACHINE: Final = "this machine"
"""The only client of a server without keys."""
_BEARER: Final = "bearer "


class RefusedError(Exception):
    """A request that is not let in; the message is one line, `status` is HTTP's."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


def is_loopback(host: str) -> bool:
    """Whether a host's name or address, perhaps with a port, means this machine alone."""
    name = urlsplit(f"//{host}").hostname or ""
    try:
        return ip_address(name).is_loopback
    except ValueError:
        return name == "localhost"


@dataclass(frozen=True, kw_only=True, slots=True)
class Access:
    """The keys that are let in."""

    digests: tuple[bytes, ...]
    """SHA-256 of every key: the keys themselves are kept nowhere. Without any, a key is not asked for."""

    @classmethod
    def from_environment(cls) -> Self:
        """The keys of `SOUL_API_KEY`."""
        keys = os.environ.get(VARIABLE, "").replace(",", " ").split()
        return cls(digests=tuple(hashlib.sha256(key.encode()).digest() for key in keys))

    def client(self, headers: Mapping[str, str]) -> str:
        """The name of the client that asks: that of its key, or the one of this machine where no keys are asked for.

        Args:
            headers: of the request, named in small letters.

        Raises:
            RefusedError: it brings no key that is known. Where no keys are asked for: it comes from a page of another
                site, which a browser lets send requests to this machine.
        """
        if not self.digests:
            origin = urlsplit(headers.get("origin", "http://localhost")).netloc
            if not is_loopback(headers.get("host", "")) or not is_loopback(origin):
                raise RefusedError(403, f"without {VARIABLE} set, only this machine's own pages and programs may ask")
            return THIS_MACHINE
        given = headers.get("authorization", "")
        if given[: len(_BEARER)].lower() != _BEARER:
            raise RefusedError(401, "give an API key: Authorization: Bearer KEY")
        digest = hashlib.sha256(given[len(_BEARER) :].strip().encode()).digest()
        # All are compared, each in constant time.
        if not sum(hmac.compare_digest(digest, known) for known in self.digests):
            raise RefusedError(401, "this API key is not known")
        return digest.hex()[:12]
