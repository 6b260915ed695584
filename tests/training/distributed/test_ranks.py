"""Who a process is, by the launcher that started it."""

from pathlib import Path

import pytest

from infra.command_line import CommandFailedError
from training.distributed.ranks import complete_environment, join_ranks


def completed(**environment: str) -> dict[str, str]:
    complete_environment(environment)
    return environment


def test_alone() -> None:
    assert completed() == {"LOCAL_RANK": "0"}


def test_torchrun_and_deepspeed_say_it_in_torchs_terms() -> None:
    given = {"RANK": "3", "LOCAL_RANK": "1", "WORLD_SIZE": "4", "SLURM_STEP_ID": "0", "SLURM_STEP_NUM_TASKS": "9"}
    assert completed(**given) == given


def test_srun_says_it_in_its_own() -> None:
    slurm = {
        "SLURM_STEP_ID": "0",
        "SLURM_STEP_NUM_TASKS": "16",
        "SLURM_PROCID": "9",
        "SLURM_LOCALID": "1",
        "SLURM_JOB_ID": "45678",
        "SLURM_LAUNCH_NODE_IPADDR": "10.0.0.7",
    }
    environment = completed(**slurm)
    assert environment["RANK"] == "9"
    assert environment["LOCAL_RANK"] == "1"
    assert environment["WORLD_SIZE"] == "16"
    assert environment["MASTER_ADDR"] == "10.0.0.7"
    assert environment["MASTER_PORT"] == "25678"
    assert completed(**slurm, MASTER_ADDR="10.0.0.1", MASTER_PORT="5")["MASTER_ADDR"] == "10.0.0.1"


def test_a_lone_python_inside_an_allocation_is_alone() -> None:
    assert "RANK" not in completed(SLURM_JOB_ID="4", SLURM_NTASKS="8")
    assert "RANK" not in completed(SLURM_STEP_ID="0", SLURM_STEP_NUM_TASKS="1", SLURM_PROCID="0", SLURM_LOCALID="0")


def test_what_goes_wrong_on_the_main_process_is_one_line_for_all() -> None:
    ranks = join_ranks()
    assert ranks.on_main(lambda: 3) == 3
    with pytest.raises(CommandFailedError, match="No such file or directory: '/nowhere'"):
        ranks.on_main(lambda: Path("/nowhere").read_text())
