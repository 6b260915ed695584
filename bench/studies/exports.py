"""How faithful exported clips are to their sources, by FFmpeg's own decode of both.

    python -m bench.studies.exports --run RUN [--out FILE]

For every kept clip of a run, the FFmpeg program decodes the clip and the same stretch of its source, each from its
beginning. The study reports the mean difference of the pictures in levels of 8-bit RGB, and by how many milliseconds
sound and picture have moved against each other. The sound's shift is found by cross-correlation with the source's; the
picture's is the one at which the frames agree best. FFmpeg is told which streams to decode and, for HD that does not
name its colour matrix, to take BT.709, which players assume and FFmpeg does not.
"""

from __future__ import annotations

import argparse
import io
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from infra.command_line import run_alone


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What the command takes."""
    parser.add_argument(
        "--run", required=True, metavar="RUN", help="a local run directory whose sources are still there"
    )
    parser.add_argument("--out", type=Path, metavar="FILE", help="write every clip's figures as JSON")


if __name__ == "__main__":
    sys.exit(run_alone("bench.studies.exports", __doc__, add_arguments))  # ahead of the imports that take seconds

import imageio_ffmpeg
import numpy as np
import numpy.typing as npt
import soundfile
from rich.console import Console
from rich.table import Table
from rich.text import Text
from scipy.signal import correlate, correlation_lags

from curation.shards.clip_table import open_run
from infra.config import ConfigError

COLUMNS = ("key", "source", "kept", "audio_kept", "start_s", "end_s", "parent_key", "num_frames", "width", "height")
RATE_HZ = 48_000
MAX_SHIFT_FRAMES = 3
MAX_SHIFT_S = 0.25
CONVERSION = "flags=accurate_rnd+full_chroma_int+bicubic"

Pictures = npt.NDArray[np.uint8]


@dataclass(frozen=True, kw_only=True, slots=True)
class Fidelity:
    """How faithful one clip is to its source."""

    key: str
    num_frames: int
    colour_levels: float
    """Mean absolute difference over all pixels and frames."""
    largest_frame_levels: float
    """The same of the frame that differs most."""
    picture_ms: float
    """By how much the picture is late."""
    sound_ms: float | None
    """By how much the sound is late; None without sound, or where it is silent."""

    @property
    def offset_ms(self) -> float | None:
        """By how much the sound is later than the picture."""
        return None if self.sound_ms is None else self.sound_ms - self.picture_ms


def run(options: argparse.Namespace) -> None:
    """Measure and print.

    Raises:
        ConfigError: it is not a run directory, or nothing in it can be measured.
    """
    console = Console(markup=False)
    results = list(measure_run(options.run, console))
    if not results:
        raise ConfigError(f"{options.run} holds no whole clip whose source is here")
    print_results(results, console)
    if options.out is not None:
        options.out.write_text(json.dumps([asdict(result) for result in results], indent=1) + "\n")


def measure_run(run: str, console: Console) -> Iterator[Fidelity]:
    """Measure every kept clip that shows its source's whole picture.

    Raises:
        ConfigError: it is not a run directory.
    """
    directory = open_run(run)
    for row in directory.index([*COLUMNS, "shard"]).to_pylist():
        if not row["kept"] or row["parent_key"] is not None or not Path(row["source"]).is_file():
            continue
        files = directory.sample(row["shard"], row["key"])
        with console.status(Text(row["key"])), tempfile.TemporaryDirectory(prefix="soul-") as folder:
            clip = Path(folder) / "clip.mp4"
            clip.write_bytes(files["mp4"])
            yield measure(row, json.loads(files["json"])["video"], clip, files.get("wav"))


def measure(row: dict[str, Any], video: dict[str, Any], clip: Path, wav: bytes | None) -> Fidelity:
    """Compare a clip with its source."""
    size = row["width"], row["height"]
    written = decode_pictures(clip, 0, size, "")
    matrix = "in_color_matrix=bt709:" if video["color_matrix_assumed"] and video["color_matrix"] == "bt709" else ""
    period = (row["end_s"] - row["start_s"]) / row["num_frames"]
    margin = MAX_SHIFT_FRAMES * period
    span = row["start_s"] - margin, row["end_s"] + margin
    source = decode_pictures(Path(row["source"]), video["video_stream"], size, matrix, span)
    before = min(MAX_SHIFT_FRAMES, round(row["start_s"] / period))
    shifts = range(-before, len(source) - before - len(written) + 1)
    errors = {shift: difference(written, source[before + shift : before + shift + len(written)]) for shift in shifts}
    best = min(errors, key=lambda shift: (round(float(errors[shift].mean()), 2), abs(shift)))
    return Fidelity(
        key=row["key"],
        num_frames=len(written),
        colour_levels=float(errors[best].mean()),
        largest_frame_levels=float(errors[best].max()),
        picture_ms=-1000.0 * best * period,
        sound_ms=None if wav is None else sound_delay_ms(wav, Path(row["source"]), video["audio_stream"], row),
    )


def decode_pictures(
    path: Path, stream: int, size: tuple[int, int], matrix: str, span: tuple[float, float] | None = None
) -> Pictures:
    """(F, H, W, 3) RGB at a quarter of the size, by the FFmpeg program.

    Args:
        path: the file.
        stream: its index.
        size: (width, height) that a player shows, in pixels.
        matrix: the input's colour matrix as the first argument of FFmpeg's `scale` filter; empty for its default.
        span: seconds from the first picture; everything without it.
    """
    width, height = (max(2, side // 4) for side in size)
    chosen = "" if span is None else f"setpts=PTS-STARTPTS,select='gte(t,{span[0] - 1e-3})*lt(t,{span[1] - 1e-3})',"
    filters = f"{chosen}scale={matrix}{CONVERSION},format=rgb24,scale={width}:{height}:flags=area"
    data = _ffmpeg("-i", path, "-map", f"0:{stream}", "-vf", filters, "-fps_mode", "passthrough", "-f", "rawvideo")
    return np.frombuffer(data, np.uint8).reshape(-1, height, width, 3)


def difference(ours: Pictures, theirs: Pictures) -> npt.NDArray[np.float64]:
    """(F,): mean absolute difference of each frame, in levels."""
    return np.array([np.abs(a.astype(np.int16) - b.astype(np.int16)).mean() for a, b in zip(ours, theirs, strict=True)])


def sound_delay_ms(wav: bytes, source: Path, stream: int, row: dict[str, Any]) -> float | None:
    """By how many milliseconds a clip's sound is late against its source's, on a clock that begins with the picture."""
    ours, rate_hz = soundfile.read(io.BytesIO(wav), dtype="float32", always_2d=True)
    start = f"asetpts=PTS-{picture_start_s(source)}/TB,aresample=async=1:first_pts=0"
    data = _ffmpeg(
        "-copyts", "-i", source, "-map", f"0:{stream}", "-af", f"{start}:osr={rate_hz}", "-ac", "1", "-f", "f32le"
    )
    theirs = np.frombuffer(data, np.float32)
    margin = round(MAX_SHIFT_S * rate_hz)
    begin = round(row["start_s"] * rate_hz) - margin
    reference = np.pad(theirs, (max(0, -begin), len(ours) + 2 * margin))[max(0, begin) :][: len(ours) + 2 * margin]
    mono = ours.mean(axis=1)
    if min(float(np.abs(mono).max()), float(np.abs(reference).max())) < 1e-3:
        return None
    lags: npt.NDArray[np.int64] = correlation_lags(len(reference), len(mono), "valid")
    lag = int(lags[np.argmax(correlate(reference, mono, "valid"))])
    return float(1000 * (margin - lag)) / int(rate_hz)


def picture_start_s(source: Path) -> float:
    """When the first picture is shown on the container's clock, by the FFmpeg program."""
    text = subprocess.run(
        [imageio_ffmpeg.get_ffmpeg_exe(), "-hide_banner", "-nostdin", "-copyts", "-i", str(source), "-map", "0:V:0",
         "-frames:v", "1", "-vf", "showinfo", "-f", "null", "-"],
        capture_output=True, text=True, check=True,
    ).stderr  # fmt: skip
    return float(text.partition("pts_time:")[2].split()[0])


