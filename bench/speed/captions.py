"""What asking a vLLM server about many clips at once gives, against one question after the other.

    python -m bench.speed.captions --url http://localhost:8001/v1 --model NAME [VIDEO ...]

The same clips are captioned twice, in the same words: first one question at a time, then all clips together, as
curation's caption stage asks. Each time a corner of the pictures is painted in a colour of its own, so that no question
finds the pictures of the other time, or of an earlier run, in any cache of the server; only the words ahead of the
pictures may be there. While it is asked, the server tells how many requests it works on.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from infra.command_line import existing_file, run_alone


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What the command takes."""
    add = parser.add_argument
    default = Path(os.environ.get("SOUL_SHARED", "../shared")) / "clips" / "video"
    add("videos", nargs="*", type=existing_file, metavar="VIDEO", help=f"videos (default: those in {default})")
    add("--url", required=True, help="address of the server's API, with /v1")
    add("--model", required=True, help="name under which it serves the model")
    add("--clips", type=int, default=16, help="clips that are captioned at most (default: %(default)s)")
    add("--together", type=int, default=128, help="clips in work at once in the second pass (default: %(default)s)")
    add("--max-tokens", type=int, default=1500, help="of one reply (default: %(default)s)")
    add("--every", type=float, default=0.25, help="seconds between two looks at the server (default: %(default)s)")
    parser.set_defaults(shared=default)


if __name__ == "__main__":
    sys.exit(run_alone("bench.speed.captions", __doc__, add_arguments))  # ahead of the imports that take seconds

import re
import secrets
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Final, TypeVar

import cv2
import numpy as np
from pydantic import BaseModel

from curation.backends.caption.captioner import CaptionError
from curation.backends.vlm.asking import Answered, Question, VlmClient
from curation.backends.vlm.captions import VlmCaptioner, VlmCaptionerConfig
from curation.backends.vlm.clip_video import ClipVideo
from curation.clip.observations import Keyframe
from curation.clip.replies import ModelReply, TokenTotals
from curation.clip.schema import Clip, Pool, Source
from curation.pipeline import CurationConfig, build_stages
from curation.runner import StageRunner
from infra.command_line import CommandFailedError
from infra.config import ConfigError
from infra.jobs.machine_fault import MachineFaultError
from infra.served.endpoint import NotNowError, get_file

M = TypeVar("M", bound=BaseModel)

