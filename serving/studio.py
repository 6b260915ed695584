"""The studio: the page, the desk and one replica in this process, on loopback."""

from __future__ import annotations

import signal
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import gradio as gr
import uvicorn
from fastapi import FastAPI

from infra.jobs.notes import tell
from model.weights.examples import Example
from serving.api_config import ApiConfig
from serving.counter import Counter
from serving.desk import Desk
from serving.gallery import CSS
from serving.http_api import build_api
from serving.metrics import Metrics
from serving.page import build_page
from serving.replica import Replica
from serving.shelf import Shelf

LOOPBACK: Final = "127.0.0.1"
ENDING_S: Final = 2
"""How long pages that are open may hold the server up at its end."""
# Of the machine that shows the page: nothing is fetched from elsewhere.
_FONTS: Final = ("system-ui", "sans-serif")
_MONO_FONTS: Final = ("ui-monospace", "monospace")


def studio_app(config: ApiConfig, folder: Path, replica: Replica, examples: Sequence[Example], about: str) -> FastAPI:
    """The application: the page at /, and the interface of the server, of which the page plays its videos.

    Args:
        config: what is taken.
        folder: keeps what was made.
        replica: makes it.
        examples: what can be tried with the model.
        about: the model, in a line.
    """
    shelf = Shelf(folder, config.limits)
    desk = Desk(shelf, replica.make, at_once=1, limits=config.limits, metrics=Metrics())
    counter = Counter(desk, shelf, config)
    app: FastAPI = gr.mount_gradio_app(
        build_api(counter),
        build_page(counter, examples, about),
        "/",
        allowed_paths=[str(path) for each in examples for path in (each.image, each.audio)],
        footer_links=[],
        ssr_mode=False,
        theme=gr.themes.Default(font=_FONTS, font_mono=_MONO_FONTS),
        css=CSS,
    )
    return app


def serve_studio(app: FastAPI, port: int) -> None:
    """Serve the page until the process is interrupted.

    Raises:
        KeyboardInterrupt: it was.
    """
    # uvicorn passes the signal on when it has ended.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    config = uvicorn.Config(
        app, host=LOOPBACK, port=port, log_level="warning", timeout_graceful_shutdown=ENDING_S, lifespan="on"
    )
    tell(f"the studio is at http://{LOOPBACK}:{port}")
    uvicorn.Server(config).run()