def print_results(results: list[Fidelity], console: Console) -> None:
    """A row a clip, and the means."""
    table = Table(title="Exported clips against FFmpeg's decode of their sources", box=None)
    for name in ("clip", "frames", "colour, levels", "worst frame", "A/V offset, ms"):
        table.add_column(name, justify="left" if name == "clip" else "right", overflow="fold")
    for one in results:
        offset = "–" if one.offset_ms is None else f"{one.offset_ms:+.2f}"
        table.add_row(
            one.key, str(one.num_frames), f"{one.colour_levels:.2f}", f"{one.largest_frame_levels:.2f}", offset
        )
    console.print(table)
    offsets = [abs(one.offset_ms) for one in results if one.offset_ms is not None]
    frames = sum(one.num_frames for one in results)
    colour = sum(one.colour_levels * one.num_frames for one in results) / frames
    console.print(
        f"{len(results)} clips, {frames} frames: mean colour error {colour:.2f} levels, largest of a clip "
        f"{max(one.colour_levels for one in results):.2f}; |A/V offset| of {len(offsets)} clips with sound: mean "
        f"{np.mean(offsets or [np.nan]):.2f} ms, largest {max(offsets, default=np.nan):.2f} ms",
        soft_wrap=True,
        highlight=False,
    )


def _ffmpeg(*arguments: str | Path) -> bytes:
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-nostdin", *map(str, arguments), "-"]
    return subprocess.run(command, capture_output=True, check=True).stdout
