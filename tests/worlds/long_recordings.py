"""A recording of a steady rate in several containers, cheap to make: a small picture whose stream is filled up."""

from __future__ import annotations

import subprocess
from pathlib import Path

import imageio_ffmpeg

CONTAINERS = {
    "index_at_the_end.mp4": (),
    "index_at_the_start.mp4": ("-movflags", "faststart"),
    "fragmented.mp4": ("-movflags", "frag_keyframe+empty_moov+default_base_moof"),
    "live_fragments.mp4": ("-movflags", "frag_keyframe+empty_moov+skip_trailer"),
    "quicktime.mov": (),
    "matroska.mkv": (),
    "transport.ts": (),
    "one_rate.avi": ("-r", "25"),
    "flash.flv": (),
}
"""File name → how it is written."""


def write_recordings(folder: Path, *, seconds: float, megabits: int = 4) -> list[Path]:
    """The same picture and sound in each container.

    Args:
        folder: where to.
        seconds: of video.
        megabits: a second.
    """
    first, *others = CONTAINERS
    rate = f"{megabits}M"
    _ffmpeg(
        *("-f", "lavfi", "-i", "testsrc2=size=320x240:rate=25", "-f", "lavfi", "-i", "sine=r=44100"),
        *("-t", str(seconds), "-c:v", "libx264", "-preset", "ultrafast", "-g", "50"),
        *("-b:v", rate, "-minrate", rate, "-maxrate", rate, "-bufsize", rate),
        *("-x264-params", "nal-hrd=cbr:force-cfr=1", "-c:a", "aac", str(folder / first)),
    )
    for name in others:
        _ffmpeg("-i", str(folder / first), "-c", "copy", *CONTAINERS[name], str(folder / name))
    return [folder / name for name in CONTAINERS]


def _ffmpeg(*words: str) -> None:
    subprocess.run([imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-y", *words], check=True, stdin=subprocess.DEVNULL)
