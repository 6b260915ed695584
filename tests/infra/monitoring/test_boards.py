"""The boards: what is kept is what is drawn, and every series that is asked for is one that somebody publishes."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from prometheus_client.parser import text_string_to_metric_families
from ray.dashboard.modules.reporter import reporter_agent

from infra.jobs import gauges
from infra.monitoring.boards.all import BOARDS
from infra.monitoring.boards.board import Board
from infra.monitoring.writing import HERE, written
from serving.metrics import Metrics
from tests.infra.monitoring.test_rules import ALERTS
from tests.worlds.encoded_run import make_encoded_run
from tests.worlds.recipes import metrics as metrics_of
from tests.worlds.recipes import train
from training.monitoring import exporter, throughput

SERIES = re.compile(r"(?<![\w:])(?:ray|soul)_\w+|(?<=vllm\[:_\])\w+|\bup(?={)")
OF_TARGETS = {"job", "instance"}
"""What Prometheus adds itself."""
OF_WORKERS = {"NodeAddress", "WorkerId", "SessionName"}
"""What Ray adds to metrics of workers; tests/infra/monitoring/test_scraped_run.py asks it."""
OF_VLLM = {name: {"model_name"} for name in ("num_requests_running", "num_requests_waiting", "kv_cache_usage_perc")}
OF_RAYS_CORE = {
    "ray_object_store_used_memory": {"NodeAddress"},
    "ray_spill_manager_objects_bytes": {"NodeAddress", "State"},
}
Labels = dict[str, set[str]]
GROUPED = re.compile(r"\b(?:by|on) \((.+?)\)")
CHOSEN = re.compile(r"(\w+){(.+?)}")


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Labels:
    """All series that there can be, and their labels."""
    of_run = {*gauges.OF_RUN, *OF_WORKERS}
    ours = {f"ray_{gauges.PREFIX}{name}": of_run | {*labels} for name, (_, labels) in gauges.GAUGES.items()}
    ours["ray_soul_stage_unit_seconds_bucket"] = of_run | {"stage", "le"}
    ours |= dict.fromkeys(("ray_soul_scratch_free_bytes", "ray_soul_scratch_total_bytes"), of_run)
    rays = {f"ray_{name}": {*gauge.view.columns} for name, gauge in reporter_agent.METRICS_GAUGES.items()}
    of_training = labels_of(of_a_training(tmp_path_factory.mktemp("training")))
    served = labels_of(of_the_server())
    known = ours | rays | OF_RAYS_CORE | OF_VLLM | of_training | served | {"up": set()}
    return {name: labels | OF_TARGETS for name, labels in known.items()}


def labels_of(text: str) -> Labels:
    """The series of a scrape, and their labels."""
    samples = [sample for family in text_string_to_metric_families(text) for sample in family.samples]
    return {sample.name: set(sample.labels) for sample in samples}


def of_the_server() -> str:
    """What a server of videos publishes once it has done something."""
    metrics = Metrics()
    metrics.ended.labels("done").inc()
    metrics.refused.labels("429").inc()
    return metrics.text().decode()


def of_a_training(run: Path) -> str:
    """What a training publishes that has validated, saved, and run on a device whose peak is known."""
    make_encoded_run(run)
    every = {"validation__every": 2, "checkpoint__every": 1, "audio_delta_every": 2}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(throughput, "peak_bf16_flops", lambda _: 1e12)
        train(run, steps=2, log_every=2, validation__videos=1, **every)
    (values,) = metrics_of(run)
    logged = exporter.Exporter(run / "train" / "720p", 0, 2, 0)
    try:
        logged.scalars(2, values)
        return httpx2.get(f"http://127.0.0.1:{logged.port}/metrics", trust_env=False).text
    finally:
        logged.close()


def questions() -> list[tuple[str, str]]:
    """Where a question is asked, and the question."""
    boards = [
        (f"{board.name}: {panel.title}", query.expr)
        for board in BOARDS
        for panel in board.panels
        for query in panel.queries
    ]
    return boards + [(rule["alert"], rule["expr"]) for rule in ALERTS]


def test_every_series_that_is_asked_for_is_published(published: Labels) -> None:
    unknown = {
        where: sorted(names) for where, expr in questions() if (names := set(SERIES.findall(expr)) - published.keys())
    }
    assert not unknown


def test_series_have_the_labels_that_they_are_told_apart_by(published: Labels) -> None:
    """A label that a series does not have would make one of all of them, and say so nowhere."""
    missing = {}
    for where, expr in questions():
        named = SERIES.findall(expr)
        assert named, where
        known = set.intersection(*(published[name] for name in named))
        lacking = {label for labels in GROUPED.findall(expr) for label in re.findall(r"\w+", labels)} - known
        for name, labels in CHOSEN.findall(expr):
            lacking |= set(re.findall(r"(\w+)(?==|!)", labels)) - published[name]
        if lacking:
            missing[where, expr] = lacking
    assert not missing


def test_names_of_answers_are_labels_that_are_left() -> None:
    """A legend or an alert's text may only name what the question keeps."""
    drawn = [
        (f"{board.name}: {panel.title}", query.expr, re.findall(r"{{(\w+)}}", query.legend))
        for board in BOARDS
        for panel in board.panels
        for query in panel.queries
    ]
    told = [(rule["alert"], rule["expr"], re.findall(r"\$labels\.(\w+)", str(rule["annotations"]))) for rule in ALERTS]
    for where, expr, names in drawn + told:
        if kept := GROUPED.findall(expr):
            assert set(names) <= set(re.findall(r"\w+", kept[0])), where


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
