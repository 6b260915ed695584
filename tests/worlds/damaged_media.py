"""Damaged recordings by the thousand, taken through the stages that read and write media.

    python -m tests.worlds.damaged_media --minutes 10 [--seed 1]

Each input is a small recording in one of eight containers, damaged at random; its number tells which, so that any can
be made again. It is read in another process, which may neither die nor take longer than the deadline, may only raise
what the layer promises, and may only keep clips whose files are what their records say.
"""

from __future__ import annotations

import argparse
import faulthandler
import io
import random
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import replace
from multiprocessing.connection import Connection
from pathlib import Path

import av
import soundfile

from curation.clip.schema import Clip, Pool, Shot, Source
from curation.media import probe
from curation.runner import StageRunner
from curation.stages.export import Export, ExportConfig
from curation.stages.format import FormatConfig, FormatFilter
from curation.stages.scenes import SceneDetection, ScenesConfig
from curation.stages.split import Split, SplitConfig
from tests.worlds.fresh_process import fresh_processes
from tests.worlds.recordings import Recording, Track, write_recording

DEADLINE_S = 60.0
SMALL = {"size": (160, 128), "seconds": 2.0, "gop": 12}
SEEDS: dict[str, Recording] = {
    "a.mp4": Recording(**SMALL),  # type: ignore[arg-type]
    "a.mov": Recording(**SMALL, tracks=(Track(codec="pcm_s16le"), Track())),  # type: ignore[arg-type]
    "a.mkv": Recording(**SMALL),  # type: ignore[arg-type]
    "a.webm": Recording(**SMALL, codec="libvpx", tracks=(Track(codec="libopus"),)),  # type: ignore[arg-type]
    "a.ts": Recording(**SMALL),  # type: ignore[arg-type]
    "a.vob": Recording(**SMALL, codec="mpeg2video", b_frames=2, tracks=(Track(codec="mp2"),)),  # type: ignore[arg-type]
    "a.avi": Recording(**SMALL, codec="mpeg4", b_frames=2, tracks=(Track(codec="pcm_s16le"),)),  # type: ignore[arg-type]
    "a.flv": Recording(**SMALL),  # type: ignore[arg-type]
}


def damaged(data: bytes, rng: random.Random) -> bytes:
    """Flip, overwrite, cut, double or move parts, mostly near the beginning, where headers are."""
    broken = bytearray(data)
    for _ in range(rng.choice([1, 1, 2, 5, 20])):
        limit = rng.choice([64, 1024, len(broken), len(broken)])
        place = rng.randrange(max(1, min(limit, len(broken))))
        length = rng.choice([1, 2, 4, 16, 188, 4096])
        match rng.randrange(7):
            case 0:
                broken[place : place + 1] = bytes([broken[place] ^ 1 << rng.randrange(8)])
            case 1:
                broken[place : place + length] = rng.randbytes(len(broken[place : place + length]))
            case 2:
                broken[place : place + length] = bytes(len(broken[place : place + length]))
            case 3:
                del broken[place : place + length]
            case 4:
                broken[place:place] = broken[place : place + length]
            case 5:
                other = rng.randrange(len(broken))
                broken[place : place + length] = broken[other : other + length]
            case _:
                value = rng.choice([0, 1, 0x7F, 0x80, 0xFF, 0x7FFFFFFF, 0xFFFFFFFF, 0x80000000])
                broken[place : place + 4] = value.to_bytes(4, rng.choice(["big", "little"]))
        if rng.random() < 0.05:
            del broken[rng.randrange(len(broken) + 1) :]
        if not broken:
            break
    return bytes(broken)


def damaged_input(number: int, whole: dict[str, bytes]) -> tuple[str, bytes]:
    """The input of a number: its name and content."""
    rng = random.Random(number)
    name = rng.choice(sorted(whole))
    return f"{number:06d}{Path(name).suffix}", damaged(whole[name], rng)


class Reader:
    """The stages that read and write media, and a check of what they keep."""

    def __init__(self) -> None:
        self.read = StageRunner(
            [("format", FormatFilter(FormatConfig())), ("scenes", SceneDetection(ScenesConfig()))], raise_bugs=True
        )
        self.split = Split(SplitConfig())
        self.export = StageRunner([("export", Export(ExportConfig(preset="ultrafast")))], raise_bugs=True)

    def outcome(self, path: Path) -> str:
        """What became of an input, in a word; `untrue: …` when a kept clip is not what its record says."""
        source = self.read.run(Source(uri=str(path), pool=Pool.GENERAL))
        if source.failure is not None:
            return f"{source.failure.stage}/{source.failure.rule}"
        if source.rejection is not None:
            return f"{source.rejection.stage}/{source.rejection.rule}"
        # One clip of everything, however short and whatever changes in it.
        whole = Shot(start_s=source.shots[0].start_s, end_s=source.shots[-1].end_s)
        source = self.split(replace(source, shots=(whole,)))
        kept = tuple(replace(clip, rejection=None) for clip in source.clips[:1])
        source = self.export.run(replace(source, clips=kept))
        if source.failure is not None:
            return f"{source.failure.stage}/{source.failure.rule}"
        (clip,) = source.clips
        if clip.rejection is not None:
            return f"{clip.rejection.stage}/{clip.rejection.rule}"
        return f"untrue: {lie}" if (lie := untruth(clip, path)) else "kept"


