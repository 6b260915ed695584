"""Making the videos one at a time, in this process or on Ray, with the engine of `infra.jobs`."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace

from bench.evaluation.trouble import LOG, outcome_of, traceback_of
from bench.generation.request import Request
from infra.jobs.job import About, Alive
from infra.jobs.machine_fault import machine_fault
from infra.jobs.placement import ExecutionConfig
from infra.jobs.progress import Progress
from infra.jobs.workers import Workers
from infra.storage.line_files import append_lines
from model.generation.make_video import VideoInputs, make_video
from model.generation.pipeline import SoulPipeline
from model.generation.request import Sampling
from model.pretrained.model_parts import ModelParts


@dataclass(frozen=True, kw_only=True, slots=True)
class GenerationJob:
    """What `python -m bench generate` runs; on a cluster every machine must reach the model and the directories."""

    parts: ModelParts
    sampling: Sampling
    workers: Workers
    clip_timeout_s: float = 14400.0
    """A clip of a video that takes longer than this has hung."""

    @property
    def name(self) -> str:
        """The command."""
        return "bench-generate"

    @property
    def about(self) -> About:
        """Nothing is kept beside the videos."""
        return About()

    @property
    def execution(self) -> ExecutionConfig:
        """Placement and limits."""
        return self.workers.execution(self.clip_timeout_s)

    @property
    def stages(self) -> tuple[str, ...]:
        """One stage."""
        return ("generate",)

    @property
    def units_per_commit(self) -> int:
        """One: a video is committed as soon as it is made."""
        return 1

    def open(self) -> None:
        """Nothing to clear: an unfinished video is begun again."""

    def key(self, unit: Request) -> str:
        """The sample's id."""
        return unit.sample.id

    def worker(
        self,
        stages: Sequence[str],  # noqa: ARG002 (there is one stage)
        *,
        debug: bool,  # noqa: ARG002 (bugs are let out)
        units_in_flight: int = 1,  # noqa: ARG002 (`Workers` asks for no more)
    ) -> GenerationWorker:
        """The model, loaded when the first video is asked for."""
        return GenerationWorker(parts=self.parts, sampling=self.sampling)

    def give_up(self, unit: Request, detail: str) -> Request:
        """The request of a video that no worker survived, with the problem."""
        unit.give_up()
        return replace(unit, problem=detail)

    def commit(self, units: Sequence[Request]) -> Progress:
        """Count the videos; their files have been written already."""
        progress = Progress(units=len(units), clips=sum(unit.num_clips for unit in units))
        for unit in units:
            progress.kept += unit.problem is None
            if unit.problem is not None:
                progress.rejected[f"{unit.sample.id}: {unit.problem}"] += 1
        return progress

    def tidy(self) -> None:
        """Nothing: each video is a file of its own."""


@dataclass(kw_only=True, slots=True)
class GenerationWorker:
    """Makes one video after another."""

    parts: ModelParts
    sampling: Sampling
    pipeline: SoulPipeline | None = field(default=None, init=False)

    def run(self, unit: Request, alive: Alive) -> Request:
        """Make a video, or say why the sample's files do not allow one."""
        sample = unit.sample
        assert sample.image is not None
        assert sample.audio is not None
        try:
            inputs = VideoInputs.read(sample.image, sample.audio, sample.prompt)
        except ValueError as error:
            unit.give_up()
            return replace(unit, problem=str(error))
        except Exception as error:
            if machine_fault(error) is not None:
                raise
            append_lines(unit.out.parent / LOG, f"{sample.id}\n{traceback_of(error)}".splitlines())
            return replace(unit, problem=str(outcome_of(error, sample.id).reason))
        self.pipeline = self.pipeline or self.parts.load()
        start = time.perf_counter()
        unit.begin()
        made = make_video(self.pipeline, inputs, self.sampling, unit.out, on_frames=lambda _done: alive())
        seconds = round(time.perf_counter() - start, 2)
        unit.finish({**asdict(made), "seconds": seconds})
        return replace(unit, num_clips=self.pipeline.num_clips(made.num_frames))
