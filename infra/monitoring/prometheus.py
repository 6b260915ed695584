"""Prometheus on this machine: found, configured with our rules and what there is to scrape, and kept."""

from __future__ import annotations

import json
import os
import shutil
import socket
from pathlib import Path
from typing import Any, Final

import yaml

from infra.config import ConfigError
from infra.watched import SCRAPE_S

RULES: Final = Path(__file__).parent / "rules"
CONNECT_S: Final = 1.0
PROGRAM: Final = "PROMETHEUS"
"""Environment variable that names the program, where it is not found by its name."""
HOW: Final = (
    "install it (Debian and Ubuntu: apt install prometheus; else https://prometheus.io/download), or name it in "
    f"{PROGRAM}=; `docker compose -f infra/images/compose.yaml up` brings it with Grafana; and without any of it, "
    "`python -m curation watch --run RUN` shows a run"
)


def program() -> str:
    """The Prometheus of this machine.

    Raises:
        ConfigError: there is none; the message says how to get it.
    """
    given = os.environ.get(PROGRAM)
    found = shutil.which(given or "prometheus")
    if found is None:
        raise ConfigError(f"there is no Prometheus here{f' at {given}' if given else ''}: {HOW}")
    return found


def rays_discovery() -> Path:
    """The file in which the Ray cluster of this machine lists what can be scraped of it."""
    return Path(os.environ.get("RAY_TMPDIR", "/tmp"), "ray", "prom_metrics_service_discovery.json")


def follow_ray(targets: Path) -> None:
    """Keep Ray's list among the targets while a cluster is there.

    Ray leaves its list behind when it ends, and nodes of a cluster that is gone are not nodes that have failed.

    Args:
        targets: folder of the files of `infra.watched.announce`.

    Raises:
        OSError: the folder cannot be written.
    """
    copy = targets / "ray.json"
    try:
        listed = rays_discovery().read_text()
        addresses = [address for group in json.loads(listed) for address in group["targets"]]
    except (OSError, ValueError, KeyError, TypeError):
        listed, addresses = "", []  # no cluster has ever been here, or the list is just being written
    if not any(map(_answers, addresses)):
        copy.unlink(missing_ok=True)
    elif not copy.exists() or copy.read_text() != listed:
        partial = copy.with_suffix(".part")
        partial.write_text(listed)
        partial.replace(copy)


def _answers(address: str) -> bool:
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=CONNECT_S).close()
    except (OSError, ValueError):
        return False
    return True


def configuration(targets: str, rules: str = str(RULES)) -> dict[str, Any]:
    """What Prometheus is told to do.

    Args:
        targets: folder of what there is to scrape.
        rules: folder of alert rules.
    """
    # Prometheus hears of a changed file at once; the interval is for those whose file system does not say.
    found = {"files": [f"{targets}/*.json"], "refresh_interval": f"{SCRAPE_S}s"}
    return {
        "global": {"scrape_interval": f"{SCRAPE_S}s", "evaluation_interval": f"{SCRAPE_S}s"},
        "rule_files": [f"{rules}/*.yaml"],
        "scrape_configs": [{"job_name": "soul", "file_sd_configs": [found]}],
    }


def write_configuration(folder: Path, targets: Path) -> Path:
    """Write the configuration into a folder; returns its path."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "prometheus.yml"
    path.write_text(yaml.safe_dump(configuration(str(targets)), sort_keys=False))
    return path


def command(config: Path, data: Path, address: str) -> list[str]:
    """The words that start it.

    Args:
        config: of `write_configuration`.
        data: folder of what it has recorded.
        address: HOST:PORT that it listens on.

    Raises:
        ConfigError: see `program`.
    """
    return [
        program(), f"--config.file={config}", f"--storage.tsdb.path={data}", f"--web.listen-address={address}",
        "--storage.tsdb.retention.time=30d",
    ]  # fmt: skip
