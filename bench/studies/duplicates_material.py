"""Copies of real videos, each changed in one way, made by the FFmpeg program, and curated as far as that is needed."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import imageio_ffmpeg
from rich.console import Console

from curation.clip.schema import Pool, Source
from curation.pipeline import CurationConfig, StagesConfig
from curation.runner import StageRunner
from curation.shards.run_directory import RunDirectory, ShardWriter
from curation.stages.export import Export, ExportConfig
from curation.stages.scenes import SceneDetection
from curation.stages.split import Split
from infra.config import ConfigError

SESSION: Final = "duplicates"
LEAST_S: Final = 4.0
"""A clip's least length."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Kind:
    """One way to change a video."""

    filters: str = ""
    """FFmpeg's, after the scaling of all."""
    crf: int = 23
    skip_s: float = 0.0
    """Left out at the beginning."""
    codec: str = "libx264"
    is_copy: bool = True
    """Whether it counts as a copy of the original."""

    @property
    def arguments(self) -> list[str]:
        """The encoder."""
        if self.codec == "libx264":
            return ["-c:v", "libx264", "-preset", "superfast", "-crf", str(self.crf), "-c:a", "aac", "-b:a", "96k"]
        speed = ["-deadline", "realtime", "-cpu-used", "8"]
        return ["-c:v", self.codec, *speed, "-crf", str(self.crf), "-b:v", "0", "-c:a", "libopus", "-b:a", "48k"]


def _cropped(share: float) -> Kind:
    left = 1 - share
    return Kind(filters=f"crop=trunc(iw*{left}/2)*2:trunc(ih*{left}/2)*2")


ORIGINAL: Final = "original"
KINDS: Final[Mapping[str, Kind]] = {
    ORIGINAL: Kind(crf=18),
    "low bitrate": Kind(crf=36),
    "vp9": Kind(codec="libvpx-vp9", crf=36),
    "half size": Kind(filters="scale=trunc(iw/4)*2:trunc(ih/4)*2"),
    "360p": Kind(filters="scale='if(gt(iw,ih),-2,360)':'if(gt(iw,ih),360,-2)'", crf=26),
    "shift 0.2 s": Kind(skip_s=0.2),
    "shift 0.5 s": Kind(skip_s=0.5),
    "shift 1 s": Kind(skip_s=1.0),
    "crop 5 %": _cropped(0.05),
    "crop 10 %": _cropped(0.1),
    "crop 15 %": _cropped(0.15),
    "brighter": Kind(filters="eq=brightness=0.08:contrast=1.15:saturation=1.2"),
    "logo": Kind(filters="drawbox=x=iw*0.04:y=ih*0.04:w=iw*0.18:h=ih*0.09:color=yellow:t=fill"),
    "letterbox": Kind(filters="pad=iw:ceil(ih*1.25/2)*2:0:(oh-ih)/2"),
    "mirrored": Kind(filters="hflip", is_copy=False),
}


def make_videos(clips: Path, folder: Path, *, most: int, most_s: float, short_edge_px: int, workers: int) -> list[Path]:
    """Every kind of every labelled video of at least 4 s that is not itself made from another; those there are stay.

    Args:
        clips: the labelled clips.
        folder: where the videos lie, as `<video>--<kind>.mkv`.
        most: labelled videos that are taken, the first ones.
        most_s: of each video.
        short_edge_px: larger ones are scaled down to this, for time's sake.
        workers: videos in work at a time.

    Raises:
        ConfigError: there are no labelled clips.
    """
    labels = clips / "labels.json"
    if not labels.is_file():
        raise ConfigError(f"no labelled clips at {clips}: set SOUL_SHARED")
    folder.mkdir(parents=True, exist_ok=True)
    entries = json.loads(labels.read_text())
    paths = [clips / each["file"] for each in entries if (each["duration_s"] or 0.0) >= LEAST_S]
    paths = [path for path in paths if not path.name.startswith("derived")][:most]

    def of_one(path: Path) -> list[Path]:
        original = folder / f"{path.stem}--{ORIGINAL}.mkv"
        made = []
        for name, kind in KINDS.items():
            out = folder / f"{path.stem}--{name.replace(' ', '_')}.mkv"
            # Copies are made of the original as it was scaled, which takes a fraction of the time.
            source = path if name == ORIGINAL else original
            if out.exists() or _make(source, out, kind, most_s, short_edge_px):
                made.append(out)
        return made

    with ThreadPoolExecutor(workers) as threads:
        return [video for made in threads.map(of_one, paths) for video in made]


def _make(path: Path, out: Path, kind: Kind, most_s: float, short_edge_px: int) -> bool:
    """Whether FFmpeg could read the video."""
    edge = short_edge_px
    size = f"scale='if(gt(iw,ih),-2,min(iw,{edge}))':'if(gt(iw,ih),min(ih,{edge}),-2)',crop=trunc(iw/2)*2:trunc(ih/2)*2"
    part = out.with_suffix(".part.mkv")
    done = subprocess.run(
        [
            *(imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-y", "-i", str(path), "-ss", str(kind.skip_s)),
            *("-t", str(most_s - kind.skip_s), "-vf", ",".join(filter(None, [size, kind.filters]))),
            *(*kind.arguments, "-pix_fmt", "yuv420p", "-ac", "2", "-fps_mode", "passthrough"),
            *("-map", "0:v:0", "-map", "0:a:0?", str(part)),
        ],
        capture_output=True,
        check=False,
    )
    if done.returncode:
        part.unlink(missing_ok=True)
        return False
    part.replace(out)
    return True


def curate(videos: list[Path], run: Path, workers: int, console: Console) -> RunDirectory:
    """Scenes, clips and export of every video, as units of a run; those that are committed stay.

    The stages between, which judge clips and reject small or soft copies, are left out: all clips are kept.
    """
    directory = RunDirectory(str(run))
    directory.open_session(SESSION)
    done = directory.committed()
    left = [path for path in videos if Source(uri=str(path), pool=Pool.GENERAL).key not in done]
    with ProcessPoolExecutor(workers) as pool, console.status("Curating ...") as status:
        for count, _ in enumerate(pool.map(_curate_one, left, [str(run)] * len(left)), start=1):
            status.update(f"Curating: {count} of {len(left)} videos")
    return directory


def _curate_one(path: Path, run: str) -> None:
    stages = StagesConfig(export=ExportConfig(preset="ultrafast"))
    config = CurationConfig(stages=stages)
    runner = StageRunner(
        [
            ("scenes", SceneDetection(stages.scenes)),
            ("split", Split(stages.split)),
            ("export", Export(stages.export)),
        ]
    )
    unit = runner.run(Source(uri=str(path), pool=Pool.GENERAL))
    ShardWriter(run, config.shards, config.decided_by, SESSION).write([unit])
