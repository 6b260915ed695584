"""`python -m curation logs`: what became of a source, over all runs on a directory."""

from __future__ import annotations

import json
from pathlib import Path

import fsspec
import pytest

from curation.__main__ import main
from tests.worlds.videos import write_video


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run over two videos, one of which cannot be read."""
    bucket, run = tmp_path_factory.mktemp("in"), tmp_path_factory.mktemp("logged")
    write_video(bucket / "short.mp4", seconds=0.4)
    (bucket / "broken.mp4").write_bytes(b"no video")
    assert main(["run", str(bucket), "--run", str(run), "--engine", "inline"]) == 0
    return run


def key_of(run: Path, name: str) -> str:
    (path,) = (run / "logs").glob("curation-*.jsonl")
    lines = [json.loads(text) for text in path.read_text().splitlines()]
    return next(str(line["unit"]) for line in lines if str(line.get("unit")).startswith(name))


def test_a_sources_way_is_told(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    key = key_of(run, "short")
    for asked in (key, f"{key}-0000"):
        assert main(["logs", asked, "--run", str(run)]) == 0
        passed, committed = capsys.readouterr().out.splitlines()
        assert "  passed  attempt 1  " in passed
        assert "probe:" in passed
        assert "  committed" in committed


def test_the_reason_of_a_failure_is_told(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["logs", "--run", str(run), "--json"]) == 0
    lines = [json.loads(text) for text in capsys.readouterr().out.splitlines()]
    assert [line["event"] for line in lines] == ["began", "failed", "ended"]
    assert lines[0]["planned"] == 2
    assert lines[1]["reason"].startswith("probe/unreadable: ")


@pytest.mark.parametrize(("words", "told"), [(["nobody"], " about nobody"), ([], "")])
def test_where_nothing_is_logged_a_person_hears_so(
    tmp_path: Path, words: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "shards").mkdir()
    assert main(["logs", *words, "--run", str(tmp_path)]) == 2
    assert capsys.readouterr().err == f"soul: nothing is logged{told} in {tmp_path}\n"


@pytest.mark.parametrize("words", [["somebody"], []])
def test_a_store_that_is_away_is_one_line(
    words: list[str], object_store: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    del object_store  # its credentials are used
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setitem(fsspec.config.conf, "s3", {"config_kwargs": {"retries": {"max_attempts": 0}}})
    fsspec.filesystem("s3").clear_instance_cache()
    try:
        assert main(["logs", *words, "--run", "s3://away/run"]) == 1
    finally:
        fsspec.filesystem("s3").clear_instance_cache()
    (said,) = capsys.readouterr().err.splitlines()
    assert said.startswith('soul: Could not connect to the endpoint URL: "http://127.0.0.1:9/')
