"""What large pictures and long sources cost: seconds and memory of the `local` profile, against bare decoding.

    python -m bench.speed.large_sources [--heights 720 1080 2160 4320] [--hours 2]

Each size is a video of a real face, enlarged, that moves before a still background: 5 s at 25 frames a second, H.264.
It is curated in a process of its own on one core; so runs the reference `ffmpeg -threads 1 -i FILE -f null -`. The long
source repeats 5 s of 496 lines; its header is read, and its first, middle and last units are curated.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from fractions import Fraction
from pathlib import Path
from typing import Any

from infra.command_line import run_alone


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What the command takes."""
    parser.add_argument("--heights", nargs="+", type=int, default=[720, 1080, 2160, 4320], metavar="LINES")
    parser.add_argument("--hours", type=float, default=2.0, help="length of the long source; 0 leaves it out")


if __name__ == "__main__":
    sys.exit(run_alone("bench.speed.large_sources", __doc__, add_arguments))  # ahead of the imports that take seconds

import av
import imageio_ffmpeg

os.environ["OMP_NUM_THREADS"] = "1"  # before the libraries that read it

import cv2
import numpy as np
from skimage.data import astronaut

from curation.clip.schema import Source
from curation.planning import PlanningConfig, plan_units

SECONDS, FPS = 5, 25
ONE_UNIT = """
import json, resource, sys, time
from curation.pipeline import CurationConfig, build_stages
from curation.runner import StageRunner
from curation.clip.schema import Source

runner = StageRunner(build_stages(CurationConfig()), raise_bugs=True)
unit = json.loads(sys.argv[1])
begin = time.perf_counter()
source = runner.run(Source(**unit))
seconds = time.perf_counter() - begin
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
kept = sum(clip.kept for clip in source.clips)
print(json.dumps({"seconds": seconds, "peak_mib": peak / 1024, "kept": kept, "clips": len(source.clips),
                  "stages": dict(source.stage_seconds), "failure": source.failure and source.failure.rule}))
"""


def run(options: argparse.Namespace) -> None:
    """Print a line for each size, and the long source's."""
    with tempfile.TemporaryDirectory(prefix="soul-large-") as folder:
        for height in options.heights:
            path = write_face(Path(folder) / f"{height}.mp4", height)
            measured, decode_s = run_unit(Source(uri=str(path))), bare_decode(path)
            print(
                f"{height * 16 // 9}x{height}: {measured['seconds'] / SECONDS:6.2f} s a second of video, "
                f"{measured['seconds'] / decode_s:5.1f} x ffmpeg's decoding, peak {measured['peak_mib']:,.0f} MiB, "
                f"{measured['kept']} of {measured['clips']} clips kept"
            )
        if options.hours:
            measure_long(Path(folder), options.hours)


def measure_long(folder: Path, hours: float) -> None:
    """Measure a source of many units."""
    path = repeat(write_face(folder / "part.mp4", 496), folder / "long.mp4", round(hours * 3600 / SECONDS))
    begin = time.perf_counter()
    plan = plan_units([Source(uri=str(path))], set(), PlanningConfig())
    print(f"{hours:g} h: planned as {len(plan.units)} units in {time.perf_counter() - begin:.1f} s")
    for number in (0, len(plan.units) // 2, len(plan.units) - 1):
        unit = plan.units[number]
        measured = run_unit(unit)
        length = min(unit.segment_end_s, plan.duration_s) - unit.segment_start_s
        print(
            f"  unit {number:3d}, {length:.0f} s: {measured['seconds'] / length:5.2f} s a second of video, peak "
            f"{measured['peak_mib']:,.0f} MiB, {measured['kept']} of {measured['clips']} clips kept"
        )


def write_face(path: Path, height: int) -> Path:
    """Write a video of the face on a 16:9 picture, swaying sideways."""
    width = height * 16 // 9 // 2 * 2
    face = cv2.resize(np.asarray(astronaut())[..., ::-1], (height, height), interpolation=cv2.INTER_CUBIC)
    with av.open(str(path), "w") as output:
        options = {"preset": "ultrafast", "crf": "23"}
        stream = output.add_stream("libx264", rate=FPS, options=options)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for index in range(SECONDS * FPS):
            picture = np.full((height, width, 3), 120, np.uint8)
            left = (width - height) // 2 + round(height / 40 * np.sin(index / 8))
            picture[:, left : left + height] = face
            frame = av.VideoFrame.from_ndarray(picture, format="bgr24")
            frame.pts, frame.time_base = index, Fraction(1, FPS)
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    return path


def repeat(part: Path, path: Path, times: int) -> Path:
    """Write a video that repeats the packets of `part`, each time later."""
    with av.open(str(part)) as source, av.open(str(path), "w") as target:
        stream = source.streams.video[0]
        copy = target.add_stream_from_template(stream)
        packets = [(bytes(p), p.pts, p.dts, p.is_keyframe) for p in source.demux(stream) if p.size]
        for shift in range(0, times * round(SECONDS / stream.time_base), round(SECONDS / stream.time_base)):
            for data, pts, dts, is_key in packets:
                packet = av.Packet(data)
                packet.pts, packet.dts, packet.time_base = pts + shift, dts + shift, stream.time_base
                packet.is_keyframe, packet.stream = is_key, copy
                target.mux(packet)
    return path


def run_unit(unit: Source) -> dict[str, Any]:
    """Curate one unit in a process of its own."""
    fields = {"uri": unit.uri, "segment_start_s": unit.segment_start_s, "segment_end_s": unit.segment_end_s}
    command = [sys.executable, "-c", ONE_UNIT, json.dumps(fields)]
    done = subprocess.run(command, check=True, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    assert result["failure"] is None, result
    return result


def bare_decode(path: Path) -> float:
    """Wall seconds that ffmpeg takes."""
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "quiet", "-threads", "1", "-i", str(path), "-f", "null", "-"]
    begin = time.perf_counter()
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL)
    return time.perf_counter() - begin
