"""A clip's keyframes as one video in a chat message: JPEGs as they are, nothing encoded or decoded again."""

from __future__ import annotations

import base64
from dataclasses import dataclass, field
from typing import Any, Self

from curation.backends.vlm.config import VlmConfig
from curation.clip.schema import Clip

MIN_PIXELS = 64 * 64
"""Below this a processor scales up; no keyframe is that small."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ClipVideo:
    """What a model is shown of a clip."""

    part: dict[str, Any] = field(repr=False)
    """Of a message."""
    num_frames: int
    fps: float
    """Of the keyframes: frame `i` is shown to the model with the time `i / fps` seconds."""
    begins_s: float
    """Time of its first frame, in seconds from the clip's start."""

    @classmethod
    def of(cls, clip: Clip, config: VlmConfig) -> Self:
        """The video of a clip that has keyframes."""
        assert clip.keyframes, f"{clip.key} has no keyframes"
        every = -(-len(clip.keyframes) // config.max_keyframes)
        shown = clip.keyframes[::every]
        span_s = shown[-1].time_s - shown[0].time_s
        fps = (len(shown) - 1) / span_s if span_s > 0 else 1.0
        # The models take frames in pairs and refuse a video of one.
        frames = [keyframe.jpeg for keyframe in shown] * (2 if len(shown) == 1 else 1)
        url = "data:video/jpeg;base64," + ",".join(base64.b64encode(jpeg).decode() for jpeg in frames)
        return cls(
            part={"type": "video_url", "video_url": {"url": url}},
            num_frames=len(frames),
            fps=round(fps, 4),
            begins_s=shown[0].time_s - clip.start_s,
        )

    def options(self, config: VlmConfig) -> dict[str, Any]:
        """The fields of a request that say how the video is read; the server allows them by
        `--trust-request-mm-kwargs`. Without them it reads 1 frame a second and 32 at most."""
        # Qwen3-VL's processor rounds the number of frames up to pairs before it counts pixels.
        counted = 1 if config.pixel_limit == "frame" else self.num_frames + self.num_frames % 2
        return {
            "media_io_kwargs": {"video": {"num_frames": -1, "fps": self.fps}},
            "mm_processor_kwargs": {
                "size": {"shortest_edge": MIN_PIXELS, "longest_edge": counted * config.max_frame_pixels}
            },
        }
