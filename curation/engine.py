"""Running the pipeline: over a Ray cluster, or in this process for debugging."""

from __future__ import annotations

import faulthandler
import logging
import os
import pickle
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import ray

from curation.pipeline import STAGES, CurationConfig, build_stages
from curation.placement import PoolConfig, resolve_pools
from curation.runner import StageRunner
from curation.schema import Source
from curation.shards import RunDirectory, ShardWriter
from curation.telemetry import Progress, StageMetrics, start_ledger

MAX_BLOCKS = 4096
"""Ray Data's work is one block a unit up to here; beyond, a block has several, which a retry takes up together."""

Report = Callable[[Progress], None]


def run_inline(units: Sequence[Source], run: str, config: CurationConfig, report: Report) -> None:
    """Process the units one after the other in this process; an unexpected exception is a traceback.

    Args:
        units: what `plan_units` laid out.
        run: the run directory.
        config: see `CurationConfig`; placement and limits do not apply.
        report: called with the totals after every unit.
    """
    writer = ShardWriter(run, config.shards, config.hash, _take_over(run))
    runner = StageRunner(build_stages(config.stages), raise_bugs=True)
    progress, batch = Progress(), list[Source]()
    for unit in units:
        batch.append(runner.run(unit))
        progress.add(batch[-1])
        report(progress)
        if len(batch) == config.shards.sources_per_shard:
            writer.write(batch)
            batch.clear()
    writer.write(batch)


def run_on_ray(units: Sequence[Source], run: str, config: CurationConfig, report: Report) -> None:
    """Stream the units through pools of actors into shard-writing tasks; needs `ray_session`.

    A worker that dies is replaced and its unit taken up again, a bounded number of times.

    Args:
        units: what `plan_units` laid out.
        run: the run directory; remote workers must reach it too.
        config: see `CurationConfig`.
        report: called with the totals after every committed shard.

    Raises:
        ConfigError: the profile's pools do not fit the stages or the cluster.
        ray.exceptions.RayError: the run cannot go on (another run took the directory over, say).
    """
    pools = resolve_pools(config.execution.pools, tuple(STAGES), ray.cluster_resources().get("CPU", 0))
    session = _take_over(run)
    if not units:
        return
    ledger = start_ledger()
    rows = [{"unit": pickle.dumps(unit)} for unit in units]
    dataset = ray.data.from_items(rows, override_num_blocks=min(len(rows), MAX_BLOCKS))
    for pool, size in pools:
        dataset = dataset.map_batches(
            PoolWorker,
            fn_constructor_kwargs={"config": config, "pool": pool, "ledger": ledger},
            batch_size=1,
            batch_format="pyarrow",
            compute=ray.data.ActorPoolStrategy(size=size, max_tasks_in_flight_per_actor=2),
            num_cpus=pool.num_cpus,
            num_gpus=pool.num_gpus,
            **_environment(pool),
        )
    dataset = dataset.map_batches(
        write_batch,
        fn_kwargs={"run": run, "config": config, "session": session, "ledger": ledger},
        batch_size=config.shards.sources_per_shard,
        batch_format="pyarrow",
        num_cpus=config.execution.writer_cpus,
    )
    for _ in dataset.iter_rows():
        report(ray.get(ledger.snapshot.remote()))


class PoolWorker:
    """An actor that takes one unit at a time through its pool's stages."""

    def __init__(self, config: CurationConfig, pool: PoolConfig, ledger: ray.actor.ActorHandle) -> None:
        self.limits = config.execution
        self.pool = pool.name
        self.ledger = ledger
        self.runner = StageRunner(build_stages(config.stages, pool.stages))
        self.metrics = StageMetrics()

    def __call__(self, batch: pa.Table) -> pa.Table:
        """One pickled unit in, the same unit further on out."""
        units = [self._process(pickle.loads(data)) for data in batch["unit"].to_pylist()]
        return pa.table({"unit": pa.array([pickle.dumps(unit) for unit in units], pa.large_binary())})

    def _process(self, unit: Source) -> Source:
        attempt = ray.get(self.ledger.begin.remote(self.pool, unit.key))
        if attempt > self.limits.max_attempts:
            detail = f"its worker in pool {self.pool!r} died or hung {self.limits.max_attempts} times"
            result = unit.fail("worker", "crashed", detail)
        else:
            with _deadline(self.limits.unit_timeout_s):
                result = self.runner.run(unit)
        ray.get(self.ledger.end.remote(self.pool, unit.key))
        self.metrics.record(unit, result)
        return result


def write_batch(batch: pa.Table, run: str, config: CurationConfig, session: str, ledger: Any) -> pa.Table:
    """Commit finished units; returns the names of their shards."""
    units = [pickle.loads(data) for data in batch["unit"].to_pylist()]
    names = ShardWriter(run, config.shards, config.hash, session).write(units)
    progress = Progress()
    for unit in units:
        progress.add(unit)
    ray.get(ledger.committed.remote(progress))
    return pa.table({"shard": names})


@contextmanager
def ray_session(*, num_cpus: int | None = None) -> Iterator[str]:
    """Join the cluster that `RAY_ADDRESS` names, or start one here; yields the dashboard's address.

    Raises:
        ConnectionError: there is no cluster at `RAY_ADDRESS`.
    """
    own = not ray.is_initialized()
    if own:
        # Workers are started when actors ask for them: a prestarted idle one per CPU costs seconds.
        os.environ.setdefault("RAY_prestart_worker_first_driver", "0")
        os.environ.setdefault("RAY_enable_worker_prestart", "0")
        os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
        # Ray's own processes otherwise write to this terminal; set it to "info" to look into the cluster itself.
        os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")
        shared = "RAY_ADDRESS" in os.environ
        root = str(Path(__file__).resolve().parent.parent)
        ray.init(
            num_cpus=None if shared else num_cpus,
            include_dashboard=None if shared else True,
            log_to_driver=False,
            logging_level=logging.ERROR,
            # A cluster's machines get the code; a local cluster has it.
            runtime_env={"working_dir": root, "excludes": [".git", ".venv", "runs"]} if shared else None,
        )
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    context.print_on_execution_start = False
    context.execution_options.preserve_order = False
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    try:
        yield _dashboard()
    finally:
        if own:
            ray.shutdown()


def _dashboard() -> str:
    url = ray._private.worker.get_dashboard_url()
    return f"http://{url}" if url else "not running"


def _take_over(run: str) -> str:
    session = uuid.uuid4().hex
    RunDirectory(run).open_session(session)
    return session


def _environment(pool: PoolConfig) -> dict[str, Any]:
    return {} if pool.environment is None else {"runtime_env": {"uv": pool.environment}}


@contextmanager
def _deadline(seconds: float) -> Iterator[None]:
    """End this process, with every thread's stack in its log, if the block takes longer.

    The watchdog is a C thread, so it works even while a library hangs holding the interpreter's lock.
    """
    faulthandler.dump_traceback_later(seconds, exit=True)
    try:
        yield
    finally:
        faulthandler.cancel_dump_traceback_later()
