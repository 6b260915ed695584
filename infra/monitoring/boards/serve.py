"""The board of the server of videos."""

from __future__ import annotations

from typing import Final

from infra.monitoring.boards.board import Board, Panel, Query, Row, stat
from infra.monitoring.boards.jobs import GPUS, RATE


def _quantiles(name: str) -> tuple[Query, ...]:
    return tuple(
        Query(expr=f"histogram_quantile({share}, sum by (le) (rate({name}_bucket[{RATE}])))", legend=legend)
        for share, legend in ((0.5, "half"), (0.95, "19 of 20"))
    )


SERVE: Final = Board(
    name="serve",
    title="Soul: serve",
    about="What people ask for and what they get: queue, first pictures, pace, refusals.",
    runs="",
    rows=(
        Row(
            title="Now",
            panels=(
                stat("Waiting", "Requests in the queue.", "sum(soul_queue_length)"),
                stat("Being made", "Requests that are with a replica.", "sum(soul_running)"),
                stat("Made", "Since the server began.", 'sum(soul_requests_total{outcome="done"})'),
                stat("Made again", "Because a replica failed.", "sum(soul_retries_total)"),
            ),
        ),
        Row(
            title="What people wait for",
            panels=(
                Panel(
                    title="First pictures", unit="s", about="From acceptance to the first fragment of the video.",
                    queries=_quantiles("soul_first_fragment_seconds"),
                ),
                Panel(
                    title="Seconds of work a second of video", about="Above 1 the video stalls while it is watched.",
                    queries=_quantiles("soul_seconds_per_video_second"),
                ),
                Panel(
                    title="Queue", kind="stacked", about="Grows without end: more replicas, or fewer people.",
                    queries=(
                        Query(expr="sum(soul_queue_length)", legend="waiting"),
                        Query(expr="sum(soul_running)", legend="being made"),
                    ),
                ),
            ),
        ),
        Row(
            title="Outcomes",
            panels=(
                Panel(
                    title="Ended a minute", kind="stacked", width=12, about="By outcome.",
                    queries=(
                        Query(expr=f"60 * sum by (outcome) (rate(soul_requests_total[{RATE}]))", legend="{{outcome}}"),
                    ),
                ),
                Panel(
                    title="Refused a minute", kind="stacked", width=12,
                    about="By HTTP's status: 429 and 503 are a full queue, 4xx what people asked for.",
                    queries=(
                        Query(expr=f"60 * sum by (status) (rate(soul_refused_total[{RATE}]))", legend="{{status}}"),
                    ),
                ),
            ),
        ),
        GPUS,
    ),
)  # fmt: skip
