"""A request and what has become of it: what clients are told, and what is kept of it on disk."""

from __future__ import annotations

import time
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from model.codecs.image import AREAS
from model.generation.request import Sampling, parse_size
from serving.client_words import in_clients_words

State = Literal["queued", "running", "done", "failed", "cancelled"]
ENDED = frozenset({"done", "failed", "cancelled"})
"""States that a request does not leave."""
PROMPT_CHARACTERS = 4000


class VideoOptions(BaseModel):
    """What can be asked for besides portrait and speech; what is left out is the model's default."""

    model_config = ConfigDict(extra="forbid")

    prompt: str = Field(default="A person talks to the camera.", max_length=PROMPT_CHARACTERS)
    """What happens in the video."""
    negative_prompt: str | None = Field(default=None, max_length=PROMPT_CHARACTERS)
    """What guidance leads away from."""
    seed: int = 0
    """The same seed gives the same video."""
    seconds: float | None = Field(default=None, gt=0)
    """Of the speech that are used, from its beginning on; all where nothing is said."""
    steps: int | None = None
    """Denoising steps of a clip."""
    guidance_scale: float | None = None
    """Of the prompt, and of the speech where that has none of its own; 1 turns guidance off."""
    audio_guidance_scale: float | None = None
    """Of the speech."""
    size: str | None = Field(default=None, examples=["704x1280"])
    """WIDTHxHEIGHT, both divisible by 32; the portrait is cropped to this shape."""
    area: str | None = Field(default=None, examples=[*AREAS, "65536"])
    """720p, 1080p or pixels of a frame; the portrait's shape is kept."""

    def sampling(self) -> Sampling:
        """How the video is made.

        Raises:
            ValueError: an impossible size or number; one line.
        """
        if self.size is not None and self.area is not None:
            raise ValueError("give size or area, not both")
        names = ("negative_prompt", "seed", "steps", "guidance_scale", "audio_guidance_scale")
        asked = {name: getattr(self, name) for name in names}
        try:
            height, width, area = parse_size(self.size, self.area)
            return Sampling(height=height, width=width, area=area, **asked)
        except ValueError as error:
            raise ValueError(in_clients_words(str(error))) from error


class Video(BaseModel):
    """A request, as its client sees it. Times are seconds since 1970."""

    id: str
    state: State = "queued"
    place: int | None = None
    """In the queue, from 1 on, while it is queued."""
    clips: int = 0
    """Clips that are made: their part of the video can be watched."""
    num_clips: int | None = None
    """Clips of the whole video, once it is begun."""
    steps: int = 0
    """Denoising steps that are done."""
    num_steps: int | None = None
    """Denoising steps of the whole video, once it is begun."""
    width: int
    height: int
    seconds: float
    """Length of the speech, and so of the video."""
    options: VideoOptions
    attempts: int = 0
    """How often it was begun: once more after a replica that made it has died."""
    error: str | None = None
    """Why it failed, or was cancelled by the server."""
    created_at: float = Field(default_factory=time.time)
    started_at: float | None = None
    ended_at: float | None = None


class KeptVideo(Video):
    """A request with what its client is not told."""

    client: str
    """Whose it is."""
    replica: int | None = None
    """The process that makes it, or made it."""

    @property
    def ended(self) -> bool:
        """Whether nothing more happens to it."""
        return self.state in ENDED
