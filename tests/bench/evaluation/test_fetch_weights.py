"""The command: what is declared, what it lists, and what people get where weights cannot be had."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.__main__ import main
from bench.metrics.metrics_config import metrics_config
from bench.metrics.options import add_metric_options
from bench.metrics.registry import METRICS, MetricsConfig, build_metrics
from bench.weights.source import HubWeights, WebWeights
from curation.tiny_models.dinov2 import write_dinov2
from curation.tiny_models.syncnet import write_syncnet
from infra.command_line import Parser
from tests.worlds.weight_servers import hub, shelf

NOWHERE = "http://127.0.0.1:9"


def test_whatever_a_metric_needs_says_where_it_comes_from() -> None:
    for metric in build_metrics(list(METRICS), MetricsConfig()):
        assert bool(metric.needs) == bool(metric.weights), metric.name
        for weights in metric.weights:
            assert weights.licence
            if isinstance(weights, WebWeights):
                assert weights.url.startswith("https://")
                assert all(len(file.content.sha256) == 64 for file in weights.files)
            else:
                assert weights.repository.count("/") == 1


def test_the_list_says_from_where_under_which_licence_how_large_and_where_to(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["fetch-weights", "--list", "--models", str(tmp_path)]) == 0
    said = capsys.readouterr().out
    for words in (
        "syncnet: syncnet_v2.model",
        "licence  for non-commercial research only",
        "size     288.6 MB",
        f"to       {tmp_path}/buffalo_l/det_10g.onnx  (not there)",
        "from     Hugging Face Hub: facebook/dinov2-base",
        "only with --only vtc",
    ):
        assert words in said
    assert "av_align" not in said


@pytest.mark.parametrize(
    ("arguments", "message"),
    [(["--only", "synct"], "unknown metric 'synct'"), (["--only", "av_align"], "av_align needs no weights")],
)
def test_mistakes_are_one_line(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fetch-weights", *arguments]) == 2
    errors = capsys.readouterr().err
    assert message in errors
    assert errors.count("\n") == 1


def test_without_a_network_each_has_its_line_and_the_status_is_1(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_ENDPOINT", NOWHERE)
    assert main(["fetch-weights", "--models", str(tmp_path), "--mirror", NOWHERE]) == 1
    said = capsys.readouterr()
    lines = dict(line.split(None, 1) for line in said.out.splitlines())
    for name in ("syncnet", "identity"):
        assert lines[name] == "not fetched: 127.0.0.1:9 cannot be reached (Connection refused)"
    assert lines["dino"].startswith("not fetched: Hugging Face Hub: facebook/dinov2-base: ")
    assert lines["vtc"].startswith("left out, about 471 GB: ")
    assert said.err == "soul: 3 of 5 weights were not fetched; the same command tries again\n"


def test_other_weights_than_the_declared_ones_are_not_taken(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (weights,) = build_metrics(["syncnet"], MetricsConfig())[0].weights
    assert isinstance(weights, WebWeights)
    with shelf({"/syncnet_v2.model": bytes(weights.download.size)}) as server:
        words = ["fetch-weights", "--only", "syncnet", "--models", str(tmp_path), "--mirror", server.address]
        assert main(words) == 1
    assert "is another file than expected: its SHA-256 is" in capsys.readouterr().out
    assert list(tmp_path.iterdir()) == []


def test_what_is_fetched_makes_its_metric_ready(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (weights,) = build_metrics(["dino"], MetricsConfig())[0].weights
    assert isinstance(weights, HubWeights)
    write_dinov2(tmp_path / "made")
    files = {path.name: path.read_bytes() for path in (tmp_path / "made").iterdir()}
    assert set(weights.patterns) <= files.keys()
    models = tmp_path / "models"
    with hub(weights.repository, files) as server:
        monkeypatch.setenv("HF_ENDPOINT", server.address)
        assert main(["fetch-weights", "--only", "dino", "--models", str(models)]) == 0
    assert f"dino      {models}/dinov2-base" in capsys.readouterr().out
    assert main(["doctor", "--models", str(models)]) == 0
    assert "dino: ready" in capsys.readouterr().out


def test_metrics_look_where_weights_are_put_unless_told_otherwise(tmp_path: Path) -> None:
    parser = Parser()
    add_metric_options(parser)
    none = metrics_config(parser.parse_args(["--models", str(tmp_path)]))
    assert (none.syncnet.weights, none.identity.arcface, none.dino.model) == (None, None, None)
    write_syncnet(tmp_path / "syncnet_v2.model")
    found = metrics_config(parser.parse_args(["--models", str(tmp_path)]))
    assert found.syncnet.weights == tmp_path / "syncnet_v2.model"
    assert build_metrics(["syncnet"], found)[0].available() is None
    told = metrics_config(parser.parse_args(["--models", str(tmp_path), "--syncnet-weights", "other.model"]))
    assert told.syncnet.weights == Path("other.model")
