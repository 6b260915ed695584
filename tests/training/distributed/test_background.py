"""Work in the background: its problems reach the ranks that wait for it, all of them at the same step."""

import json
import threading
from pathlib import Path

import pytest

from tests.worlds.fresh_process import run_ranks
from training.distributed.background import Background
from training.distributed.ranks import join_ranks


def test_a_problem_is_returned_once() -> None:
    background = Background(join_ranks())
    assert background.finish() is None
    background.start(lambda: "it failed")
    assert background.finish() == "it failed"
    assert background.finish() is None


def test_whether_it_has_failed_is_known_when_it_has_ended() -> None:
    background, may_end, ended = Background(join_ranks()), threading.Event(), threading.Event()

    def work() -> str:
        may_end.wait(30)
        ended.set()
        return "it failed"

    background.start(work)
    assert not background.has_failed
    may_end.set()
    assert ended.wait(30)
    assert background.finish() == "it failed"
    assert not background.has_failed


def test_a_fault_is_raised_where_it_is_waited_for() -> None:
    background = Background(join_ranks())

    def work() -> str:
        raise ZeroDivisionError

    background.start(work)
    with pytest.raises(ZeroDivisionError):
        background.finish()
    assert background.finish() is None


RANK = """
import json, sys
from pathlib import Path
from tests.worlds.saved_numbers import Breaking, Numbers, models
from training.distributed.checkpoint_writer import CheckpointError
from training.distributed.checkpoints import CheckpointConfig, Checkpoints
from training.distributed.ranks import join_ranks
from training.distributed.train_state import TrainState
folder, ranks = Path(sys.argv[1]), join_ranks()
written = Checkpoints(folder / "checkpoints", CheckpointConfig(), ranks)
written.save(TrainState(step=1), models(Numbers(1, rank=ranks.rank)))
written.save(TrainState(step=2), models((Numbers if ranks.rank == 0 else Breaking)(2, rank=ranks.rank)))
step = 0
while not ranks.sum(float(written.has_failed))[0]:
    step += 1
try:
    written.wait()
    told = "nothing"
except CheckpointError as error:
    told = str(error)
(folder / f"{ranks.rank}.json").write_text(json.dumps([step, told]))
"""


def test_all_ranks_stop_at_the_same_step_when_one_cannot_write(tmp_path: Path) -> None:
    run_ranks(2, "-c", RANK, str(tmp_path))
    (step, told), other = (json.loads((tmp_path / f"{rank}.json").read_text()) for rank in range(2))
    assert other == [step, told]
    assert "step-00000002 could not be written: [Errno 28] No space left" in told
    assert [path.name for path in (tmp_path / "checkpoints").iterdir()] == ["step-00000001"]
