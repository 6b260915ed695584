"""Encoding as a job: a curated shard is a unit of work and a commit."""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from curation.encoding.config import EncodeConfig
from curation.encoding.encode_shard import encode_shard, skip_all
from curation.encoding.encoded import EncodedDirectory, EncodedShardWriter, encoded_path
from curation.encoding.networks import ClipEncoder
from curation.shards.run_directory import RunDirectory
from curation.shards.versions import open_clips
from infra.config import ConfigError
from infra.jobs.job import Alive
from infra.jobs.placement import ExecutionConfig
from infra.jobs.progress import Progress


@dataclass(frozen=True, kw_only=True, slots=True)
class ShardUnit:
    """A curated shard on its way."""

    name: str
    rows: list[dict[str, Any]] | None = field(default=None, repr=False)
    """The rows to commit, once its tars are written."""


@dataclass(frozen=True, kw_only=True, slots=True)
class EncodeJob:
    """What `make encode` runs."""

    run: str
    """The run directory."""
    stage: str
    """`720p` or `1080p`."""
    model: str
    """Whose encoders: a directory, a Hub id or `tiny`."""
    config: EncodeConfig
    decisions: str | None = None
    """The version of the run whose clips are encoded; None for the run's own index."""
    session: str = field(default_factory=lambda: uuid.uuid4().hex)
    """Fences off an earlier run on the same directory that is still alive."""

    @property
    def directory(self) -> EncodedDirectory:
        """Where encoded shards go."""
        return EncodedDirectory(encoded_path(self.run, self.stage, self.decisions))

    def clips(self) -> RunDirectory:
        """The curated clips, as the version decides them."""
        return open_clips(self.run, self.decisions)

    @property
    def name(self) -> str:
        """Encoding, and for which stage."""
        return f"encode-{self.stage}"

    @property
    def execution(self) -> ExecutionConfig:
        """Placement and limits."""
        return self.config.execution

    @property
    def stages(self) -> tuple[str, ...]:
        """The one stage."""
        return ("encode",)

    @property
    def units_per_commit(self) -> int:
        """A shard is committed by itself."""
        return 1

    def pending(self) -> list[ShardUnit]:
        """Committed curated shards that are not encoded yet."""
        done = set(self.directory.names())
        return [ShardUnit(name=name) for name in self.clips().names() if name not in done]

    def num_clips(self, units: Sequence[ShardUnit]) -> int:
        """How many kept clips are in some shards."""
        if not units:
            return 0
        rows = self.clips().index(["shard", "kept"])
        of_units = pc.is_in(rows["shard"], value_set=pa.array([unit.name for unit in units], pa.string()))
        return pc.sum(pc.and_(of_units, rows["kept"])).as_py() or 0

    def check(self) -> list[str]:
        """See, before anything is loaded, whether the directory can be added to.

        Returns:
            A line for each setting that differs from the first run's, which is allowed. What is left to the device is
            only known on it, and not told.

        Raises:
            ConfigError: it was begun with frames of another size, rate or number.
        """
        if not self.directory.is_begun():
            return []
        before, config = self.directory.encoding(), self.config
        area = config.target(self.stage).area
        now = replace(before, stage=self.stage, area=area, fps=config.fps, clip_frames=config.clip_frames)
        if differences := before.differences(now):
            raise ConfigError(self.directory.refusal(differences))
        return [
            f"note: {name} was {before.settings[name]} when {self.directory.path} was begun and is {value} now: what "
            "is encoded already stays as it is"
            for name, value in config.settings.items()
            if value != "auto" and before.settings.get(name, value) != value
        ]

    def is_other_model(self) -> bool:
        """Whether the directory was begun with a model of another name, which may still be the same model."""
        return self.directory.is_begun() and self.directory.encoding().model not in {"", self.model}

    def describe(self) -> None:
        """Load the encoders and write down what all samples have in common.

        Raises:
            ConfigError: no such model, or the directory was begun with another one or with other settings.
        """
        encoder = ClipEncoder(self.model, self.config)
        self.directory.describe(encoder.encoding(self.stage), encoder.words([""])[0])

    def open(self) -> None:
        """Take the encoded directory over."""
        self.directory.open_session(self.session)

    def tidy(self) -> None:
        """Bring the index of the encoded directory up to date; next to nothing when there is nothing to do.

        Raises:
            TakenOverError: another run has started on the directory.
            OSError: the store or the disk fails; nothing is lost by that.
        """
        self.directory.tidy(self.session)

    def key(self, unit: ShardUnit) -> str:
        """The shard's name."""
        return unit.name

    def worker(
        self,
        stages: Sequence[str],  # noqa: ARG002 (there is one stage)
        *,
        debug: bool,  # noqa: ARG002 (bugs are let out)
        units_in_flight: int = 1,  # noqa: ARG002 (the configuration refuses more)
    ) -> EncodeWorker:
        """Load the encoders."""
        return EncodeWorker(self)

    def give_up(self, unit: ShardUnit, detail: str) -> ShardUnit:
        """The shard with every clip skipped."""
        writer = EncodedShardWriter(self.directory, self.session)
        return replace(unit, rows=writer.stage(unit.name, skip_all(self.clips(), unit.name, f"crashed: {detail}")))

    def commit(self, units: Sequence[ShardUnit]) -> Progress:
        """Publish the rows of shards whose tars are written."""
        progress = Progress()
        for unit in units:
            assert unit.rows is not None
            self.directory.commit(unit.name, unit.rows, self.session)
            progress.merge(_progress_of(unit.rows))
        return progress


class EncodeWorker:
    """Holds the encoders and takes shards through them."""

    def __init__(self, job: EncodeJob) -> None:
        self.job = job
        self.clips = job.clips()
        self.encoder = ClipEncoder(job.model, job.config)
        self.writer = EncodedShardWriter(job.directory, job.session)

    def run(self, unit: ShardUnit, alive: Alive) -> ShardUnit:
        """The shard with its tars written and its rows filled in.

        Raises:
            OSError: the disk is full or the network is down, which is not the fault of the clips.
        """
        job = self.job
        area = job.config.target(job.stage).area
        clips = encode_shard(self.clips, unit.name, self.encoder, area=area, alive=alive)
        return replace(unit, rows=self.writer.stage(unit.name, clips))


def _progress_of(rows: Sequence[dict[str, Any]]) -> Progress:
    encoded = sum(row["encoded"] for row in rows)
    reasons = Counter(row["reason"].partition(":")[0] for row in rows if not row["encoded"])
    return Progress(units=1, clips=len(rows), kept=encoded, rejected=reasons)
