"""The rows that all jobs of the engine share: progress, what becomes of clips, stages, pools, nodes, failures.

All totals are gauges of the run's ledger, and so is the histogram of stages its own.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from infra.monitoring.boards.board import Panel, Query, Row, stat

RATE: Final = "$__rate_interval"
_Where = Callable[[str], str]
"""Takes further labels; returns the selector of the job's series that have them."""


NOTHING_YET: Final = " or on() vector(0)"
"""Ends a question about what may never happen in a run: then there is nothing, which is 0."""


def _of_vllm(name: str) -> str:
    """A series of vLLM. Its library spells the colon as an underscore for Prometheus before version 3."""
    return f'{{__name__=~"vllm[:_]{name}"}}'


def job_rows(jobs: str, *, units: str, read: str) -> tuple[Row, ...]:
    """The rows of a job's board.

    Args:
        jobs: regular expression of its names.
        units: what people call its units.
        read: what the seconds of video are that it has taken in.
    """
    of = f'{{job_name=~"{jobs}",run=~"$run"}}'

    def where(labels: str) -> str:
        return f'{{job_name=~"{jobs}",run=~"$run",{labels}}}'

    return (
        _progress(of, where, units, read),
        _funnel(of, where),
        _stages(of),
        _pools(of, where),
        _nodes(of),
        GPUS,
        _failures(of, where, units),
    )


def _progress(of: str, where: _Where, units: str, read: str) -> Row:
    ended = f"sum(ray_soul_units{where('state=~`done|failed|left`')})"
    left = f"sum(ray_soul_units{where('state=~`waiting|in_work|finished`')})"
    pace = f"sum(deriv(ray_soul_units{where('state=~`done|failed`')}[10m:]))"
    return Row(
        title="Progress",
        panels=(
            Panel(
                title="Done", kind="gauge", unit="percentunit", width=4, height=12,
                about=f"Share of the run's {units} that have come to an end, kept or not.",
                queries=(Query(expr=f"{ended} / clamp_min(sum(ray_soul_units_planned{of}), 1)"),),
            ),
            stat("Time left", "At the pace of the last ten minutes; nothing while that is not known.",
                 f"{left} / ({pace} > 0)", "s"),
            stat("Running for", "Since this run began; earlier runs on the directory are not in it.",
                 f"max(ray_soul_run_seconds{of})", "s"),
            stat("Left", f"{units} that are not at their end.".capitalize(), left),
            stat("Done before", f"{units} that earlier runs on the directory have done.".capitalize(),
                 f"sum(ray_soul_units_done_before{of})"),
            stat("Hours kept", "Of clips; crops count beside what they are made from.",
                 f"sum(ray_soul_video_seconds{where('kind=`kept`')}) / 3600", "h"),
            Panel(
                title="By state", kind="stacked", width=10, height=8,
                about="`finished` wait for a commit, `left` go to the next run: the machine was at fault.",
                queries=(Query(expr=f"sum by (state) (ray_soul_units{of})", legend="{{state}}"),),
            ),
            Panel(
                title="A second", width=10, height=8, about=f"Pace of {units} and of clips over ten minutes.",
                queries=(
                    Query(expr=pace, legend=units),
                    Query(expr=f"sum(deriv(ray_soul_clips{where('outcome=~`kept|rejected`')}[10m:]))", legend="clips"),
                ),
            ),
            Panel(
                title="Hours of video an hour", width=8, height=8, unit="h",
                about=f"{read}, and of clips that are kept.",
                queries=(Query(expr=f"sum by (kind) (deriv(ray_soul_video_seconds{of}[10m:]))", legend="{{kind}}"),),
            ),
            Panel(
                title="Written", width=8, height=8, unit="bytes", about="By commits, over the run.",
                queries=(Query(expr=f"sum(ray_soul_written_bytes{of})", legend="bytes"),),
            ),
            Panel(
                title="Commits", width=8, height=8, about="Shards, where a commit makes one.",
                queries=(Query(expr=f"sum(ray_soul_shards{of})", legend="commits"),),
            ),
        ),
    )  # fmt: skip


def _funnel(of: str, where: _Where) -> Row:
    clips = f"sum(ray_soul_clips{where('outcome=~`kept|rejected`')})"
    return Row(
        title="What becomes of clips",
        panels=(
            stat("Kept", "Share of the clips that are decided.",
                 f"sum(ray_soul_clips{where('outcome=`kept`')}) / ({clips} > 0)", "percentunit"),
            Panel(
                title="By outcome", kind="stacked", width=8, about="Those in work are not committed yet.",
                queries=(Query(expr=f"sum by (outcome) (ray_soul_clips{of})", legend="{{outcome}}"),),
            ),
            Panel(
                title="Rejected by", kind="bars", width=12,
                about="Stage and rule: one that suddenly takes most clips is a threshold or a model gone wrong.",
                queries=(
                    Query(
                        expr=f"sort_desc(sum by (stage, rule) (ray_soul_rejected{of})){NOTHING_YET}",
                        legend="{{stage}}/{{rule}}",
                    ),
                ),
            ),
        ),
    )  # fmt: skip


