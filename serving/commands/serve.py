"""`python -m serving serve`: an HTTP server that makes videos."""

from __future__ import annotations

import argparse
import dataclasses
from pathlib import Path

from infra.config import ConfigError
from infra.jobs.notes import tell
from model.generation.request import check_codebook
from model.weights.source import SHIPPED, is_shipped
from serving.access import VARIABLE, Access, is_loopback
from serving.limits import Limits
from serving.ports import check_port


def run(options: argparse.Namespace) -> None:
    """Serve until ctrl-C or SIGTERM.

    Raises:
        ConfigError: an address that is taken, or open to others without a key.
        ValueError: the model or an option is wrong; one line.
        CommandFailedError: the model does not start.
        KeyboardInterrupt: the server was ended.
    """
    limits = Limits(**{field.name: getattr(options, field.name) for field in dataclasses.fields(Limits)})
    check_replicas(options.min_replicas, options.max_replicas)
    access = Access.from_environment()
    if not access.digests:
        if not is_loopback(options.host):
            raise ConfigError(
                f"--host {options.host} lets others in: set {VARIABLE} to the keys that they have to give"
            )
        tell(f"{VARIABLE} is not set: only this machine may ask")
    check_codebook(options.codebook)
    check_port(options.host, options.port)
    # Ray and torch take seconds to import.
    from model.generation.acceleration import Acceleration  # noqa: PLC0415
    from model.pretrained.model_parts import ModelParts  # noqa: PLC0415
    from serving.api_config import ApiConfig  # noqa: PLC0415
    from serving.replica import ReplicaConfig  # noqa: PLC0415
    from serving.server import ServerSettings, serve_videos  # noqa: PLC0415

    parts = ModelParts.from_options(options)
    if Path(parts.model).is_dir():
        # A replica has a working directory of its own.
        parts = dataclasses.replace(parts, model=str(Path(parts.model).resolve()))
    if is_shipped(parts.model):
        tell(f"{SHIPPED}: a small network that animates drawn faces, not photographs")
    config = ApiConfig(
        model=options.model,
        default_area=parts.default_area(),
        limits=limits,
        access=access,
        urls=options.allow_urls or options.allow_private_urls,
        private_urls=options.allow_private_urls,
    )
    settings = ServerSettings(
        host=options.host,
        port=options.port,
        folder=options.out,
        min_replicas=options.min_replicas,
        max_replicas=options.max_replicas,
        drain_s=options.drain_s,
    )
    try:
        serve_videos(settings, config, ReplicaConfig(parts=parts, acceleration=Acceleration.from_options(options)))
    except KeyboardInterrupt:
        raise KeyboardInterrupt("the server is ended") from None


def check_replicas(least: int, most: int | None) -> None:
    """Refuse impossible numbers of replicas.

    Raises:
        ConfigError: they are.
    """
    if least < 1 or (most is not None and most < least):
        raise ConfigError(f"--min-replicas {least} and --max-replicas {most}: at least 1, and the second not below")
