"""Which servers of models a profile asks for, and the command that starts each: the section `servers`."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Final

from infra.config import ConfigError
from infra.jobs.environments import environment_python

NAME: Final = re.compile(r"[a-z0-9][a-z0-9_-]*")
"""Names of servers: they become file names of logs and parts of addresses."""
ANYWHERE: Final = "0.0.0.0"
STRUCTURED_OUTPUTS: Final = {"backend": "guidance", "disable_any_whitespace": True}
"""xgrammar, which vLLM takes by default, lets raw control characters into texts of bounded length."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ServerConfig:
    """What all servers have: where one listens, what it may use, and how long it may take to start."""

    host: str = "127.0.0.1"
    """Address to listen at: 0.0.0.0 for clients on other machines."""
    port: int
    """Port to listen at. On a cluster a free one is taken, and clients ask the cluster's address."""
    num_gpus: float = 1.0
    """GPUs of its machine; a part of one shares it with other parts, and 0 means a CPU."""
    num_replicas: int = 1
    """On a cluster, how many of it share the requests."""
    arguments: tuple[str, ...] = ()
    """Further arguments, as one would type them."""
    variables: Mapping[str, str] = field(default_factory=dict)
    """Environment variables of its process."""
    start_timeout_s: float = 1800.0
    """How long it may take from its start to its first answer: large weights on a cold disk take minutes."""

    health: ClassVar[str] = "/health"
    """Path that answers 200 once the server can work."""
    has_metrics: ClassVar[bool] = False
    """Whether it tells Prometheus about itself, at /metrics."""

    def __post_init__(self) -> None:
        """Refuse impossible values."""
        if not 0 < self.port < 1 << 16:
            raise ValueError(f"port must be in [1, 65535], not {self.port}")
        if self.num_gpus < 0 or (self.num_gpus > 1 and self.num_gpus != int(self.num_gpus)):
            raise ValueError(f"num_gpus must be a whole number, or a part of one GPU, not {self.num_gpus}")
        if self.num_replicas < 1 or self.start_timeout_s <= 0:
            raise ValueError("num_replicas must be at least 1, and start_timeout_s above 0")

    def command(self, host: str, port: int) -> list[str]:
        """The words that start the server.

        Raises:
            ConfigError: its environment is not built.
        """
        raise NotImplementedError


@dataclass(frozen=True, kw_only=True, slots=True)
class VllmServer(ServerConfig):
    """vLLM behind OpenAI's protocol."""

    environment: str = "vllm"
    """Its environment, as built by `make env-NAME`."""
    model: str
    """Directory, or Hub id where there is a network."""
    served_names: tuple[str, ...] = ()
    """Names that clients may ask for; the model's own by default."""
    max_model_len: int
    """Most tokens of a question and its answer; the cache for one such must fit beside the weights."""

    has_metrics: ClassVar[bool] = True

    def __post_init__(self) -> None:
        """Refuse impossible values."""
        ServerConfig.__post_init__(self)
        if self.max_model_len < 1:
            raise ValueError(f"max_model_len must be above 0, not {self.max_model_len}")

    def command(self, host: str, port: int) -> list[str]:
        """See the base class. What the captioner and its fellows rely on is always there.

        Answers follow a grammar; a word's probability is that after the grammar; requests say at which times the
        frames of a video were taken; further questions on a clip find its frames in the cache of prefixes, and answers
        say how much of a question was found there.
        """
        # `vllm serve` looks for a distribution named vllm, which its build for CPUs is not.
        words = [str(environment_python(self.environment)), "-m", "vllm.entrypoints.openai.api_server"]
        words += ["--model", self.model, "--served-model-name", *(self.served_names or (self.model,))]
        words += ["--host", host, "--port", str(port), "--max-model-len", str(self.max_model_len)]
        words += ["--structured-outputs-config", json.dumps(STRUCTURED_OUTPUTS)]
        words += ["--logprobs-mode", "processed_logprobs", "--trust-request-mm-kwargs"]
        words += ["--enable-prefix-caching", "--enable-prompt-tokens-details"]
        if self.num_gpus > 1:
            # Within one machine; inside a Ray worker vLLM would otherwise ask Ray for GPUs of its own.
            words += ["--tensor-parallel-size", f"{self.num_gpus:.0f}", "--distributed-executor-backend", "mp"]
        return [*words, *self.arguments]


