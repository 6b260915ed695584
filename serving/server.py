"""The server on Ray Serve: one door with the queue, and the replicas behind it."""

from __future__ import annotations

import logging
import re
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import ray
from ray import serve
from ray.serve.config import AutoscalingConfig
from ray.serve.schema import ApplicationStatus

from infra.command_line import CommandFailedError
from infra.jobs.cluster import ray_session
from infra.jobs.notes import tell
from infra.jobs.reach import given_address
from infra.servers.config import asked_at
from infra.watched import announced
from serving.api_config import ApiConfig
from serving.door import Door
from serving.replica import Replica, ReplicaConfig

APPLICATION: Final = "soul"
ENDING_S: Final = 3600.0
"""A replica that is one too many finishes its video first."""
POLL_S: Final = 1.0
CONSTRUCTIONS: Final = 3
CLOSING_S: Final = 60.0
"""What a denoising step may take that has to be waited for at the end."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ServerSettings:
    """How the server is run."""

    host: str
    port: int
    folder: Path
    """Keeps requests and videos."""
    min_replicas: int
    max_replicas: int | None
    """None for one on every GPU, or one in all where there is none."""
    drain_s: float
    """How long what is being made may go on when the server is ended."""


def serve_videos(settings: ServerSettings, api: ApiConfig, replica: ReplicaConfig) -> None:
    """Serve until the process is interrupted.

    Args:
        settings: how the server is run.
        api: what it takes.
        replica: what makes the videos.

    Raises:
        CommandFailedError: the model does not start.
        KeyboardInterrupt: the process was interrupted; all requests have ended.
    """
    with ray_session("soul serve", dashboard=False):
        logging.getLogger("ray.serve").setLevel(logging.CRITICAL)
        serve.start(http_options={"host": settings.host, "port": settings.port})
        door = None
        try:
            door = _start(settings, api, replica)
            address = f"http://{settings.host}:{settings.port}"
            tell(f"videos are made at {address}/v1/videos; {address}/docs explains how to ask")
            with announced("soul-serving", asked_at(settings.host, settings.port).partition("//")[2]):
                _watch()
        finally:
            if door is not None:
                _end(door, settings.drain_s)


def application(settings: ServerSettings, api: ApiConfig, replica: ReplicaConfig) -> Any:
    """What Serve runs: the door on this machine, where the videos are kept, and the replicas wherever there is room."""
    num_gpus = int(ray.cluster_resources().get("GPU", 0)) if replica.parts.device in {None, "cuda"} else 0
    most = settings.max_replicas or max(num_gpus, 1, settings.min_replicas)
    cores = max(1, int(ray.cluster_resources().get("CPU", 1)) // most)
    replicas = serve.deployment(
        Replica,
        max_ongoing_requests=1,
        autoscaling_config=AutoscalingConfig(
            min_replicas=settings.min_replicas,
            max_replicas=most,
            target_ongoing_requests=1,
            upscale_delay_s=5.0,
            downscale_delay_s=300.0,
        ),
        max_constructor_retry_count=CONSTRUCTIONS,
        health_check_period_s=1.0,
        graceful_shutdown_timeout_s=ENDING_S,
        ray_actor_options={"num_gpus": 1, "num_cpus": 1} if num_gpus else {"num_cpus": cores},
    ).bind(replica)
    here = f"node:{ray.util.get_node_ip_address()}"
    return serve.deployment(
        serve.ingress()(Door),
        name="Door",
        num_replicas=1,
        max_ongoing_requests=1000,
        graceful_shutdown_timeout_s=5.0,
        ray_actor_options={"num_cpus": 0, "resources": {here: 0.001}},
    ).bind(replicas, api, str(settings.folder.resolve()), most)


def _start(settings: ServerSettings, api: ApiConfig, replica: ReplicaConfig) -> Any:
    tell(f"loading {api.model} …")
    try:
        return serve.run(application(settings, api, replica), name=APPLICATION, route_prefix="/", blocking=False)
    except RuntimeError as error:
        reasons = " ".join(
            each.message for app in serve.status().applications.values() for each in app.deployments.values()
        )
        raise CommandFailedError(f"{api.model} does not start: {own_words(reasons or str(error))}") from error


def own_words(text: str) -> str:
    """The last error in what Serve says: it adds tracebacks."""
    named = [line.strip() for line in text.splitlines() if re.match(r"\s*(\w+\.)*\w*Error: ", line)]
    return named[-1].partition(": ")[2] if named else " ".join(text.split())[:400]


def _watch() -> None:
    """Say when replicas are away; ends only with an exception."""
    told = ApplicationStatus.RUNNING
    while True:
        time.sleep(POLL_S)
        app = serve.status().applications[APPLICATION]
        if app.status is not told:
            told = app.status
            tell("all replicas work" if told is ApplicationStatus.RUNNING else "a replica is away and is started anew")


def _end(door: Any, drain_s: float) -> None:
    """Let what is being made go on for a while, and end the rest with a reason."""
    tell(f"ending: what is being made has {drain_s:g} s")
    with suppress(ray.exceptions.RayError, RuntimeError, TimeoutError):
        door.close.remote(drain_s).result(timeout_s=drain_s + CLOSING_S)
    if given_address() is not None:
        serve.delete(APPLICATION)
