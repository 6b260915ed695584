"""The Ray cluster that a run uses: one that is there, or one started on this machine."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import ray

from curation.command_line import CommandFailedError


@contextmanager
def ray_session(*, num_cpus: int | None = None, log_to_driver: bool = False) -> Iterator[str]:
    """Join the cluster that `RAY_ADDRESS` names, or start one here; yields the dashboard's address.

    Args:
        num_cpus: of a cluster started here; the machine's by default.
        log_to_driver: whether what workers print appears here.

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
            log_to_driver=log_to_driver,
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


def stopped(error: ray.exceptions.RayError) -> str:
    """One line for people on a run that Ray ended."""
    # A task's own exception stands first; behind it comes what Ray made of it, with advice.
    own = str(error).partition("The above exception was the direct cause")[0]
    lines = [line for line in own.splitlines() if line.strip()]
    reason = lines[-1].strip() if lines else type(error).__name__
    return f"the run stopped: {reason}; the same command goes on"


@contextmanager
def telling_why_it_stopped() -> Iterator[None]:
    """Inside, Ray's end of a run is one line for people.

    Raises:
        CommandFailedError: in place of a RayError.
    """
    try:
        yield
    except ray.exceptions.RayError as error:
        raise CommandFailedError(stopped(error)) from error


def _dashboard() -> str:
    url = ray._private.worker.get_dashboard_url()
    return f"http://{url}" if url else "not running"
