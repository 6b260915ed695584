"""The board of encoding."""

from __future__ import annotations

from typing import Final

from infra.monitoring.boards.board import Board
from infra.monitoring.boards.jobs import job_rows

ENCODE: Final = Board(
    name="encode",
    title="Soul: encode",
    about="From shards to latents, text states and audio features: how far a run is, and what it waits for.",
    runs='ray_soul_run_info{job_name=~"encode-.*"}',
    rows=job_rows("encode-.*", units="shards", read="Of the clips that were encoded"),
)
