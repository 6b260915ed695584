"""A real Prometheus over a run whose worker and node are killed: its totals are the ledger's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ray.dashboard.consts import NODE_TAG_KEYS

from infra.jobs.run_log import problems
from infra.jobs.status import read_statuses
from infra.monitoring.boards.all import BOARDS
from tests.infra.jobs.test_many_nodes import driver, num_done, wait_until
from tests.infra.monitoring.test_boards import GROUPED, OF_WORKERS
from tests.worlds.machines import Machines, machines
from tests.worlds.tiny_units import PER_COMMIT, TinyJob, expected
from tests.worlds.waiting import until
from tests.worlds.watching import Watch, needs_prometheus, watched_machine

NUM = 3000


def status_of(out: Path) -> dict[str, Any]:
    """What the ledger last said, as it is kept beside the run."""
    return read_statuses(str(out))["tiny"]


def by_label(watch: Watch, name: str, of: str, label: str) -> dict[str, float]:
    """What Prometheus has now of a gauge of the run, by a label."""
    return {each["metric"][label]: float(each["value"][1]) for each in watch.now(f"ray_soul_{name}{of}")}


def check_labels(watch: Watch, cluster: Machines) -> None:
    """Nodes are told apart by the labels by which boards and rules do so."""
    for name in ("node_cpu_utilization", "node_mem_used", "node_mem_total"):
        found = watch.now(f"ray_{name}")
        assert found
        assert all(set(each["metric"]) >= set(NODE_TAG_KEYS) for each in found), found
    for name in ("free", "total"):
        found = watch.now(f"ray_soul_scratch_{name}_bytes")
        assert found
        assert all(set(each["metric"]) >= OF_WORKERS for each in found), found
    asked = [query.expr for board in BOARDS for panel in board.panels for query in panel.queries]
    for expr in (each.replace("$run", ".*") for each in asked if "ray_node_" in each or "scratch" in each):
        for group in GROUPED.findall(expr):
            labels = set(group.split(", "))
            assert all(labels <= set(each["metric"]) for each in watch.now(expr)), expr


@needs_prometheus
def test_totals_equal_the_ledgers_after_a_worker_and_a_node_were_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    of = f'{{job_name="tiny",run="{out}"}}'
    held = out / "held" / max(expected(NUM))
    held.parent.mkdir(parents=True)
    held.touch()
    with (
        watched_machine(tmp_path / "watch", monkeypatch) as watch,
        machines(1, 1, dashboard=True) as cluster,
        driver(out, NUM, cluster.address) as process,
    ):
        assert wait_until(process, lambda: num_done(out) > 100)
        worker = until(lambda: [each for each in cluster.workers("tiny/second") if not each.children()])[0]
        worker.kill()
        at = num_done(out)
        assert wait_until(process, lambda: num_done(out) > at + 200)
        cluster.kill(cluster.nodes[0])
        cluster.add(1)
        # The last unit is held, so that totals stand still while they are compared.
        until(
            lambda: status_of(out)["units"]["waiting"] == 0 and status_of(out)["units"]["in_work"] == 1, patience_s=300
        )
        until(lambda: by_label(watch, "units", of, "state") == status_of(out)["units"], patience_s=60)
        status = status_of(out)
        assert NUM - PER_COMMIT <= status["units"]["done"] < NUM
        assert by_label(watch, "lost_units", of, "reason") == status["lost"]
        assert sum(status["lost"].values()) > 0
        for name, truth in (
            ("units_planned", NUM),
            ("attempts", status["attempts"]),
            ("shards", status["progress"]["commits"]),
            ("written_bytes", status["progress"]["num_bytes"]),
            ("run_info", 1),
        ):
            assert watch.value(f"ray_soul_{name}{of}") == truth, name
        seconds = {each["labels"][0]: each["value"] for each in status["progress"]["counts"]}
        assert by_label(watch, "stage_seconds", of, "stage") == pytest.approx(seconds)
        assert set(seconds) == {"first", "second"}
        check_labels(watch, cluster)
        held.unlink()
        assert process.wait(timeout=300) == 0
        events = {each["event"] for each in problems(str(out))}
        assert events >= {"began", "lost", "node_left", "node_joined", "ended"}
        done = f'ray_soul_units{{job_name="tiny",run="{out}",state="done"}}'
        assert watch.value(f"max_over_time({done}[5m])") == NUM, "the last totals were seen, too"
    assert TinyJob(out=out).results() == expected(NUM)
