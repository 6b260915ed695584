"""The boards: what is kept is what is drawn, and every series that is asked for is one that somebody publishes."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families
from ray.dashboard.modules.reporter import reporter_agent

from infra.jobs import gauges
from infra.monitoring.boards.all import BOARDS
from infra.monitoring.boards.board import Board
from infra.monitoring.prometheus import RULES
from infra.monitoring.writing import HERE, written
from serving.metrics import Metrics
from training.monitoring import exporter

SERIES = re.compile(r"(?<![\w:])(?:ray|soul)_\w+|(?<=vllm\[:_\])\w+")
OF_VLLM = {"num_requests_running", "num_requests_waiting", "kv_cache_usage_perc"}
OF_RAYS_CORE = {"ray_object_store_used_memory", "ray_spill_manager_objects_bytes"}
OF_TRAINING = {
    *("step", "steps", "epoch", "samples", "loss", "validation_loss", "grad_norm", "lr", "audio_delta", "s_per_step"),
    *("tokens_per_s", "mfu", "tflops", "data_wait_s", "save_s"),
}


def published() -> set[str]:
    """Names of all series that there can be."""
    ours = {f"ray_{gauges.PREFIX}{name}" for name in gauges.GAUGES}
    ours |= {"ray_soul_stage_unit_seconds_bucket", "ray_soul_scratch_free_bytes", "ray_soul_scratch_total_bytes"}
    rays = {f"ray_{name}" for name in reporter_agent.METRICS_GAUGES}
    training = {f"{exporter.PREFIX}{name}" for name in OF_TRAINING}
    return ours | rays | OF_RAYS_CORE | OF_VLLM | training | set(of_the_server())


def of_the_server() -> Iterator[str]:
    """What a server of videos publishes once it has done something."""
    metrics = Metrics()
    metrics.ended.labels("done").inc()
    metrics.refused.labels("429").inc()
    for family in text_string_to_metric_families(metrics.text().decode()):
        yield from (sample.name for sample in family.samples)


def questions() -> list[tuple[str, str]]:
    """Where a question is asked, and the question."""
    boards = [
        (f"{board.name}: {panel.title}", query.expr)
        for board in BOARDS
        for panel in board.panels
        for query in panel.queries
    ]
    rules = [
        (rule["alert"], rule["expr"])
        for path in sorted(RULES.glob("*.yaml"))
        for group in yaml.safe_load(path.read_text())["groups"]
        for rule in group["rules"]
    ]
    return boards + rules


def test_every_series_that_is_asked_for_is_published() -> None:
    known = published()
    unknown = {where: sorted(names) for where, expr in questions() if (names := set(SERIES.findall(expr)) - known)}
    assert not unknown


def test_what_is_kept_is_what_is_drawn() -> None:
    for path, content in written(HERE).items():
        assert path.read_text() == content, f"{path.name} is old: make dashboards"


@pytest.mark.parametrize("board", BOARDS, ids=lambda board: board.name)
def test_a_board_is_complete(board: Board) -> None:
    page = json.loads((HERE / "boards" / f"{board.name}.json").read_text())
    assert page["uid"] == f"soul-{board.name}"
    panels = list(panels_of(page["panels"]))
    assert [panel["title"] for panel in panels if panel["type"] != "row"] == [each.title for each in board.panels]
    taken: set[tuple[int, int]] = set()
    for place in (panel["gridPos"] for panel in panels):
        assert place["x"] + place["w"] <= 24
        cells = {(place["x"] + x, place["y"] + y) for x in range(place["w"]) for y in range(place["h"])}
        assert not cells & taken, "two panels overlap"
        taken |= cells
    variables = {each["name"] for each in page["templating"]["list"]}
    asked = " ".join(target["expr"] for panel in panels for target in panel.get("targets", ()))
    assert set(re.findall(r"\$(?!__)(\w+)", asked)) <= variables
    assert {target["datasource"]["uid"] for panel in panels for target in panel.get("targets", ())} == {"${source}"}


def panels_of(panels: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """All panels, those inside rows included."""
    for panel in panels:
        yield panel
        yield from panels_of(panel.get("panels", []))


def test_boards_are_written_elsewhere_too(tmp_path: Path) -> None:
    assert {path.relative_to(tmp_path).as_posix() for path in written(tmp_path)} == {
        *(f"boards/{board.name}.json" for board in BOARDS),
        "prometheus-rule.yaml",
    }