@dataclass(frozen=True, kw_only=True, slots=True)
class FineVqServer(ServerConfig):
    """FineVQ behind HTTP: `infra/servers/finevq.py`."""

    environment: str = "finevq"
    """Its environment, as built by `make env-NAME`."""
    code: str
    """Checkout of github.com/IntMeGroup/FineVQ."""
    weights: str
    """Directory, or Hub id where there is a network."""

    def command(self, host: str, port: int) -> list[str]:
        """See the base class."""
        words = [str(environment_python(self.environment)), "-m", "infra.servers.finevq"]
        words += ["--code", self.code, "--weights", self.weights, "--host", host, "--port", str(port)]
        return [*words, "--device", "cuda" if self.num_gpus else "cpu", *self.arguments]


@dataclass(frozen=True, kw_only=True, slots=True)
class OtherServer(ServerConfig):
    """Any other program that serves over HTTP, and answers /health once it can work."""

    program: tuple[str, ...]
    """Its words; `{host}` and `{port}` in them are filled in, and `{python}` is the Python of this project."""

    def __post_init__(self) -> None:
        """Refuse impossible values."""
        ServerConfig.__post_init__(self)
        if not self.program or not any("{port}" in word for word in self.program):
            raise ValueError("program must have words, and one of them must take the {port}")

    def command(self, host: str, port: int) -> list[str]:
        """See the base class."""
        places = {"{host}": host, "{port}": str(port), "{python}": sys.executable}
        words = list(self.program)
        for place, value in places.items():
            words = [word.replace(place, value) for word in words]
        return [*words, *self.arguments]


@dataclass(frozen=True, kw_only=True, slots=True)
class ServersConfig:
    """The section `servers` of a profile: servers by kind and name."""

    logs: str = "runs/servers"
    """Folder for a log of each server."""
    vllm: Mapping[str, VllmServer] = field(default_factory=dict)
    finevq: Mapping[str, FineVqServer] = field(default_factory=dict)
    other: Mapping[str, OtherServer] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Refuse names and addresses that two servers have."""
        seen: set[str] = set()
        ports: dict[int, str] = {}
        for name, server in self.named():
            if not NAME.fullmatch(name):
                raise ValueError(f"server {name!r}: a name has small letters, digits, - and _")
            if name in seen:
                raise ValueError(f"two servers are called {name!r}")
            if server.port in ports:
                raise ValueError(f"servers {ports[server.port]!r} and {name!r} have the same port {server.port}")
            seen.add(name)
            ports[server.port] = name

    def named(self) -> Iterator[tuple[str, ServerConfig]]:
        """All servers with their names."""
        yield from self.vllm.items()
        yield from self.finevq.items()
        yield from self.other.items()

    def chosen(self, only: Sequence[str]) -> dict[str, ServerConfig]:
        """Servers by name: those of `only`, all where it is empty.

        Raises:
            ConfigError: there is none, or none of such a name.
        """
        servers = dict(self.named())
        if not servers:
            raise ConfigError("the profile asks for no servers: its section `servers` is empty")
        for name in only:
            if name not in servers:
                raise ConfigError(f"no server {name!r}; there are {', '.join(servers)}")
        return {name: server for name, server in servers.items() if not only or name in only}


def asked_at(host: str, port: int) -> str:
    """The address at which this machine reaches a server that listens at `host`."""
    return f"http://{'127.0.0.1' if host == ANYWHERE else host}:{port}"
