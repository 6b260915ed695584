"""The server of the page: lists and records as JSON, thumbnails, clips with their sound, files of the shards."""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import asdict
from typing import Final

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from curation.browse.collection import Collection
from curation.browse.files import NotThereError, ShardFiles
from curation.browse.listing import about, differences, page_of, record_page, shown
from curation.browse.page import html
from curation.browse.query import Query
from curation.browse.selection import select, spread
from curation.media.errors import MediaError
from curation.pages import server as pages
from curation.pages.server import HEADERS
from infra.config import ConfigError

KINDS: Final = {"mp4": "video/mp4", "wav": "audio/wav", "json": "application/json"}
ONE_RANGE: Final = re.compile(r"bytes=(\d*)-(\d*)")
Read = Callable[[int, int], bytes]
"""The bytes `start <= position < end` of a file."""


def application(collection: Collection, host: str) -> Starlette:
    """The server's answers.

    Args:
        collection: what is looked through.
        host: to listen on, as it was typed.
    """
    answers = Answers(collection)
    routes = [
        Route("/", answers.page),
        Route("/api/clips", answers.clips),
        Route("/api/columns/{name}", answers.column),
        Route("/api/record", answers.record),
        Route("/thumbnail", answers.thumbnail),
        Route("/clip", answers.clip),
        Route("/file", answers.file),
    ]
    return pages.application(routes, host, {ConfigError: 400, NotThereError: 404, MediaError: 422, OSError: 502})


def serving(collection: Collection) -> AbstractContextManager[str]:
    """The address of the page on this machine, while a thread of this process answers."""
    return pages.serving(application(collection, pages.LOOPBACK[0]))


class Answers:
    """One answer a route. They run in threads: what they read may come from afar."""

    def __init__(self, collection: Collection) -> None:
        self.collection = collection
        self.files = [ShardFiles(run) for run in collection.runs]

    def page(self, _: Request) -> Response:
        """The page itself."""
        return HTMLResponse(html(about(self.collection), files="'self'"), headers=HEADERS)

    def clips(self, request: Request) -> Response:
        """A page of the clips that a query selects, and the counts of all of them."""
        query = self._query(request)
        more = tuple(request.query_params.getlist("show"))
        return JSONResponse(page_of(select(self.collection, query), query, more), headers=HEADERS)

    def column(self, request: Request) -> Response:
        """How a column's values are spread over a selection."""
        name = request.path_params["name"]
        if name not in self.collection.table.column_names:
            raise NotThereError(f"there is no column {name!r}")
        return JSONResponse(asdict(spread(select(self.collection, self._query(request)), name)), headers=HEADERS)

    def record(self, request: Request) -> Response:
        """Everything that is known of one row; of two runs that are compared, of each that has it."""
        key = request.query_params.get("key", "")
        row = self.collection.row(key)
        if row is None:
            raise NotThereError(f"there is no clip {key!r}")
        shards = self.collection.shards_of(key)
        records = {run: self.files[run].record(shard, key) for run, shard in shards.items()}
        both = differences(*(record.row for record in records.values())) if len(records) > 1 else []
        pages = {run: record_page(record) for run, record in records.items()}
        return JSONResponse({"row": shown(row), "records": pages, "differences": both}, headers=HEADERS)

    def thumbnail(self, request: Request) -> Response:
        """A row's picture."""
        files, shard, key = self._place(request)
        return Response(files.thumbnail(shard, key), media_type="image/jpeg", headers=HEADERS)

    def clip(self, request: Request) -> Response:
        """A clip as it is played: with its sound where it has any."""
        files, shard, key = self._place(request)
        playable = files.playable(shard, key)
        return part_of(request, len(playable), lambda start, end: playable[start:end], KINDS["mp4"])

    def file(self, request: Request) -> Response:
        """A file of a clip, byte for byte as the shard has it."""
        files, shard, key = self._place(request)
        extension = request.query_params.get("kind", "mp4")
        if extension not in KINDS:
            raise NotThereError(f"there is no kind {extension!r} of file: there are {', '.join(KINDS)}")
        file = files.file(shard, key, extension)
        return part_of(request, file.size, file.read, KINDS[extension])

    def _place(self, request: Request) -> tuple[ShardFiles, str, str]:
        key, run = request.query_params.get("key", ""), request.query_params.get("run", "0")
        shard = self.collection.shards_of(key).get(int(run) if run.isdecimal() else -1)
        if shard is None:
            raise NotThereError(f"there is no clip {key!r} in run {run}")
        return self.files[int(run)], shard, key

    def _query(self, request: Request) -> Query:
        return Query.parse(request.url.query, self.collection.table.schema)


def part_of(request: Request, size: int, read: Read, kind: str) -> Response:
    """A file, or the one part of it that is asked for: players ask for parts to begin at once, and to jump."""
    headers = HEADERS | {"Accept-Ranges": "bytes"}
    asked = ONE_RANGE.fullmatch(request.headers.get("range", "").replace(" ", ""))
    if asked is None or asked[0] == "bytes=-":
        return Response(read(0, size), media_type=kind, headers=headers)
    if asked[1]:
        start, end = int(asked[1]), min(int(asked[2]) + 1 if asked[2] else size, size)
    else:
        start, end = max(0, size - int(asked[2])), size
    if start >= end:
        return PlainTextResponse("", status_code=416, headers=headers | {"Content-Range": f"bytes */{size}"})
    headers["Content-Range"] = f"bytes {start}-{end - 1}/{size}"
    return Response(read(start, end), status_code=206, media_type=kind, headers=headers)
