"""Training in processes that Ray places."""

import subprocess
import sys
from pathlib import Path

import pytest

from infra.config import ConfigError
from tests.worlds.encoded_run import SampleSpec, make_encoded_run
from tests.worlds.machines import joining, machines
from tests.worlds.recipes import metrics, small_options
from tests.worlds.waiting import until
from training.distributed.ray_launch import train_on_ray


def arguments(run: Path, **changes: object) -> list[str]:
    command, *options = small_options(run, **changes)
    assert command == "run"
    return options


@pytest.mark.slow
def test_two_processes_train_together(ray_cluster: None, tmp_path: Path) -> None:
    make_encoded_run(tmp_path, shards=((SampleSpec(),) * 8,))
    assert train_on_ray(arguments(tmp_path, steps=2), 2) == 0
    assert [line["step"] for line in metrics(tmp_path)] == [1, 2]
    states = list((tmp_path / "train/720p/checkpoints/step-00000002/transformer").glob("exp_avg-*"))
    assert len(states) == 2


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_training_saves_when_a_machine_of_it_is_taken_away(tmp_path: Path) -> None:
    make_encoded_run(tmp_path, shards=((SampleSpec(),) * 8,))
    words = [
        "-m",
        "training",
        "run",
        *arguments(tmp_path, steps=100_000, checkpoint__every=100_000),
        "--ray",
        "2",
        "--shared-paths",
    ]
    log = tmp_path / "training.log"
    with machines(1, 1) as cluster, log.open("wb") as out:
        joined = joining(cluster.address)
        process = subprocess.Popen([sys.executable, *words], env=joined, stdout=out, stderr=out)
        try:
            recorded = tmp_path / "train/720p/metrics.jsonl"
            until(lambda: process.poll() is not None or recorded.read_text().count("\n") > 2, patience_s=300.0)
            assert process.poll() is None, log.read_text()
            leaves = ["-m", "infra.jobs.leaving", "--within", "120", "--node-id", cluster.nodes[1].node_id]
            left = subprocess.run([sys.executable, *leaves], env=joined, capture_output=True, text=True, check=False)
            assert (left.returncode, left.stderr) == (0, ""), log.read_text()
            assert process.wait(timeout=120) == 143, log.read_text()
        finally:
            process.kill()
            process.wait()
    assert "a machine of the training is taken away" in log.read_text()
    steps = metrics(tmp_path)[-1]["step"]
    assert (tmp_path / f"train/720p/checkpoints/step-{steps:08d}").is_dir()


def test_a_mistake_is_their_exit_status(ray_cluster: None, tmp_path: Path) -> None:
    assert train_on_ray(["--stage", "710p", "--run", str(tmp_path)], 2) == 2


def test_more_processes_than_the_cluster_has_room_for(ray_cluster: None, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="3 processes need 3 CPUs, the Ray cluster has 2"):
        train_on_ray(arguments(tmp_path), 3)
