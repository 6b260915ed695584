"""What the `local` profile costs over its bare kernels, stage by stage.

    python -m bench.speed.curation [DIR_OF_VIDEOS] [--runs N]

The kernels are the library calls that the profile cannot do without: one decode of each file, the detectors on the same
pictures, one encode of what is kept (`bench.speed.curation_kernels` names them all). Both run in this process on one
core (`OMP_NUM_THREADS=1`), file by file in turn: the pipeline as `--engine inline` runs it, and its kernels. Judge by
CPU seconds, which other work on the machine changes little. A second reference is `ffmpeg -threads 1 -i FILE
-f null -`.
"""

from __future__ import annotations

import argparse
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
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

from bench.speed.curation_kernels import Cost, Recording, bare_kernels, cost_of
from curation.clip.schema import Source
from curation.pipeline import CurationConfig, build_stages
from curation.runner import StageRunner
from curation.stage import Stage


@dataclass(kw_only=True, slots=True)
class Repetition:
    """What all files took once."""

    whole: Cost = Cost()
    """Curating them."""
    stages: dict[str, Cost] = field(default_factory=lambda: defaultdict(Cost))
    """Each stage."""
    kernels: dict[str, Cost] = field(default_factory=lambda: defaultdict(Cost))
    """Each stage's kernels by themselves."""
    ffmpeg: Cost = Cost()
    """Bare decoding by ffmpeg."""

    @property
    def bare(self) -> Cost:
        """All kernels by themselves."""
        return sum(self.kernels.values(), Cost())


@dataclass(kw_only=True, slots=True)
class Measured:
    """What was measured on which files."""

    repetitions: Sequence[Repetition]
    num_files: int = 0
    video_s: float = 0.0
    num_clips: int = 0
    num_kept: int = 0


def run(options: argparse.Namespace) -> None:
    """Print what the whole and the kernels cost, their ratio, and what each stage costs above its kernels.

    Raises:
        ValueError: there is nothing to measure.
    """
    paths = sorted(path for path in options.videos.iterdir() if path.is_file())
    if not paths or options.runs < 1:
        raise ValueError(f"{options.videos} has no videos" if not paths else "--runs must be at least 1")
    report(measure(paths, options.runs))


def measure(paths: Sequence[Path], runs: int) -> Measured:
    """Curate each file and make its kernels again in turn, `runs` times; the kernels are those of the first time."""
    config = CurationConfig()
    watched = [(name, _Watched(name, stage)) for name, stage in build_stages(config)]
    runner = StageRunner(watched, raise_bugs=True)
    measured = Measured(repetitions=[Repetition() for _ in range(runs)])
    for number, path in enumerate(paths, 1):
        recording = Recording()
        curated: list[Source] = []
        with tempfile.TemporaryDirectory() as folder:
            for turn, repetition in enumerate(measured.repetitions):
                source = _copy(path, Path(folder, str(turn)))
                for _, stage in watched:
                    stage.costs, stage.recording = repetition.stages, recording
                with recording.listening() if turn == 0 else nullcontext():
                    repetition.whole += cost_of(lambda: curated.append(runner.run(source)))  # noqa: B023 (called at once)
                for name, cost in bare_kernels(curated[0], recording, config.stages.export).items():
                    repetition.kernels[name] += cost
                repetition.ffmpeg += ffmpeg_decode(source.uri)
        measured.num_files += 1
        measured.video_s += curated[0].media.info.duration_s if curated[0].media is not None else 0.0
        measured.num_clips += len(curated[0].clips)
        measured.num_kept += sum(clip.kept for clip in curated[0].clips)
        print(f"\r{number}/{len(paths)} {path.name:50.50s}", end="\n" if number == len(paths) else "", file=sys.stderr)
    return measured


class _Watched:
    """A stage whose cost is noted."""

    def __init__(self, name: str, stage: Stage) -> None:
        self.name = name
        self.stage = stage
        self.costs: dict[str, Cost] = {}
        self.recording = Recording()

    def __call__(self, source: Source) -> Source:
        self.recording.stage = self.name
        done: list[Source] = []
        self.costs[self.name] += cost_of(lambda: done.append(self.stage(source)))
        return done[0]


def _copy(path: Path, folder: Path) -> Source:
    """A copy of a file, of which nothing is remembered yet: a run sees each of its files once."""
    folder.mkdir()
    return Source(uri=str(shutil.copy(path, folder)))


def ffmpeg_decode(path: str) -> Cost:
    """What ffmpeg takes to decode a file's video."""
    ffmpeg = imageio_ffmpeg.get_ffmpeg_exe()
    command = [ffmpeg, "-v", "quiet", "-threads", "1", "-i", path, "-map", "0:v:0", "-f", "null", "-"]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    here = cost_of(lambda: subprocess.run(command, check=False, stdin=subprocess.DEVNULL))
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return Cost(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, here.wall_s)


def report(measured: Measured) -> None:
    """Print medians over the repetitions: what the whole and its references took, the ratios, and each stage."""
    repetitions = measured.repetitions
    whole, bare, ffmpeg = (
        _median([each.whole for each in repetitions]),
        _median([each.bare for each in repetitions]),
        _median([each.ffmpeg for each in repetitions]),
    )
    print(
        f"{measured.num_files} files, {measured.video_s:.1f} s of video, {measured.num_clips} clips, "
        f"{measured.num_kept} kept; median of {len(repetitions)}, one core"
    )
    print(f"{'':16s}{'CPU s':>8s}{'wall s':>9s}   source-seconds per CPU second")
    for name, cost in (("curation", whole), ("bare kernels", bare), ("ffmpeg", ffmpeg)):
        print(f"{name:16s}{cost.cpu_s:8.2f}{cost.wall_s:9.2f}   {measured.video_s / cost.cpu_s:.2f}")
    for name, others in (
        ("curation / bare kernels", [each.bare for each in repetitions]),
        ("curation / bare decoding by ffmpeg", [each.ffmpeg for each in repetitions]),
    ):
        cpu = statistics.median(r.whole.cpu_s / other.cpu_s for r, other in zip(repetitions, others, strict=True))
        wall = statistics.median(r.whole.wall_s / other.wall_s for r, other in zip(repetitions, others, strict=True))
        print(f"{cpu:.2f} by CPU seconds, {wall:.2f} by wall seconds: {name}")
    print(f"{'stage, CPU s':16s}{'whole':>8s}{'share':>9s}{'kernels':>9s}{'above':>9s}")
    rows = {
        name: (_median([r.stages[name] for r in repetitions]), _median([r.kernels[name] for r in repetitions]))
        for name in repetitions[0].stages
    }
    for name, (stage, kernels) in sorted(rows.items(), key=lambda row: -row[1][0].cpu_s):
        share, above = 100 * stage.cpu_s / whole.cpu_s, stage.cpu_s - kernels.cpu_s
        print(f"{name:16s}{stage.cpu_s:8.2f}{share:7.1f} %{kernels.cpu_s:9.2f}{above:9.2f}")
    rest = whole.cpu_s - sum(stage.cpu_s for stage, _ in rows.values())
    print(f"{'opening files':16s}{rest:8.2f}{100 * rest / whole.cpu_s:7.1f} %{0.0:9.2f}{rest:9.2f}")


def _median(costs: Sequence[Cost]) -> Cost:
    return Cost(
        statistics.median(cost.cpu_s for cost in costs),
        statistics.median(cost.wall_s for cost in costs),
    )
