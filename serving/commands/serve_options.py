"""Options of `python -m serving serve`."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Final

from model.generation.options import add_acceleration_options, add_model_options
from model.weights.source import SHIPPED

FOLDER: Final = Path("runs", "serve")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What the command takes."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.description = f"{parser.description}\n\n{ABOUT}"
    add = parser.add_argument
    add("--host", default="127.0.0.1", help="address to listen at; another than this machine's own needs an API key")
    add("--port", type=int, default=8000, help="port to listen at (default: %(default)s)")
    add("--out", type=Path, default=FOLDER, help="folder that keeps requests and videos (default: %(default)s)")
    add_model_options(parser, default=SHIPPED)
    add_acceleration_options(parser, compile_default="none")
    scale = parser.add_argument_group("replicas")
    scale.add_argument("--min-replicas", type=int, default=1, help="kept ready (default: %(default)s)")
    scale.add_argument(
        "--max-replicas", type=int, help="started while requests wait (default: one on every GPU; without a GPU, one)"
    )
    scale.add_argument(
        "--drain-s",
        type=float,
        default=30.0,
        help="how long what is being made may go on when the server is ended (default: %(default)s)",
    )
    limits = parser.add_argument_group("limits, beyond which a request is refused")
    for name, kind, default, about in LIMITS:
        limits.add_argument(f"--{name}", type=kind, default=default, help=f"{about} (default: %(default)s)")
    urls = parser.add_argument_group("requests in JSON, whose portrait and speech are fetched from URLs")
    urls.add_argument("--allow-urls", action="store_true", help="fetch from http and https addresses of the internet")
    urls.add_argument(
        "--allow-private-urls", action="store_true", help="fetch from private networks and this machine, too"
    )


ABOUT: Final = """\
  curl -F image=@face.png -F audio=@speech.wav -F prompt="A man speaks." http://127.0.0.1:8000/v1/videos
  curl http://127.0.0.1:8000/v1/videos/ID            queued (place), running (clips made), done, failed, cancelled
  curl http://127.0.0.1:8000/v1/videos/ID/stream     fragmented mp4 from the first clip on, while it is made
  curl http://127.0.0.1:8000/v1/videos/ID/content    the finished mp4; DELETE /v1/videos/ID cancels

/docs explains every path, /metrics counts for Prometheus. SOUL_API_KEY holds the keys that are let in, with commas
between them; without it, only this machine may ask. Keys take turns in the queue. A request whose replica
dies is made again on another. With RAY_ADDRESS set, replicas run on that cluster.
"""

LIMITS: Final = (
    ("queue", int, 64, "requests that wait; more get a 429 with Retry-After"),
    ("queue-per-client", int, 32, "requests of one client that wait"),
    ("upload-mb", int, 64, "millions of bytes of a request"),
    ("megapixels", int, 50, "of a portrait, before it is decoded"),
    ("speech-s", int, 600, "seconds of speech"),
    ("steps", int, 100, "denoising steps of a clip"),
    ("area", int, 1088 * 1920, "pixels of a frame"),
    ("keep", int, 100, "finished requests that are kept"),
    ("keep-h", float, 24.0, "hours for which they are kept"),
)
"""Fields of `serving.limits.Limits`, which needs more than the standard library."""
