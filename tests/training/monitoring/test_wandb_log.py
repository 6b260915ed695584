"""Weights & Biases: one run however often a training goes on, and a service that is away ends no training.

Half of this needs the package wandb, which is not installed by default: pip install --target DIR wandb, PYTHONPATH=DIR.
"""

import importlib.util
import socket
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from infra.config import ConfigError
from tests.worlds.recipes import small_recipe
from training.monitoring import wandb_log
from training.monitoring.config import MonitoringConfig, check_monitoring
from training.monitoring.log import open_logs
from training.monitoring.validation import write_clip
from training.monitoring.wandb_log import RUN_ID_FILE, WandbLog

HAS_WANDB = importlib.util.find_spec("wandb") is not None
needs_wandb = pytest.mark.skipif(not HAS_WANDB, reason="the package wandb is not installed")
BLOCK, FULL, LAST = 32768, 1, 4
CONFIG = MonitoringConfig(wandb="soul-tests")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Of a stage; the client keeps to it and knows nobody's key."""
    for name in ("WANDB_DIR", "WANDB_CACHE_DIR", "WANDB_CONFIG_DIR", "WANDB_DATA_DIR", "HOME"):
        monkeypatch.setenv(name, str(tmp_path / "home"))
    (tmp_path / "home").mkdir()
    monkeypatch.setenv("WANDB_ERROR_REPORTING", "false")
    made = tmp_path / "run" / "train" / "720p"
    made.mkdir(parents=True)
    yield made
    if HAS_WANDB:
        import wandb  # noqa: PLC0415

        # The client keeps the settings of its first run for the whole process.
        wandb.teardown()


def kept(folder: Path) -> list[Any]:
    """The records that the client has kept in a stage's folder, in order."""
    return list(_records(folder))


def _records(folder: Path) -> Iterator[Any]:
    from wandb.proto import wandb_internal_pb2 as messages  # noqa: PLC0415

    for path in sorted(folder.glob("wandb/offline-run-*/*.wandb")):
        for data in logged_records(path.read_bytes()[7:]):
            record = messages.Record()
            record.ParseFromString(data)
            yield record


def logged_records(data: bytes) -> Iterator[bytes]:
    """The records of a log as LevelDB has it: in blocks of 32 KiB, each piece behind its CRC, length and kind. The
    first block lacks 7 bytes, which stand for the header before it."""
    place, record = 7, b""
    data = bytes(place) + data
    while place + 7 <= len(data):
        left = BLOCK - place % BLOCK
        if left < 7:
            place += left
            continue
        length, kind = struct.unpack_from("<HB", data, place + 4)
        record += data[place + 7 : place + 7 + length]
        place += 7 + length
        if kind in {FULL, LAST}:
            yield record
            record = b""


@pytest.mark.parametrize("project", ["a/b/c", "/b", "a/", " "])
def test_what_is_no_project_is_refused(project: str) -> None:
    with pytest.raises(ConfigError, match=r"monitoring\.wandb is PROJECT or ENTITY/PROJECT"):
        small_recipe(monitoring__wandb=f"'{project}'")
    assert small_recipe(monitoring__wandb="us/faces").monitoring == MonitoringConfig(wandb="us/faces")


@pytest.mark.skipif(HAS_WANDB, reason="the package wandb is installed")
def test_without_its_package_a_training_is_refused_before_it_begins() -> None:
    check_monitoring(MonitoringConfig())
    with pytest.raises(ConfigError, match="needs the package wandb, which is not installed"):
        check_monitoring(CONFIG)


@pytest.mark.skipif(HAS_WANDB, reason="the package wandb is installed")
def test_whatever_the_client_raises_is_said_once_and_training_goes_on(folder: Path) -> None:
    said: list[str] = []
    log = open_logs(folder, 0, CONFIG, {"steps": 3}, said.append, total_steps=9)
    for step in (1, 2, 3):
        log.scalars(step, {"loss": 0.5})
    log.close()
    assert len(said) == 1
    assert said[0].startswith("Weights & Biases is left out from here on, and training goes on: No module named")
    assert len((folder / "metrics.jsonl").read_text().splitlines()) == 3, "the other logs are whole"


@needs_wandb
def test_offline_all_is_kept_in_the_stages_folder_under_one_name(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_MODE", "offline")
    write_clip(folder / "validation" / "anna.mp4", np.zeros((9, 64, 128, 3), np.uint8), fps=25, wav=None)
    for first_step in (0, 2):
        log = open_logs(folder, first_step, CONFIG, {"steps": 4, "optimizer": {"lr": 1e-3}}, pytest.fail, total_steps=9)
        for step in (first_step + 1, first_step + 2):
            log.video(step, "validation/anna", folder / "validation" / "anna.mp4", "A woman speaks.")
            log.scalars(step, {"loss": 1 / step})
        log.close()
    records = kept(folder)
    runs = [each.run for each in records if each.WhichOneof("record_type") == "run"]
    assert {run.run_id for run in runs} == {(folder / RUN_ID_FILE).read_text().strip()}
    assert {run.project for run in runs} == {"soul-tests"}
    assert {run.display_name for run in runs} == {"run/720p"}
    config = {item.key: item.value_json for item in runs[0].config.update}
    assert config["steps"] == "4"
    assert config["optimizer"] == '{"lr":0.001}'
    lines = [each.history for each in records if each.WhichOneof("record_type") == "history"]
    losses = [
        (line.step.num, float(item.value_json))
        for line in lines
        for item in line.item
        if "loss" in (item.key, *item.nested_key)
    ]
    assert [step for step, _ in losses] == [1, 2, 3, 4]
    assert [loss for _, loss in losses] == pytest.approx([1, 1 / 2, 1 / 3, 1 / 4])
    assert len(list(folder.glob("wandb/offline-run-*/files/media/videos/validation/anna_*.mp4"))) == 4
    assert len(list(folder.glob("wandb/offline-run-*/files/media/html/recipe_*.html"))) == 2


@needs_wandb
def test_a_service_that_is_away_ends_no_training(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        monkeypatch.setenv("WANDB_BASE_URL", f"http://127.0.0.1:{closed.getsockname()[1]}")
        monkeypatch.setenv("WANDB_API_KEY", "0" * 40)
        monkeypatch.setenv("WANDB_MODE", "online")
        monkeypatch.setattr(wandb_log, "PATIENCE_S", 3)
        said: list[str] = []
        log = WandbLog(folder, CONFIG, {"steps": 3}, said.append)
        log.scalars(1, {"loss": 0.5})
        log.close()
    assert len(said) == 1
    assert said[0].startswith("Weights & Biases is left out from here on, and training goes on: ")
    assert "\n" not in said[0]
