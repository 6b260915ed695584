"""Headers of many files, read in tasks of a Ray cluster."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Final

import ray

from curation.sources.header_readers import HeaderFile, read_headers
from curation.sources.headers import Header
from infra.jobs.cluster import ray_session
from infra.storage.settings import StorageSettings

BATCH_FILES: Final = 256
"""Files of a task: some seconds of work, which are done again where a node is lost."""
MAX_TASKS: Final = 1024
"""Tasks that are submitted at a time."""
MAX_RETRIES: Final = 5
"""Of a task whose node is lost."""


def read_headers_on_ray(
    files: Sequence[HeaderFile], *, num_helpers: int, timeout_s: float
) -> Iterator[tuple[HeaderFile, Header]]:
    """Read headers on the cluster, and give those of each task as soon as it has ended, in any order.

    Args:
        files: whose headers are wanted.
        num_helpers: helper processes of a task.
        timeout_s: seconds that a header may take.

    Raises:
        ConnectionError, ClusterError: see `ray_session`.
        ray.exceptions.RayError: a task was lost too often.
    """
    with ray_session("headers", dashboard=False):
        # Helpers mostly wait for the store, so a task takes a CPU whatever their number.
        task = ray.remote(num_cpus=1, max_retries=MAX_RETRIES)(_read_batch).options(name="curation/headers")
        batches = (files[first : first + BATCH_FILES] for first in range(0, len(files), BATCH_FILES))
        settings = StorageSettings.here()
        running = [task.remote(batch, num_helpers, timeout_s, settings) for batch in islice(batches, MAX_TASKS)]
        while running:
            ended, running = ray.wait(running, num_returns=1)
            running += [task.remote(batch, num_helpers, timeout_s, settings) for batch in islice(batches, len(ended))]
            for each in ended:
                yield from ray.get(each)


def _read_batch(
    files: Sequence[HeaderFile], num_helpers: int, timeout_s: float, settings: StorageSettings
) -> list[tuple[HeaderFile, Header]]:
    settings.apply()
    return list(read_headers(files, num_helpers=num_helpers, timeout_s=timeout_s))
