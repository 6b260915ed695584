"""Whether all nodes of a cluster that is joined reach the places that a command names."""

from __future__ import annotations

import os
from collections.abc import Mapping

from infra.command_line import SHARED_PATHS
from infra.config import ConfigError
from infra.storage.files import filesystem, is_local


def given_address() -> str | None:
    """The address of the cluster that `RAY_ADDRESS` names; None if one is to be started here."""
    address = os.environ.get("RAY_ADDRESS", "")
    return None if address in ("", "local") else address


def check_reach(places: Mapping[str, str | None], *, shared: bool) -> None:
    """Refuse paths of this machine alone where the work is done on the nodes of a cluster that is joined.

    Such a path would be another, or none, on each node: what is written there is lost, and what is read there missing.

    Args:
        places: what each place is to people, and its path or URI; None where there is none.
        shared: whether a person has said that paths mean the same on every node.

    Raises:
        ConfigError: a place is a path of this machine.
    """
    address = given_address()
    if address is None or shared:
        return
    for what, place in places.items():
        if place is not None and is_local(place):
            raise ConfigError(
                f"{what} {place} is a path of this machine, and RAY_ADDRESS={address} names a cluster: give a URI "
                f"(s3://…), or {SHARED_PATHS} if all nodes see the same files there"
            )


def for_nodes(place: str) -> str:
    """A path or URI as every node takes it: workers of a cluster that is joined work in folders of their own."""
    if given_address() is None or not is_local(place):
        return place
    _, plain = filesystem(place)
    return plain
