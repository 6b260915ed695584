"""Grafana on this machine, where there is one: with Prometheus as its source, our boards and Ray's own."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Final

from infra.monitoring.prometheus import rays_discovery

BOARDS: Final = Path(__file__).parent / "boards"
PROVISIONING: Final = Path(__file__).parent / "provisioning"
"""Its source and its boards, by the variables below."""
PROGRAM: Final = "GRAFANA"
"""Environment variable that names the program, where it is not found by its name."""


def program() -> list[str] | None:
    """The words that begin its command; None where there is none."""
    given = os.environ.get(PROGRAM)
    for name in (given,) if given else ("grafana-server", "grafana"):
        if (found := shutil.which(name)) is not None:
            return [found, "server"] if Path(found).name == "grafana" else [found]
    return None


def home() -> Path | None:
    """Grafana's own files, which it finds by itself only where it was started beside them."""
    return next((path for path in (Path("/usr/share/grafana"),) if path.is_dir()), None)


def variables(folder: Path, host: str, port: int, source: str) -> dict[str, str]:
    """Its settings as environment variables: people look without a password, and Ray's dashboard may embed it.

    Args:
        folder: for what it keeps.
        host: that it listens on.
        port: the same.
        source: address of Prometheus.
    """
    return {
        "SOUL_PROMETHEUS": source,
        "SOUL_BOARDS": str(BOARDS),
        "RAY_BOARDS": str(rays_discovery().parent / "session_latest" / "metrics" / "grafana" / "dashboards"),
        "GF_SERVER_HTTP_ADDR": host,
        "GF_SERVER_HTTP_PORT": str(port),
        "GF_PATHS_DATA": str(folder / "data"),
        "GF_PATHS_LOGS": str(folder / "logs"),
        "GF_PATHS_PLUGINS": str(folder / "plugins"),
        "GF_PATHS_PROVISIONING": str(PROVISIONING),
        "GF_SECURITY_ALLOW_EMBEDDING": "true",
        "GF_AUTH_ANONYMOUS_ENABLED": "true",
        "GF_AUTH_ANONYMOUS_ORG_ROLE": "Viewer",
        "GF_ANALYTICS_REPORTING_ENABLED": "false",
        "GF_ANALYTICS_CHECK_FOR_UPDATES": "false",
    }