def _stages(of: str) -> Row:
    of_unit = f"ray_soul_stage_unit_seconds_bucket{of}"
    return Row(
        title="What stages cost",
        panels=(
            Panel(
                title="Share of the time", kind="bars", unit="percentunit",
                about="Of the wall seconds that workers have spent in stages: where making things faster pays.",
                queries=(
                    Query(
                        expr=f"sort_desc(sum by (stage) (ray_soul_stage_seconds{of}) "
                        f"/ scalar(sum(ray_soul_stage_seconds{of})))",
                        legend="{{stage}}",
                    ),
                ),
            ),
            Panel(
                title="Workers in a stage", kind="stacked",
                about="Seconds of stages a second of the run: how many workers were in each at once.",
                queries=(
                    Query(expr=f"sum by (stage) (deriv(ray_soul_stage_seconds{of}[5m:]))", legend="{{stage}}"),
                ),
            ),
            Panel(
                title="Slow units", unit="s", about="What one unit in twenty takes longer than, by stage.",
                queries=(
                    Query(
                        expr=f"histogram_quantile(0.95, sum by (stage, le) (rate({of_unit}[{RATE}])))",
                        legend="{{stage}}",
                    ),
                ),
            ),
        ),
    )  # fmt: skip


def _pools(of: str, where: _Where) -> Row:
    return Row(
        title="Pools and backpressure",
        panels=(
            Panel(
                title="Use of places", unit="percentunit",
                about="Units in hand, of those that the pool can work on. The pool that is full while those behind it "
                "are empty is the one that all wait for.",
                queries=(
                    Query(
                        expr=f"sum by (pool) (ray_soul_pool_units{where('state=`in_hand`')}) "
                        f"/ sum by (pool) (ray_soul_pool_places{of})",
                        legend="{{pool}}",
                    ),
                ),
            ),
            Panel(
                title="Waiting for a pool", about="Each pool has a bounded queue; the first one's is the plan.",
                queries=(
                    Query(
                        expr=f"sum by (pool) (ray_soul_pool_units{where('state=`waiting`')})", legend="{{pool}}"
                    ),
                ),
            ),
            Panel(
                title="Actors", kind="stacked", about="Those that are starting load models or wait for a machine.",
                queries=(
                    Query(
                        expr=f"sum by (pool, state) (ray_soul_pool_actors{of})", legend="{{pool}} {{state}}"
                    ),
                ),
            ),
            Panel(
                title="Loading", unit="s", about="Seconds that an actor takes to load what it needs, on average.",
                queries=(
                    Query(
                        expr=f"sum by (pool) (ray_soul_loading_seconds{of}) "
                        f"/ (sum by (pool) (ray_soul_loads{of}) > 0)",
                        legend="{{pool}}",
                    ),
                ),
            ),
            Panel(
                title="Objects between pools", unit="bytes", width=16,
                about="What Ray holds of units on their way, and what it had to write to disk.",
                queries=(
                    Query(expr="sum(ray_object_store_used_memory)", legend="in memory"),
                    Query(expr='sum(ray_spill_manager_objects_bytes{State="Spilled"})', legend="on disk"),
                ),
            ),
        ),
    )  # fmt: skip


def _nodes(of: str) -> Row:
    scratch = f"min by (NodeAddress) (ray_soul_scratch_free_bytes{of} / ray_soul_scratch_total_bytes{of})"
    return Row(
        title="Nodes",
        panels=(
            stat("Nodes", "Those that the run has now, the head included.", f"max(ray_soul_nodes{of})"),
            Panel(
                title="CPU", unit="percent", width=10, about="By node.",
                queries=(Query(expr="max by (ip) (ray_node_cpu_utilization)", legend="{{ip}}"),),
            ),
            Panel(
                title="Memory", unit="percentunit", width=10,
                about="Used, by node. At 95 % Ray ends workers, the newest first.",
                queries=(
                    Query(
                        expr="max by (ip) (ray_node_mem_used) / max by (ip) (ray_node_mem_total)",
                        legend="{{ip}}",
                    ),
                ),
            ),
            Panel(
                title="Free scratch", unit="percentunit", width=12,
                about="Of the disk that workers fetch to. When it is full, all stops: fetching.max_bytes bounds it.",
                queries=(Query(expr=scratch, legend="{{NodeAddress}}"),),
            ),
            Panel(
                title="Network", unit="Bps", width=12, about="Received and sent, all nodes.",
                queries=(
                    Query(expr="sum(ray_node_network_receive_speed)", legend="received"),
                    Query(expr="sum(ray_node_network_send_speed)", legend="sent"),
                ),
            ),
        ),
    )  # fmt: skip


