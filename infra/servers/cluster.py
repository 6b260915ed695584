"""The servers on a Ray cluster, by Ray Serve: each replica starts the server on its node and passes requests on to it.

Serve finds nodes with enough GPUs, shares requests between replicas, and replaces a replica whose server has died. Its
proxies, one on each node, answer at `http://NODE:8000/NAME/`, so that a captioner's address is
`http://HEAD:8000/captions/v1`. Between a death and the next replica's first answer, requests wait or get a 503, which
clients wait out. A server's environment must be at the same path on every node.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import aiohttp

from infra.command_line import CommandFailedError
from infra.config import ConfigError
from infra.jobs.cluster import logs_directory, ray_session
from infra.jobs.notes import tell
from infra.jobs.reach import given_address
from infra.servers.config import ServerConfig
from infra.servers.process import ServerProcess, free_port

try:
    import starlette.requests
    import starlette.responses
    from ray import serve
    from ray.serve.schema import ApplicationStatus
except ImportError as error:
    raise ConfigError(
        f"Ray Serve is not whole here ({error.name} is missing): pip install 'ray[serve]' in this environment"
    ) from error

PORT: Final = 8000
"""Where Serve's proxies listen, on every node."""
LOOPBACK: Final = "127.0.0.1"
POLL_S: Final = 0.5
MAX_REQUESTS: Final = 1000
"""Passed on to one replica at once; the server itself has the queue that can make batches."""
CONSTRUCTIONS: Final = 3
"""Starts without one answer after which Serve gives a server up."""
ENDING_S: Final = 40.0
PASSED_ON: Final = ("authorization", "content-type")


class Replica:
    """One server's process on one node, and the way to it."""

    def __init__(self, name: str, config: ServerConfig) -> None:
        port = free_port()
        self.prefix = f"/{name}"
        self.url = f"http://{LOOPBACK}:{port}"
        self.process = ServerProcess(
            config.command(LOOPBACK, port),
            log=Path(logs_directory()) / f"{name}-{port}.log",
            variables=config.variables,
            health=f"{self.url}{config.health}",
        )
        while not self.process.works():
            waited_s = time.monotonic() - self.process.started_s
            if not self.process.alive() or waited_s > config.start_timeout_s:
                how = f"has not answered for {waited_s:.0f} s" if self.process.alive() else self.process.death()
                words = self.process.last_words()
                self.process.end()
                raise RuntimeError(f"{name} {how}; the last lines of {self.process.log}: {words}")
            time.sleep(POLL_S)
        self.session: aiohttp.ClientSession | None = None

    async def __call__(self, request: starlette.requests.Request) -> starlette.responses.Response:
        """The server's answer."""
        if self.session is None:
            self.session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=None))
        path = request.url.path.removeprefix(self.prefix)
        query = f"?{request.url.query}" if request.url.query else ""
        headers = {name: request.headers[name] for name in PASSED_ON if name in request.headers}
        body = await request.body()
        try:
            async with self.session.request(
                request.method, f"{self.url}{path}{query}", data=body or None, headers=headers
            ) as answer:
                return starlette.responses.Response(
                    await answer.read(), answer.status, media_type=answer.headers.get("Content-Type")
                )
        except aiohttp.ClientError as error:
            return starlette.responses.JSONResponse({"error": {"message": f"the server is away: {error}"}}, 503)

    def check_health(self) -> None:
        """Called by Serve, which replaces this replica if it raises."""
        if not self.process.alive():
            how = self.process.death()
            words = self.process.last_words()
            self.process.end()
            raise RuntimeError(f"{how}; it last said: {words}")

    def __del__(self) -> None:
        """Called by Serve when the replica is to go."""
        if "process" in self.__dict__:
            self.process.end()


def application(name: str, config: ServerConfig) -> Any:
    """What Serve runs for one server."""
    deployment = serve.deployment(
        Replica,
        name=name,
        num_replicas=config.num_replicas,
        max_ongoing_requests=MAX_REQUESTS,
        max_constructor_retry_count=CONSTRUCTIONS,
        health_check_period_s=5.0,
        graceful_shutdown_timeout_s=ENDING_S,
        ray_actor_options={"num_cpus": 1, "num_gpus": config.num_gpus},
    )
    return deployment.bind(name, config)


def keep_on_cluster(servers: Mapping[str, ServerConfig], *, port: int = PORT) -> None:
    """Keep servers on the cluster at RAY_ADDRESS until this process is interrupted.

    Args:
        servers: by name.
        port: where Serve's proxies listen; a Serve that runs already keeps its own.

    Raises:
        ConfigError: RAY_ADDRESS names no cluster.
        CommandFailedError: a server has died repeatedly without one answer.
        KeyboardInterrupt: the process was interrupted; the servers are ended.
    """
    if given_address() is None:
        raise ConfigError("--on-cluster needs RAY_ADDRESS, the address of the cluster, such as HEAD:6379")
    with ray_session("soul servers"):
        logging.getLogger("ray.serve").setLevel(logging.ERROR)
        serve.start(http_options={"host": "0.0.0.0", "port": port})
        targets = [
            serve.RunTarget(application(name, config), name=name, route_prefix=f"/{name}")
            for name, config in servers.items()
        ]
        try:
            serve.run_many(targets, wait_for_ingress_deployment_creation=False, wait_for_applications_running=False)
            _watch(servers, port)
        finally:
            for name in servers:
                serve.delete(name)


def _watch(servers: Mapping[str, ServerConfig], port: int) -> None:
    """Say what changes; ends only with an exception."""
    told: dict[str, ApplicationStatus] = {}
    while True:
        for name, app in serve.status().applications.items():
            if name not in servers or told.get(name) == app.status:
                continue
            told[name] = app.status
            reasons = " ".join(each.message for each in app.deployments.values()) or app.message
            if app.status is ApplicationStatus.DEPLOY_FAILED:
                raise CommandFailedError(f"{name} does not start: {_own_words(reasons)}")
            if app.status is ApplicationStatus.RUNNING:
                tell(f"{name} answers at http://HEAD:{port}/{name}, HEAD being any node of the cluster")
            else:
                tell(f"{name}: {app.status.value.lower().replace('_', ' ')} {_own_words(reasons)}".rstrip())
        time.sleep(POLL_S)


def _own_words(text: str) -> str:
    """The server's own part of what Serve says: it adds tracebacks."""
    for line in reversed(text.splitlines()):
        if "RuntimeError:" in line:
            return line.partition("RuntimeError:")[2].strip()
    return " ".join(text.split())[:400]
