"""How fast the `local` profile curates, stage by stage, against bare decoding of the same files.

    python -m bench.speed.curation [DIR_OF_VIDEOS] [--runs N]

Both run in this process tree on one core (`OMP_NUM_THREADS=1`), one file after the other: the pipeline as
`--engine inline` runs it, and the reference `ffmpeg -threads 1 -i FILE -f null -`.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

from infra.command_line import run_alone


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What the command takes."""
    default = Path(os.environ.get("SOUL_SHARED", "../shared")) / "clips" / "video"
    parser.add_argument(
        "videos", nargs="?", type=Path, default=default, help="directory of videos (default: %(default)s)"
    )
    parser.add_argument("--runs", type=int, default=3, help="repetitions; the median counts (default: %(default)s)")


if __name__ == "__main__":
    sys.exit(run_alone("bench.speed.curation", __doc__, add_arguments))  # ahead of the imports that take seconds

import imageio_ffmpeg

os.environ["OMP_NUM_THREADS"] = "1"  # before the libraries that read it

from curation.clip.schema import Source
from curation.pipeline import CurationConfig, build_stages
from curation.runner import StageRunner


def run(options: argparse.Namespace) -> None:
    """Print source-seconds per second, each stage's share and the ratio to ffmpeg."""
    paths = sorted(str(path) for path in options.videos.iterdir() if path.is_file())
    runner = StageRunner(build_stages(CurationConfig()), raise_bugs=True)

    walls, decodes, shares = [], [], []
    for _ in range(options.runs):
        start = time.perf_counter()
        sources = [runner.run(Source(uri=path)) for path in paths]
        walls.append(time.perf_counter() - start)
        shares.append(sum((Counter(source.stage_seconds) for source in sources), Counter[str]()))
        decodes.append(bare_decode(paths))
    video_s = sum(source.media.info.duration_s for source in sources if source.media is not None)
    clips = [clip for source in sources for clip in source.clips]

    wall, decode = statistics.median(walls), statistics.median(decodes)
    print(f"{len(paths)} files, {video_s:.1f} s of video, {len(clips)} clips, {sum(c.kept for c in clips)} kept")
    print(f"curation   {wall:7.2f} s   {video_s / wall:6.2f} source-seconds per second on one core")
    print(f"ffmpeg     {decode:7.2f} s   {video_s / decode:6.2f} source-seconds per second on one core")
    ratio = statistics.median(w / d for w, d in zip(walls, decodes, strict=True))
    print(f"ratio      {ratio:7.2f}   curation / bare decoding")
    middle = shares[walls.index(sorted(walls)[len(walls) // 2])]
    for stage, seconds in middle.most_common():
        print(f"  {stage:12s} {seconds:7.2f} s   {100 * seconds / sum(middle.values()):5.1f} %")


def bare_decode(paths: list[str]) -> float:
    """Wall seconds that ffmpeg takes to decode the files' video one after the other."""
    ffmpeg = imageio_ffmpeg.get_ffmpeg_exe()
    start = time.perf_counter()
    for path in paths:
        command = [ffmpeg, "-v", "quiet", "-threads", "1", "-i", path, "-map", "0:v:0", "-f", "null", "-"]
        subprocess.run(command, check=False, stdin=subprocess.DEVNULL)
    return time.perf_counter() - start
