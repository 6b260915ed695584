"""The body of a request for a video: a form with files, or JSON with URLs; either ends as two files in a folder."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path
from typing import Any, Final

from fastapi import Request
from pydantic import Field, ValidationError
from starlette.datastructures import UploadFile

from serving.access import RefusedError
from serving.api_config import ApiConfig
from serving.fetching import fetch
from serving.limits import Limits
from serving.problems import first_problem
from serving.video import VideoOptions

JSON_BYTES: Final = 1 << 16
"""Most that a request in JSON may have."""


class VideoFromUrls(VideoOptions):
    """A request in JSON: portrait and speech are fetched from http or https URLs, if the server allows it."""

    image_url: str = Field(max_length=2000)
    audio_url: str = Field(max_length=2000)


BODIES: Final = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    **VideoOptions.model_json_schema(),
                    "title": "VideoFromFiles",
                    "required": ["image", "audio"],
                    "properties": {
                        "image": {"type": "string", "format": "binary", "description": "The portrait."},
                        "audio": {"type": "string", "format": "binary", "description": "Any file with the speech."},
                        **VideoOptions.model_json_schema()["properties"],
                    },
                }
            },
            "application/json": {"schema": VideoFromUrls.model_json_schema()},
        },
    }
}
"""Both, for the description of the interface."""


def check_length(request: Request, limits: Limits) -> None:
    """Refuse a body that is too long before any of it is read.

    Raises:
        RefusedError: it is, or its length is not said.
    """
    given = request.headers.get("content-length", "")
    if not (given.isascii() and given.isdigit()):
        raise RefusedError(411, "say the length of the body: Content-Length")
    most = JSON_BYTES if _is_json(request) else limits.upload_mb * 10**6
    if len(given) > 15 or int(given) > most:
        raise RefusedError(413, f"a request has at most {most / 10**6:g} MB here")


async def receive(request: Request, folder: Path, config: ApiConfig) -> VideoOptions:
    """Write `portrait` and `speech` into a folder; returns the rest of the request.

    Raises:
        ValueError: the body is not what it should be; one line.
        RefusedError: it is of another kind, or names URLs where none are allowed.
    """
    if _is_json(request):
        return await _from_urls(await request.body(), folder, config)
    if not request.headers.get("content-type", "").lower().startswith("multipart/form-data"):
        raise RefusedError(415, "send multipart/form-data with image and audio, or application/json with URLs")
    return await _from_files(request, folder)


async def _from_files(request: Request, folder: Path) -> VideoOptions:
    async with request.form(max_files=2, max_fields=32) as form:
        fields: dict[str, Any] = dict(form)
        if len(fields) < len(form.multi_items()):
            raise ValueError("a field is there twice")
        for field, name in (("image", "portrait"), ("audio", "speech")):
            file = fields.pop(field, None)
            if not isinstance(file, UploadFile):
                raise ValueError(f"{field} is missing: send it as a file")  # noqa: TRY004 (the client's error)
            if not file.size:
                raise ValueError(f"{field} is empty")
            await asyncio.to_thread(_copy, file, folder / name)
    if files := [name for name, value in fields.items() if isinstance(value, UploadFile)]:
        raise ValueError(f"{files[0]} is not a file")
    try:
        return VideoOptions.model_validate(fields)
    except ValidationError as error:
        raise ValueError(first_problem(error.errors())) from None


async def _from_urls(body: bytes, folder: Path, config: ApiConfig) -> VideoOptions:
    if not config.urls:
        raise RefusedError(403, "this server fetches no URLs (--allow-urls): send image and audio as files")
    try:
        asked = VideoFromUrls.model_validate_json(body)
    except ValidationError as error:
        raise ValueError(first_problem(error.errors())) from None
    most = config.limits.upload_mb * 10**6
    for url, name in ((asked.image_url, "portrait"), (asked.audio_url, "speech")):
        await fetch(url, folder / name, max_bytes=most, private=config.private_urls)
    return VideoOptions(**asked.model_dump(exclude={"image_url", "audio_url"}))


def _copy(file: UploadFile, path: Path) -> None:
    with path.open("wb") as out:
        shutil.copyfileobj(file.file, out, 1 << 20)


def _is_json(request: Request) -> bool:
    kind: str = request.headers.get("content-type", "")
    return kind.partition(";")[0].strip().lower() == "application/json"
