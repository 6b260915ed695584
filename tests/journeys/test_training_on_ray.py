"""Training in processes that Ray places."""

from pathlib import Path

import pytest

from infra.config import ConfigError
from tests.worlds.encoded_run import SampleSpec, make_encoded_run
from tests.worlds.recipes import metrics, small_options
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


def test_a_mistake_is_their_exit_status(ray_cluster: None, tmp_path: Path) -> None:
    assert train_on_ray(["--stage", "710p", "--run", str(tmp_path)], 2) == 2


def test_more_processes_than_the_cluster_has_room_for(ray_cluster: None, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="3 processes need 3 CPUs, the Ray cluster has 2"):
        train_on_ray(arguments(tmp_path), 3)
