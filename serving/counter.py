"""The counter: where requests are handed in, checked, and passed on to the desk."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final

from serving.api_config import ApiConfig
from serving.desk import Desk
from serving.shelf import Shelf
from serving.uploads import check_uploads
from serving.video import KeptVideo, Video, VideoOptions

CHECKED_AT_ONCE: Final = 2
"""Uploads that are decoded at once: a large portrait takes hundreds of megabytes meanwhile."""

Receive = Callable[[Path], Awaitable[VideoOptions]]
"""Writes `portrait` and `speech` into a folder, and returns what else is asked for."""


class Counter:
    """What stands behind the interface and the page."""

    def __init__(self, desk: Desk, shelf: Shelf, config: ApiConfig) -> None:
        self.desk, self.shelf, self.config = desk, shelf, config
        self._checking = asyncio.Semaphore(CHECKED_AT_ONCE)

    async def take(self, client: str, receive: Receive) -> KeptVideo:
        """Take a request; nothing is left of one that is refused.

        Raises:
            ValueError: something in it is wrong; one line.
            RefusedError: the queue is full, or the like.
        """
        with self.desk.place_for(client):
            video_id = uuid.uuid4().hex
            try:
                video = await self._checked(video_id, client, await receive(self.shelf.folder(video_id)))
                self.desk.accept(video)
            except BaseException:
                self.shelf.drop(video_id)
                raise
        return video

    def shown(self, video: KeptVideo) -> Video:
        """A request as its client sees it now."""
        return video.model_copy(update={"place": self.desk.place(video)})

    async def _checked(self, video_id: str, client: str, options: VideoOptions) -> KeptVideo:
        async with self._checking:
            checked = await asyncio.to_thread(
                check_uploads,
                self.shelf.portrait(video_id),
                self.shelf.speech(video_id),
                options,
                self.config.limits,
                self.config.default_area,
            )
        return KeptVideo(
            id=video_id,
            client=client,
            options=options,
            width=checked.width,
            height=checked.height,
            seconds=checked.seconds,
        )
