"""The board of curation."""

from __future__ import annotations

from typing import Final

from infra.monitoring.boards.board import Board
from infra.monitoring.boards.jobs import SERVERS, job_rows

_ROWS = job_rows("curation", units="sources", read="Of the sources that were read")

CURATE: Final = Board(
    name="curate",
    title="Soul: curate",
    about="From raw video to shards: how far a run is, what becomes of the clips, and what it waits for.",
    runs='ray_soul_run_info{job_name="curation"}',
    rows=(*_ROWS[:-1], SERVERS, _ROWS[-1]),
)
