"""Encoding as a job: a curated shard is a unit of work and a commit."""

from __future__ import annotations

import uuid
from collections import Counter, defaultdict
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
from curation.shards.versions import FOLDER, open_clips
from infra.config import ConfigError
from infra.jobs.job import About, Alive
from infra.jobs.machine_fault import MachineFaultError
from infra.jobs.placement import ExecutionConfig
from infra.jobs.progress import Progress
from infra.jobs.unit_log import in_stage
from infra.storage.files import join


@dataclass(frozen=True, kw_only=True, slots=True)
class ShardUnit:
    """A curated shard on its way."""

    name: str
    done: frozenset[str] = field(default=frozenset(), repr=False)
    """Keys of its clips that were encoded while they were in smaller shards, which have been merged since."""
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
    num_done: int = 0
    """Shards that earlier runs have encoded."""
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
    def about(self) -> About:
        """The run, or the version of it, and how many of its shards were encoded before."""
        place = self.run if self.decisions is None else join(self.run, FOLDER, self.decisions)
        return About(run=place, num_done=self.num_done)

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
        """Committed curated shards of which something is not encoded yet."""
        shards, names = self.clips().names(), set(self.directory.names())
        left = [name for name in shards if name not in names]
        merged = names.difference(shards)
        if not left or not merged:
            return [ShardUnit(name=name) for name in left]
        # What was encoded under the names of shards that are gone is in larger ones now.
        of_merged = pa.array(sorted(merged), pa.string())
        encoded = self.directory.index(["key"], where=lambda rows: pc.is_in(rows["shard"], value_set=of_merged))
        keys = encoded["key"].combine_chunks() if encoded.num_rows else pa.array([], pa.string())
        clips = self.clips().index(["key", "shard", "kept"])
        clips = clips.filter(pc.and_(clips["kept"], pc.is_in(clips["shard"], value_set=pa.array(left, pa.string()))))
        is_done = pc.is_in(clips["key"], value_set=keys)
        undone = set(clips["shard"].filter(pc.invert(is_done)).unique().to_pylist())
        done = defaultdict[str, set[str]](set)
        for shard, key in zip(*(clips[name].filter(is_done).to_pylist() for name in ("shard", "key")), strict=True):
            done[shard].add(key)
        return [
            ShardUnit(name=name, done=frozenset(done.get(name, ())))
            for name in left
            if name in undone or name not in done
        ]

    def num_clips(self, units: Sequence[ShardUnit]) -> int:
        """How many kept clips are in some shards."""
        if not units:
            return 0
        rows = self.clips().index(["shard", "kept"])
        of_units = pc.is_in(rows["shard"], value_set=pa.array([unit.name for unit in units], pa.string()))
        num_kept: int = pc.sum(pc.and_(of_units, rows["kept"])).as_py() or 0
        return num_kept - sum(len(unit.done) for unit in units)

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
        skipped = skip_all(self.clips(), unit.name, f"crashed: {detail}", done=unit.done)
        return replace(unit, rows=writer.stage(unit.name, skipped))

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
            MachineFaultError: the shard was merged into a larger one meanwhile, which is for the next run.
        """
        job = self.job
        area = job.config.target(job.stage).area
        clips = encode_shard(self.clips, unit.name, self.encoder, area=area, alive=alive, done=unit.done)
        try:
            with in_stage("encode"):
                return replace(unit, rows=self.writer.stage(unit.name, clips))
        except FileNotFoundError as error:
            if unit.name in self.clips.names():
                raise
            raise MachineFaultError("the shard was merged into a larger one") from error


def _progress_of(rows: Sequence[dict[str, Any]]) -> Progress:
    encoded = [row for row in rows if row["encoded"]]
    reasons = Counter(row["reason"].partition(":")[0] for row in rows if not row["encoded"])
    seconds = sum(row["num_frames"] / row["fps"] for row in encoded)
    return Progress(
        units=1, clips=len(rows), kept=len(encoded), rejected=reasons, commits=1, video_s=seconds, kept_video_s=seconds,
        num_bytes=sum((row["size"] or 0) + (row["wav_size"] or 0) for row in encoded),
    )  # fmt: skip
