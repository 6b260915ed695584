"""The server of the page: the page itself, and what it asks for again and again."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from curation.pages import server as pages
from curation.pages.server import HEADERS
from curation.pages.static_page import CONTROLS, ELEMENTS, embedded, environment, look
from curation.watch.statuses import Statuses
from curation.watch.summary import listed, view

HERE: Final = Path(__file__).parent
SCRIPTS: Final = (ELEMENTS, HERE / "parts.js", HERE / "watch.js")
"""One script, in the order in which its parts need each other; the last one ends by asking for the first status."""


def html(run: str) -> str:
    """The page: one HTML file that asks its own server alone."""
    template = environment(HERE).get_template("watch.html.j2")
    return template.render(run=run, about=embedded({"run": run}), **look([CONTROLS, HERE / "watch.css"], SCRIPTS))


def application(statuses: Statuses, host: str) -> Starlette:
    """The server's answers.

    Args:
        statuses: of the run.
        host: to listen on, as it was typed.
    """

    def page(_: Request) -> Response:
        return HTMLResponse(html(statuses.run), headers=HEADERS)

    def status(request: Request) -> Response:
        told = json.dumps(answer(statuses, request.query_params.get("job")), allow_nan=False)
        return Response(told, media_type="application/json", headers=HEADERS)

    # Both run in threads: a status may come from afar. It is told in ASCII: a name of a file may hold what is no text.
    routes = [Route("/", page), Route("/api/status", status)]
    return pages.application(routes, host, {OSError: 502})


def answer(statuses: Statuses, wanted: str | None) -> dict[str, Any]:
    """The jobs of a run, and what is shown of one: the wanted one, or the first where there is no such job.

    Raises:
        OSError: the store fails.
    """
    jobs = statuses.now()
    shown = next((job for job in jobs if job.id == wanted), jobs[0] if jobs else None)
    return {
        "jobs": [listed(job, statuses.run) for job in jobs],
        "shown": None if shown is None else view(shown, statuses.run),
    }
