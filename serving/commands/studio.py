"""`python -m serving studio`: a page on which videos are made."""

from __future__ import annotations

import argparse
import importlib.util
import os
from typing import Final

from infra.config import ConfigError
from model.generation.request import check_codebook
from model.weights.examples import read_examples
from model.weights.source import PRESETS, SHIPPED, is_shipped
from serving.access import Access
from serving.limits import Limits
from serving.ports import check_port

LOOPBACK: Final = "127.0.0.1"
LIMITS: Final = Limits(keep=10_000, keep_h=24.0 * 365 * 100, upload_mb=1000, megapixels=120, speech_s=3600)
"""The studio is its user's own: what was made stays, and little is refused."""


def run(options: argparse.Namespace) -> None:
    """Serve the page until ctrl-C or SIGTERM.

    Raises:
        ConfigError: Gradio is not installed, or the port is taken.
        ValueError: the model or an option is wrong; one line.
        KeyboardInterrupt: the studio was ended.
    """
    check_codebook(options.codebook)
    check_port(LOOPBACK, options.port)
    if importlib.util.find_spec("gradio") is None:
        raise ConfigError("the studio needs Gradio: `make studio` installs it")
    # Nothing is sent anywhere.
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    # torch and Gradio take seconds to import.
    from model.generation.acceleration import Acceleration  # noqa: PLC0415
    from model.pretrained.model_parts import ModelParts  # noqa: PLC0415
    from serving.api_config import ApiConfig  # noqa: PLC0415
    from serving.replica import Replica, ReplicaConfig  # noqa: PLC0415
    from serving.studio import serve_studio, studio_app  # noqa: PLC0415

    parts = ModelParts.from_options(options)
    config = ApiConfig(
        model=options.model,
        default_area=parts.default_area(),
        limits=LIMITS,
        access=Access(digests=()),
        urls=False,
        private_urls=False,
    )
    examples = () if parts.is_random else read_examples(options.model)
    replica = Replica(ReplicaConfig(parts=parts, acceleration=Acceleration.from_options(options)))
    try:
        serve_studio(studio_app(config, options.out, replica, examples, about(options.model)), options.port)
    except KeyboardInterrupt:
        raise KeyboardInterrupt(f"what was made is in {options.out}") from None


def about(model: str) -> str:
    """The model, in a line for the page."""
    if is_shipped(model):
        return f"The model is `{SHIPPED}`, a small network that animates drawn faces, not photographs."
    if model in PRESETS:
        return f"The model is `{model}` with random weights: it shows that everything runs, not what Soul can do."
    return f"The model is `{model}`."