GPUS: Final = Row(
    title="GPUs",
    panels=(
        Panel(
            title="Use", unit="percent", width=12, about="By node and GPU. Idle ones cost as much as busy ones.",
            queries=(
                Query(
                    expr="max by (ip, GpuIndex) (ray_node_gpus_utilization)",
                    legend="{{ip}} {{GpuIndex}}",
                ),
            ),
        ),
        Panel(
            title="Memory", unit="decmbytes", width=12, about="Used, by node and GPU.",
            queries=(
                Query(
                    expr="max by (ip, GpuIndex) (ray_node_gram_used)", legend="{{ip}} {{GpuIndex}}"
                ),
            ),
        ),
    ),
)  # fmt: skip

SERVERS: Final = Row(
    title="Servers of models",
    panels=(
        Panel(
            title="Requests a second", kind="stacked", about="As workers see them, by how they ended.",
            queries=(
                Query(
                    expr='sum by (server, outcome) (deriv(ray_soul_served_requests{run=~"$run"}[5m:]))',
                    legend="{{server}} {{outcome}}",
                ),
            ),
        ),
        Panel(
            title="Seconds an answer", unit="s", about="What workers wait for one answer, on average over the run.",
            queries=(
                Query(
                    expr='sum by (server) (ray_soul_served_seconds{run=~"$run"}) '
                    '/ sum by (server) (ray_soul_served_requests{run=~"$run"} > 0)',
                    legend="{{server}}",
                ),
            ),
        ),
        Panel(
            title="Tokens a second", about="Read (prompt) and written (completion).",
            queries=(
                Query(
                    expr='sum by (model, kind) (deriv(ray_soul_served_tokens{run=~"$run"}[5m:]))',
                    legend="{{model}} {{kind}}",
                ),
            ),
        ),
        Panel(
            title="In the servers", kind="stacked", width=12,
            about="As vLLM says: requests that it works on, and those that wait because its cache is full.",
            queries=(
                *(
                    Query(
                        expr=f"sum by (model_name) ({_of_vllm(f'num_requests_{state}')})",
                        legend=f"{{{{model_name}}}} {state}",
                    )
                    for state in ("running", "waiting")
                ),
            ),
        ),
        Panel(
            title="Cache", unit="percentunit", width=12, about="Of vLLM's keys and values: full, requests wait.",
            queries=(Query(expr=f"max by (model_name) ({_of_vllm('kv_cache_usage_perc')})", legend="{{model_name}}"),),
        ),
    ),
)  # fmt: skip


def _failures(of: str, where: _Where, units: str) -> Row:
    return Row(
        title="Failures",
        panels=(
            stat("In quarantine", f"{units} that failed for good: their own fault.".capitalize(),
                 f"sum(ray_soul_units{where('state=`failed`')})"),
            stat("Since a unit ended", "Long silence with units in work: look at the oldest one.",
                 f"max(ray_soul_idle_seconds{of})", "s"),
            stat("Oldest in work", "Seconds since it was taken up; `curation logs` says where it is.",
                 f"max(ray_soul_oldest_unit_seconds{of})", "s"),
            stat("Tries", "A unit that passes a pool at once is one try there.", f"sum(ray_soul_attempts{of})"),
            Panel(
                title="Begun anew", kind="stacked",
                about="Units whose worker was lost, by what it was lost to.",
                queries=(Query(expr=f"sum by (reason) (ray_soul_lost_units{of})", legend="{{reason}}"),),
            ),
            Panel(
                title="Faults of machines", kind="stacked", unit="ops",
                about="Tries a second that were broken off because a store throttles, a disk is full and the like.",
                queries=(
                    Query(
                        expr=f"sum by (kind) (deriv(ray_soul_machine_faults{of}[5m:])){NOTHING_YET}",
                        legend="{{kind}}",
                    ),
                ),
            ),
            Panel(
                title="Left to the next run", kind="bars",
                about="In the last hour, units for which such a fault persisted: the same command takes them up again.",
                # The run may be over, and its gauges with it, when people come to look.
                queries=(
                    Query(
                        expr="sum by (fault) (max by (job_name, run, fault) "
                        f"(max_over_time(ray_soul_left_units{of}[1h]))){NOTHING_YET}",
                        legend="{{fault}}",
                    ),
                ),
            ),
        ),
    )  # fmt: skip