def untruth(clip: Clip, path: Path) -> str | None:
    """What a kept clip's record says and its files contradict; None if they agree."""
    assert clip.payload is not None
    assert clip.stats is not None
    payload = clip.payload
    with av.open(io.BytesIO(payload.mp4)) as container:
        frames = [frame.time for frame in container.decode(video=0)]
    if len(frames) != payload.num_frames or payload.num_frames != len(clip.stats.times_s):
        return f"{payload.num_frames} frames recorded, {len(frames)} in the file, {len(clip.stats.times_s)} seen"
    if payload.wav is not None:
        info = soundfile.info(io.BytesIO(payload.wav))
        if info.frames != payload.num_audio_samples or abs(info.frames / info.samplerate - clip.duration_s) > 0.001:
            return f"{info.frames} samples for {clip.duration_s} s"
    if probe(str(path)) != clip.media.info:
        return "the file is read otherwise a second time"
    return None


def serve(connection: Connection) -> None:
    """Read every path that comes in, until the process is ended."""
    reader = Reader()
    while True:
        path = connection.recv()
        # Writes where it hangs, before it is ended because of that.
        faulthandler.dump_traceback_later(DEADLINE_S - 5, exit=True)
        try:
            connection.send(reader.outcome(Path(path)))
        except Exception:  # noqa: BLE001 (that is what is looked for)
            connection.send("bug: " + traceback.format_exc())
        finally:
            faulthandler.cancel_dump_traceback_later()


class Bench:
    """A process that reads inputs one after the other, replaced when it dies or hangs."""

    def __init__(self, deadline_s: float = DEADLINE_S) -> None:
        self.deadline_s = deadline_s
        self._start()

    def outcome(self, path: Path) -> str:
        """The outcome of `Reader.outcome`, or `crash` or `hang`."""
        self.connection.send(str(path))
        try:
            if self.connection.poll(self.deadline_s):
                return str(self.connection.recv())
            verdict = "hang"
        except EOFError:
            verdict = "crash"
        self.close()
        self._start()
        return verdict

    def close(self) -> None:
        """End the process."""
        self.process.kill()
        self.process.join()

    def _start(self) -> None:
        processes = fresh_processes()
        self.connection, theirs = processes.Pipe()
        self.process = processes.Process(target=serve, args=(theirs,), daemon=True)
        self.process.start()
        theirs.close()


def fuzz(numbers: Iterable[int], folder: Path) -> Iterator[tuple[int, str]]:
    """Each input's number and outcome."""
    whole = {name: write_recording(folder / name, recording).read_bytes() for name, recording in SEEDS.items()}
    bench = Bench()
    try:
        for number in numbers:
            name, content = damaged_input(number, whole)
            path = folder / name
            path.write_bytes(content)
            yield number, bench.outcome(path)
            path.unlink()
    finally:
        bench.close()


def is_fault(outcome: str) -> bool:
    """Whether an outcome is the reader's fault."""
    return outcome.startswith(("bug", "crash", "hang", "untrue")) or "internal_error" in outcome


def main() -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.worlds.damaged_media", description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--seed", type=int, default=0, help="number of the first input")
    options = parser.parse_args()
    end, outcomes, faults = time.monotonic() + 60 * options.minutes, Counter[str](), list[tuple[int, str]]()

    def numbers() -> Iterator[int]:
        number = options.seed
        while time.monotonic() < end:
            yield number
            number += 1

    with tempfile.TemporaryDirectory(prefix="soul-fuzz-") as folder:
        for number, outcome in fuzz(numbers(), Path(folder)):
            outcomes[outcome.partition(":")[0]] += 1
            if is_fault(outcome):
                faults.append((number, outcome))
                print(f"input {number}: {outcome}", file=sys.stderr, flush=True)
    for outcome, count in outcomes.most_common():
        print(f"{count:7d}  {outcome}")
    print(f"{outcomes.total():7d}  inputs, {len(faults)} faults")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
