"""`make monitor`: Prometheus and, where there is one, Grafana on this machine, until ctrl-C."""

from __future__ import annotations

import argparse
import os
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Final

from infra.command_line import CommandFailedError
from infra.config import ConfigError
from infra.jobs.cluster import interrupted_once
from infra.jobs.notes import tell
from infra.monitoring import grafana, prometheus
from infra.servers.config import asked_at
from infra.servers.process import ServerProcess, check_free
from infra.watched import LeftBehind, Monitor, announced_monitor, folder, running_monitor, targets_folder

START_TIMEOUT_S: Final = 60.0
POLL_S: Final = 0.5
LOOK_EVERY_S: Final = 2.0


def run(options: argparse.Namespace) -> None:
    """Start both, say where they are, and keep them until ctrl-C or SIGTERM.

    Raises:
        ConfigError: there is no Prometheus here, one watches already, or an address is taken.
        CommandFailedError: one of them does not start, or ends.
    """
    if (other := running_monitor()) is not None:
        raise ConfigError(f"this machine is watched already (process {other.pid}): {other.prometheus}")
    try:
        with interrupted_once(), ExitStack() as stack:
            _keep(options, stack)
    except KeyboardInterrupt:
        raise KeyboardInterrupt(f"what was recorded stays in {folder()}") from None


def _keep(options: argparse.Namespace, stack: ExitStack) -> None:
    place = folder()
    address, url = f"{options.host}:{options.port}", asked_at(options.host, options.port)
    check_free(options.host, options.port, "Prometheus")
    config = prometheus.write_configuration(place, targets_folder())
    targets_folder().mkdir(parents=True, exist_ok=True)
    processes = {"Prometheus": _start(prometheus.command(config, place / "data", address), place, f"{url}/-/ready")}
    stack.callback(processes["Prometheus"].end)
    boards = None
    if (words := grafana.program()) is not None:
        boards = asked_at(options.host, options.grafana_port)
        check_free(options.host, options.grafana_port, "Grafana")
        processes["Grafana"] = _start_grafana(words, place / "grafana", url, options)
        stack.callback(processes["Grafana"].end)
    for name, process in processes.items():
        _wait_for(name, process)
    stack.enter_context(announced_monitor(Monitor(pid=os.getpid(), prometheus=url, grafana=boards)))
    _tell(url, boards)
    _watch(processes)


def _start(words: list[str], place: Path, health: str) -> ServerProcess:
    return ServerProcess(words, log=place / f"{Path(words[0]).name}.log", variables={}, health=health)


def _start_grafana(words: list[str], place: Path, source: str, options: argparse.Namespace) -> ServerProcess:
    home = grafana.home()
    return ServerProcess(
        [*words, *([] if home is None else ["--homepath", str(home)])],
        log=place / "grafana.log",
        variables=grafana.variables(place, options.host, options.grafana_port, source),
        health=f"{asked_at(options.host, options.grafana_port)}/api/health",
    )


def _wait_for(name: str, process: ServerProcess) -> None:
    ends_s = time.monotonic() + START_TIMEOUT_S
    while not process.works():
        if not process.alive() or time.monotonic() > ends_s:
            raise CommandFailedError(f"{name} does not start: {process.last_words()}")
        time.sleep(POLL_S)


def _tell(prometheus_url: str, boards: str | None) -> None:
    tell(f"Prometheus  {prometheus_url}  (alerts: {prometheus_url}/alerts)")
    if boards is None:
        tell("Grafana is not installed here. Its boards are in infra/monitoring/boards (Dashboards, New, Import);")
        tell("`python -m curation watch --run RUN` shows a run without it")
    else:
        tell(f"Grafana     {boards}/dashboards")
        tell("Ray's dashboard of runs that begin from now on shows its panels under Metrics")
    tell(f"what runs on this machine is found by itself; data and logs are in {folder()}; ctrl-C ends it")


def _watch(processes: dict[str, ServerProcess]) -> None:
    """Wait until one of them ends, which it should not."""
    looked_s = 0.0
    left_behind = LeftBehind()
    while True:
        for name, process in processes.items():
            if not process.alive():
                raise CommandFailedError(f"{name} {process.death()}: {process.last_words()}")
        if time.monotonic() - looked_s > LOOK_EVERY_S:
            looked_s = time.monotonic()
            prometheus.follow_ray(targets_folder())
            left_behind.tidy(looked_s)
        time.sleep(POLL_S)
