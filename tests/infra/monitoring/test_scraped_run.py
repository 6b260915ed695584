"""A real Prometheus over a run whose worker and node are killed: its totals are the ledger's."""

from __future__ import annotations

from pathlib import Path

import pytest

from infra.jobs.run_log import problems
from infra.jobs.status import read_statuses
from tests.infra.jobs.test_many_nodes import driver, num_done, wait_until
from tests.worlds.machines import machines
from tests.worlds.tiny_units import TinyJob, expected
from tests.worlds.waiting import until
from tests.worlds.watching import needs_prometheus, watched_machine

NUM = 3000


@needs_prometheus
def test_totals_equal_the_ledgers_after_a_worker_and_a_node_were_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    of = f'{{job_name="tiny",run="{out}"}}'
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
        assert wait_until(process, lambda: watch.value(f"sum(ray_soul_units_planned{of})") == NUM)
        assert process.wait(timeout=300) == 0
        status = read_statuses(str(out))["tiny"]
        last = f"last_over_time(%s{of}[5m])"
        until(lambda: watch.value(f"max({last % 'ray_soul_run_info'})") == 0, patience_s=20.0)

        units = {each["metric"]["state"]: float(each["value"][1]) for each in watch.now(last % "ray_soul_units")}
        assert units == status["units"]
        assert units["done"] == NUM
        lost = {each["metric"]["reason"]: float(each["value"][1]) for each in watch.now(last % "ray_soul_lost_units")}
        assert lost == status["lost"]
        assert sum(lost.values()) > 0
        for name in ("attempts", "shards", "written_bytes"):
            known = {"shards": "commits", "written_bytes": "num_bytes"}.get(name, name)
            truth = status[known] if known in status else status["progress"][known]
            assert watch.value(last % f"ray_soul_{name}") == truth
        seconds = {each["labels"][0]: each["value"] for each in status["progress"]["counts"]}
        for each in watch.now(last % "ray_soul_stage_seconds"):
            assert float(each["value"][1]) == pytest.approx(seconds[each["metric"]["stage"]])
        assert set(seconds) == {"first", "second"}
        assert {each["event"] for each in problems(str(out))} >= {"began", "lost", "node_left", "node_joined", "ended"}
    assert TinyJob(out=out).results() == expected(NUM)
