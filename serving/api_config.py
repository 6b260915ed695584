"""What the HTTP interface was started with."""

from __future__ import annotations

from dataclasses import dataclass

from serving.access import Access
from serving.limits import Limits


@dataclass(frozen=True, kw_only=True, slots=True)
class ApiConfig:
    """What is taken, and from whom."""

    model: str
    """As it is shown to people."""
    default_area: int
    """Pixels of a frame where a request says nothing."""
    limits: Limits
    access: Access
    urls: bool
    """Whether requests may name URLs, of the public internet."""
    private_urls: bool
    """Whether also URLs of private networks and of this machine."""
