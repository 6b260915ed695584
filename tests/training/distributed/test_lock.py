"""Two trainings that share a folder: the second is refused, and what dies holds nothing."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from infra.config import ConfigError
from tests.worlds.encoded_run import SampleSpec, make_encoded_run
from tests.worlds.recipes import small_options
from training.__main__ import main
from training.distributed.lock import LOCK_FILE, locked
from training.distributed.ranks import join_ranks

HOLD = """
import fcntl, os, socket, sys
with open(sys.argv[1], "wb", buffering=0) as file:
    fcntl.flock(file, fcntl.LOCK_EX)
    file.write(f"process {os.getpid()} on {socket.gethostname()}".encode())
    print("held", flush=True)
    sys.stdin.read()
"""
"""What a training does, without the seconds that its libraries take to import."""


def test_a_second_training_is_refused_until_the_first_is_gone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make_encoded_run(tmp_path, shards=((SampleSpec(),) * 4,))
    folder = tmp_path / "train/720p"
    aside = folder / "checkpoints/step-00000009.tmp"
    aside.mkdir(parents=True)
    first = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(folder / LOCK_FILE)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert first.stdout is not None
    assert first.stdout.readline() == "held\n"
    assert main(small_options(tmp_path, steps=1)) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert f"another training is at work in {folder} (process {first.pid} on " in line
    assert aside.is_dir(), "the first one is just writing it"
    first.send_signal(signal.SIGKILL)
    first.wait()
    assert main(small_options(tmp_path, steps=1)) == 0
    assert not aside.exists()


def test_it_is_given_back(tmp_path: Path) -> None:
    ranks = join_ranks()
    for _ in range(2):
        with (
            locked(tmp_path, ranks),
            pytest.raises(ConfigError, match="another training is at work"),
            locked(tmp_path, ranks),
        ):
            pass
