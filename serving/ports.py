"""Ports to listen at."""

from __future__ import annotations

import socket

from infra.config import ConfigError


def check_port(host: str, port: int) -> None:
    """Refuse a port that somebody listens at, before anything heavy is loaded.

    Raises:
        ConfigError: it is taken, or this machine has no such address.
    """
    try:
        socket.create_server((host, port)).close()
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ConfigError(f"cannot listen at {host}:{port}: {reason}") from error
