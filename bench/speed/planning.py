"""What planning reads of long videos behind HTTP, against downloading them.

    python -m bench.speed.planning [--seconds 480]

The same recording (4 Mbit/s) in several containers is served on loopback by a server that counts.
"""

from __future__ import annotations

import argparse
import sys

from infra.command_line import run_alone


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What the command takes."""
    parser.add_argument("--seconds", type=float, default=480.0, help="of video: 480 make 240 MB (default: 480)")


if __name__ == "__main__":
    sys.exit(run_alone("bench.speed.planning", __doc__, add_arguments))

import subprocess
import tempfile
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import imageio_ffmpeg

from curation.sources.headers import read_header
from infra.storage.files import fetch

CONTAINERS = {
    "index_at_the_end.mp4": (),
    "index_at_the_start.mp4": ("-movflags", "faststart"),
    "fragments_of_2_s.mp4": ("-movflags", "frag_keyframe+empty_moov+default_base_moof"),
    "matroska.mkv": (),
    "transport.ts": (),
    "one_rate.avi": ("-r", "25"),
    "flash.flv": (),
}
"""File name → how it is written."""


def run(options: argparse.Namespace) -> None:
    """Measure and print a line for each container."""
    with tempfile.TemporaryDirectory() as folder:
        server = CountingServer(Path(folder))
        threading.Thread(target=server.serve_forever, daemon=True).start()
        first = Path(folder) / "index_at_the_end.mp4"
        for name, words in CONTAINERS.items():
            path = Path(folder) / name
            _write(path, None if path == first else first, options.seconds, words)
            _measure(path, server)
            if path != first:
                path.unlink()
        server.shutdown()


def _measure(path: Path, server: CountingServer) -> None:
    uri, size = f"http://127.0.0.1:{server.server_port}/{path.name}", path.stat().st_size
    server.num_bytes = server.num_requests = 0
    begin = time.perf_counter()
    header = read_header(uri, size)
    header_s, num_bytes, num_requests = time.perf_counter() - begin, server.num_bytes, server.num_requests
    copy = path.with_suffix(".copy")
    begin = time.perf_counter()
    fetch(uri, str(copy))
    whole_s = time.perf_counter() - begin
    copy.unlink()
    print(
        f"{path.name:24} {size / 1e6:.0f} MB, {header.duration_s} s of video: {num_bytes / 1e6:.2f} MB "
        f"({num_bytes / size:.4f} x) in {num_requests} requests, {header_s:.2f} s ({header_s / whole_s:.2f} x)",
        flush=True,
    )


def _write(path: Path, source: Path | None, seconds: float, words: tuple[str, ...]) -> None:
    """A small picture whose stream is filled up to a steady rate, or the recording in another container."""
    made = ["-f", "lavfi", "-i", "testsrc2=size=320x240:rate=25", "-f", "lavfi", "-i", "sine=r=44100"]
    rate = ["-b:v", "4M", "-minrate", "4M", "-maxrate", "4M", "-bufsize", "4M", "-x264-params", "nal-hrd=cbr"]
    coded = ["-t", str(seconds), "-c:v", "libx264", "-preset", "ultrafast", "-g", "50", *rate, "-c:a", "aac"]
    given = [*made, *coded] if source is None else ["-i", str(source), "-c", "copy", *words]
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-y", *given, str(path)]
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL)


class CountingServer(ThreadingHTTPServer):
    """Serves the files of a folder, whole or in ranges, and counts."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.num_requests = self.num_bytes = 0
        super().__init__(("127.0.0.1", 0), _Ranges)


class _Ranges(BaseHTTPRequestHandler):
    server: CountingServer

    def do_GET(self) -> None:
        path = self.server.folder / self.path.strip("/")
        size, asked = path.stat().st_size, self.headers.get("Range", "")
        first, _, last = asked.removeprefix("bytes=").partition("-")
        start, end = (int(first), min(size, int(last) + 1)) if asked else (0, size)
        self.send_response(206 if asked else 200)
        self.send_header("Accept-Ranges", "bytes")
        self.send_header("Content-Length", str(end - start))
        if asked:
            self.send_header("Content-Range", f"bytes {start}-{end - 1}/{size}")
        self.end_headers()
        self.server.num_requests += 1
        if self.command == "GET":
            self.server.num_bytes += end - start
            with path.open("rb") as file:
                file.seek(start)
                while start < end:
                    self.wfile.write(part := file.read(min(1 << 20, end - start)))
                    start += len(part)

    do_HEAD = do_GET  # noqa: N815 (the name that the server looks for)

    def log_message(self, *_: object) -> None:
        """Log nothing."""
