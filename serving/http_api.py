"""The HTTP interface: what each path takes and answers, on FastAPI. The queue behind it is the desk's."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, FastAPI, Request, Response
from fastapi.responses import FileResponse, StreamingResponse
from fastapi_offline import FastAPIOffline
from pydantic import BaseModel

from serving.access import RefusedError
from serving.counter import Counter
from serving.problems import Problem, answer_problems
from serving.receiving import BODIES, check_length, receive
from serving.video import KeptVideo, Video

MEDIA_TYPE: Final = "video/mp4"

ABOUT: Final = """\
A portrait, speech and a prompt become a video. `POST /v1/videos` puts a request into the queue; its stream can be
watched from the first clip on while the rest is made.
"""


class VideoList(BaseModel):
    """A client's requests, the newest first."""

    videos: list[Video]


def _counter(request: Request) -> Counter:
    counter: Counter = request.app.state.counter
    return counter


AtCounter = Annotated[Counter, Depends(_counter)]


def _client(request: Request, counter: AtCounter) -> str:
    return counter.config.access.client(request.headers)


Client = Annotated[str, Depends(_client)]


def _asked(video_id: str, client: Client, counter: AtCounter) -> KeptVideo:
    return counter.desk.find(video_id, client)


Asked = Annotated[KeptVideo, Depends(_asked)]

_PROBLEMS: Final[dict[int | str, dict[str, Any]]] = {
    status: {"model": Problem} for status in (400, 401, 403, 404, 409, 411, 413, 415, 429, 503)
}
_videos = APIRouter(prefix="/v1/videos", tags=["videos"], responses=_PROBLEMS)
_server = APIRouter(tags=["server"])


@_videos.post("", status_code=202, response_model=Video, openapi_extra=BODIES)
async def make_video(request: Request, response: Response, client: Client, counter: AtCounter) -> Video:
    """Ask for a video, with files in a form or, where the server allows it, with URLs in JSON."""
    check_length(request, counter.config.limits)
    video = await counter.take(client, lambda folder: receive(request, folder, counter.config))
    response.headers["Location"] = f"/v1/videos/{video.id}"
    return counter.shown(video)


@_videos.get("")
async def list_videos(client: Client, counter: AtCounter) -> VideoList:
    """What you have asked for, as far as it is kept."""
    return VideoList(videos=[counter.shown(video) for video in counter.desk.of_client(client)])


@_videos.get("/{video_id}", response_model=Video)
async def video_status(video: Asked, counter: AtCounter) -> Video:
    """How far a video is."""
    return counter.shown(video)


@_videos.delete("/{video_id}", response_model=Video)
async def cancel_video(video: Asked, counter: AtCounter) -> Video:
    """Cancel a video that has not ended: one that is being made breaks off after its denoising step."""
    await counter.desk.cancel(video)
    return counter.shown(video)


@_videos.get("/{video_id}/content", response_class=FileResponse)
async def finished_video(video: Asked, counter: AtCounter) -> FileResponse:
    """The finished mp4, or the range of it that is asked for."""
    if video.state != "done":
        raise RefusedError(409, f"the video is {video.state}{f': {video.error}' if video.error else ''}")
    return FileResponse(counter.shelf.content(video.id), media_type=MEDIA_TYPE, filename=f"{video.id}.mp4")


@_videos.get("/{video_id}/stream", response_class=StreamingResponse)
async def streamed_video(video: Asked, counter: AtCounter) -> StreamingResponse:
    """The video while it is made, as fragmented mp4: waits for the first clip, and ends with the last."""
    fragments = counter.desk.fragments(video)
    first = await anext(fragments)

    async def body() -> AsyncIterator[bytes]:
        yield first
        async for data in fragments:
            yield data

    return StreamingResponse(body(), media_type=MEDIA_TYPE, headers={"Cache-Control": "no-store"})


@_server.get("/healthz")
async def health(counter: AtCounter) -> dict[str, str]:
    """Whether the server takes requests; needs no key."""
    if counter.desk.closing:
        raise RefusedError(503, "the server is about to end")
    return {"status": "ok", "model": counter.config.model}


@_server.get("/metrics", response_class=Response)
async def metrics(counter: AtCounter) -> Response:
    """Counters in Prometheus' text; needs no key."""
    return Response(counter.desk.metrics.text(), media_type="text/plain; version=0.0.4")


def build_api(counter: Counter) -> FastAPI:
    """The application; the desk opens and closes with it."""
    desk = counter.desk

    @asynccontextmanager
    async def opened(_api: FastAPI) -> AsyncIterator[None]:
        desk.open()
        yield
        await desk.close(0.0)

    def refused(request: Request, status: int) -> dict[str, str]:
        if request.method == "POST":
            desk.metrics.refused.labels(str(status)).inc()
        headers = {429: {"Retry-After": str(desk.retry_after_s())}, 401: {"WWW-Authenticate": "Bearer"}}
        return headers.get(status, {})

    # The pages under /docs and /redoc load nothing from elsewhere.
    api = FastAPIOffline(title="Soul", description=ABOUT, version="1", lifespan=opened)
    api.state.counter = counter
    api.include_router(_videos)
    api.include_router(_server)
    answer_problems(api, refused)
    return api
