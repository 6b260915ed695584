"""Files that a client names by URL, fetched within bounds, and never from networks that only this machine reaches."""

from __future__ import annotations

import asyncio
import socket
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path
from typing import Any, Final

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

TIMEOUT_S: Final = 60.0
MAX_REDIRECTS: Final = 3
_CHUNK_BYTES: Final = 1 << 18
_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})


class PublicAddresses(AbstractResolver):
    """Looks names up and passes on only addresses of the public internet.

    The connection is made to the very addresses that were judged: a name cannot change its answer in between.
    """

    def __init__(self) -> None:
        self._resolver = aiohttp.ThreadedResolver()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """The public addresses of a host.

        Raises:
            ValueError: it has others.
        """
        found = await self._resolver.resolve(host, port, family)
        for each in found:
            _check_public(host, each["host"])
        return found

    async def close(self) -> None:
        """Nothing is held."""
        await self._resolver.close()


async def fetch(url: str, path: Path, *, max_bytes: int, private: bool = False, timeout_s: float = TIMEOUT_S) -> None:
    """Write what an http or https URL leads to into a file.

    Args:
        url: what a client has given.
        path: the file.
        max_bytes: most that it may have.
        private: whether addresses of private networks, and of this machine, are allowed.
        timeout_s: for all of it.

    Raises:
        ValueError: it cannot be fetched, or not within these bounds; one line.
    """
    resolver = None if private else PublicAddresses()
    try:
        # Proxies of the environment would look names up themselves.
        async with (
            asyncio.timeout(timeout_s),
            aiohttp.ClientSession(connector=aiohttp.TCPConnector(resolver=resolver), trust_env=False) as session,
        ):
            await _follow(session, URL(url), path, max_bytes=max_bytes, private=private)
    except TimeoutError:
        raise ValueError(f"{url} did not come within {timeout_s:g} s") from None
    except aiohttp.ClientError as error:
        raise ValueError(f"{url} cannot be fetched: {_reason(error)}") from error


async def _follow(session: aiohttp.ClientSession, url: URL, path: Path, *, max_bytes: int, private: bool) -> None:
    # Followed by hand: an address as a host is not looked up, and has to be judged at every step.
    for _ in range(MAX_REDIRECTS + 1):
        if url.scheme not in {"http", "https"} or not url.host:
            raise ValueError(f"{url} is not an http or https URL")
        if not private and (address := _address(url.host)):
            _check_public(url.host, str(address))
        async with session.get(url, allow_redirects=False) as answer:
            if answer.status not in _REDIRECTS or "Location" not in answer.headers:
                await _save(answer, path, max_bytes)
                return
            url = url.join(URL(answer.headers["Location"]))
    raise ValueError(f"{url}: more than {MAX_REDIRECTS} redirects")


async def _save(answer: aiohttp.ClientResponse, path: Path, max_bytes: int) -> None:
    if answer.status != 200:
        raise ValueError(f"{answer.url} cannot be fetched: it answers {answer.status}")
    num_bytes = 0
    with path.open("wb") as file:
        async for chunk in answer.content.iter_chunked(_CHUNK_BYTES):
            num_bytes += len(chunk)
            if num_bytes > max_bytes:
                raise ValueError(f"{answer.url} has more than {max_bytes / 1e6:g} MB")
            file.write(chunk)


def _address(host: str) -> IPv4Address | IPv6Address | None:
    """The address that a host is by itself; None for a name, which is looked up and judged then."""
    # aiohttp looks nothing up that has this form, and the C library knows short ones such as 127.1.
    if ":" not in host and not host.replace(".", "").isdigit():
        return None
    try:
        return ip_address(host)
    except ValueError:
        raise ValueError(f"{host} is not an address") from None


def _check_public(host: str, address: str) -> None:
    judged: Any = ip_address(address.partition("%")[0])
    judged = getattr(judged, "ipv4_mapped", None) or judged
    if not judged.is_global or judged.is_multicast:
        raise ValueError(f"{host} has an address that is not public: {address}")


def _reason(error: aiohttp.ClientError) -> str:
    return " ".join(str(error).split()) or type(error).__name__