RUNNING: Final = "vllm:num_requests_running"
WAITING: Final = "vllm:num_requests_waiting"
CACHE_HITS: Final = "vllm:prefix_cache_hits_total"
CACHE_QUERIES: Final = "vllm:prefix_cache_queries_total"
SAMPLE: Final = re.compile(r"([a-zA-Z_:][\w:]*)(?:\{.*\})?\s+(\S+)")
"""A line of the format that Prometheus reads: name, labels, value, and perhaps a time."""
CORNER_PX: Final = 16
BARS: Final = " ▁▂▃▄▅▆▇█"
COLUMNS: Final = 60
STAGES: Final = ("format", "scenes", "split")
"""They make clips of a video, and their keyframes."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Pass:
    """All clips, captioned in one way."""

    seconds: float
    running: Sequence[float]
    """Requests that the server worked on, each time it was looked at."""
    waiting: Sequence[float]
    replies: Sequence[ModelReply]
    num_clips: int
    num_captions: int
    """Clips that got a valid caption."""
    hit_share: float | None
    """Prompt tokens that the server's prefix cache had, by the server's own count; None where it counts none."""

    @property
    def tokens(self) -> TokenTotals:
        """Of all replies."""
        return TokenTotals.of(self.replies)

    @property
    def tokens_per_s(self) -> float:
        """Tokens written."""
        return self.tokens.completion / self.seconds


def run(options: argparse.Namespace) -> None:
    """Caption the clips in both ways and print what was seen.

    Raises:
        ConfigError: there is no such server, or no clip.
        CommandFailedError: the server went away.
    """
    config = VlmCaptionerConfig(url=options.url, model=options.model, max_tokens=options.max_tokens)
    for line in config.missing():
        raise ConfigError(line)
    videos = options.videos or sorted(path for path in options.shared.glob("*") if path.is_file())
    clips = clips_of(videos, options.clips)
    if not clips:
        raise ConfigError("no video has a clip: name videos")
    keyframes = sum(len(clip.keyframes) for clip in clips)
    print(f"{len(clips)} clips with {keyframes} keyframes, {config.called}")
    metrics = f"{options.url.removesuffix('/v1')}/metrics"
    try:
        # A server's first request may take much longer than later ones.
        captioned(clips[:1], config, metrics, at_once=1, every_s=options.every)
        alone = captioned(clips, config, metrics, at_once=1, every_s=options.every)
        tell("one question at a time", alone)
        at_once = min(options.together, len(clips))
        together = captioned(clips, config, metrics, at_once=at_once, every_s=options.every)
        tell(f"{at_once} clips at once", together)
    except MachineFaultError as error:
        raise CommandFailedError(str(error)) from error
    except NotNowError as error:
        raise ConfigError(f"{metrics}: {error.told or error}: only vLLM tells how many requests it works on") from error
    print(
        f"at once / one at a time: {together.seconds / alone.seconds:.2f} of the seconds, "
        f"{together.tokens_per_s / alone.tokens_per_s:.2f} times the tokens a second"
    )


def clips_of(videos: Sequence[Path], most: int) -> list[Clip]:
    """At most so many clips of the videos, whoever is in them."""
    runner = StageRunner(build_stages(CurationConfig(), STAGES))
    clips: list[Clip] = []
    for video in videos:
        clips += [
            clip for clip in runner.run(Source(uri=str(video), pool=Pool.GENERAL)).clips if clip.kept and clip.keyframes
        ]
        if len(clips) >= most:
            break
    return clips[:most]


def captioned(clips: Sequence[Clip], config: VlmCaptionerConfig, metrics: str, *, at_once: int, every_s: float) -> Pass:
    """Caption the clips, `at_once` in work; a single one in work asks one question at a time.

    Raises:
        MachineFaultError: the server went away.
        NotNowError: it has no metrics.
    """
    clips = marked(clips)
    captioner = VlmCaptioner(config)
    if at_once == 1:
        captioner.client = OneAtATime(config)
    before = read_metrics(metrics)
    with watched(metrics, every_s) as seen, ThreadPoolExecutor(at_once) as threads:
        began = time.perf_counter()
        described = list(threads.map(lambda clip: _described(captioner, clip), clips))
        seconds = time.perf_counter() - began
    after = read_metrics(metrics)
    queries = after.get(CACHE_QUERIES, 0.0) - before.get(CACHE_QUERIES, 0.0)
    hits = after.get(CACHE_HITS, 0.0) - before.get(CACHE_HITS, 0.0)
    return Pass(
        seconds=seconds,
        running=seen.running,
        waiting=seen.waiting,
        replies=[reply for _, replies in described for reply in replies],
        num_clips=len(clips),
        num_captions=sum(valid for valid, _ in described),
        hit_share=hits / queries if queries else None,
    )


def _described(captioner: VlmCaptioner, clip: Clip) -> tuple[bool, Sequence[ModelReply]]:
    try:
        return True, captioner.caption(clip, {}).replies
    except CaptionError as error:
        return False, error.replies


class OneAtATime(VlmClient):
    """Asks the next question when the last one is answered."""

    def __init__(self, config: VlmCaptionerConfig) -> None:
        super().__init__(config)
        self.turn = threading.Lock()

    def ask(self, video: ClipVideo, question: Question[M]) -> Answered[M]:
        """See `VlmClient.ask`."""
        with self.turn:
            return super().ask(video, question)


def marked(clips: Sequence[Clip]) -> list[Clip]:
    """The clips with a corner of every keyframe in one random colour."""
    colour = tuple(secrets.token_bytes(3))

    def paint(keyframe: Keyframe) -> Keyframe:
        image = keyframe.image().copy()
        image[:CORNER_PX, :CORNER_PX] = colour
        _, jpeg = cv2.imencode(".jpg", image)
        return replace(keyframe, jpeg=jpeg.tobytes())

    return [replace(clip, keyframes=tuple(map(paint, clip.keyframes))) for clip in clips]


@dataclass(frozen=True, slots=True)
class Seen:
    """What a server told of its requests, each time it was looked at."""

    running: list[float] = field(default_factory=list)
    waiting: list[float] = field(default_factory=list)


@contextmanager
def watched(metrics: str, every_s: float) -> Iterator[Seen]:
    """Look at a server's metrics until the end of the block."""
    seen, done = Seen(), threading.Event()

    def look() -> None:
        while not done.wait(every_s):
            told = read_metrics(metrics)
            seen.running.append(told.get(RUNNING, 0.0))
            seen.waiting.append(told.get(WAITING, 0.0))

    with ThreadPoolExecutor(1) as threads:
        looking = threads.submit(look)
        try:
            yield seen
        finally:
            done.set()
    looking.result()


def read_metrics(address: str) -> dict[str, float]:
    """See `parse_metrics`.

    Raises:
        NotNowError: there are none.
    """
    return parse_metrics(get_file(address, timeout_s=30.0).decode(errors="replace"))


def parse_metrics(text: str) -> dict[str, float]:
    """The values of Prometheus' format by name, added up over labels: a server may have several engines."""
    totals: dict[str, float] = {}
    for line in text.splitlines():
        if found := SAMPLE.match(line):
            totals[found[1]] = totals.get(found[1], 0.0) + float(found[2])
    return dict(totals)


def tell(how: str, done: Pass) -> None:
    """Print one pass."""
    tokens, clips = done.tokens, done.num_clips
    print(
        f"{how}: {done.seconds:.1f} s, {done.num_captions} of {clips} clips have a caption, {len(done.replies)} replies"
    )
    if done.running:
        line, most = sparkline(done.running), max(done.running)
        print(
            f"  in work at the server   mean {np.mean(done.running):.1f}, at most {most:.0f}; "
            f"waiting there at most {max(done.waiting):.0f}"
        )
        print(f"  |{line}|  a column is {done.seconds / len(line):.1f} s, a whole bar {most:.0f}")
    print(
        f"  tokens a clip           {tokens.prompt / clips:.0f} asked, {tokens.completion / clips:.0f} written; "
        f"{done.tokens_per_s:.1f} written a second"
    )
    print(
        f"  prefix cache            {_percent(tokens.cached, tokens.prompt)} of the asked tokens by the answers, "
        f"{_percent(done.hit_share, 1)} by the server's count"
    )


def _percent(part: float | None, whole: float) -> str:
    return "?" if part is None or not whole else f"{100 * part / whole:.0f} %"


def sparkline(values: Sequence[float], columns: int = COLUMNS) -> str:
    """The values from left to right as bars, each the mean of its column; the largest value is a whole bar."""
    highest = max(values, default=0.0) or 1.0
    parts = np.array_split(np.asarray(values, float), min(columns, len(values))) if values else []
    return "".join(BARS[int(np.ceil(part.mean() / highest * (len(BARS) - 1)))] for part in parts)
