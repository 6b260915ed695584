"""One training at a time in a stage's folder: a second one would delete files that the first is writing."""

from __future__ import annotations

import fcntl
import os
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final

from infra.config import ConfigError
from infra.storage.files import naming
from training.distributed.ranks import Ranks

LOCK_FILE: Final = ".lock"


@contextmanager
def locked(folder: Path, ranks: Ranks) -> Iterator[None]:
    """Inside, no other training is at work in `folder`, which is made. All ranks call it, the main one holds the lock.

    The lock ends with the process, however the process ends. On file systems without locks there is none.

    Raises:
        ConfigError: another training is at work there.
    """
    with ExitStack() as stack:
        ranks.on_main(lambda: _take(folder, stack))
        yield


def _take(folder: Path, stack: ExitStack) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    file = stack.enter_context((folder / LOCK_FILE).open("a+b", buffering=0))
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.seek(0)
        holder = file.read().decode().strip() or "just begun"
        raise ConfigError(f"another training is at work in {folder} ({holder}): wait for it, or stop it") from None
    except OSError:
        return
    file.truncate(0)
    with naming(folder / LOCK_FILE):
        file.write(f"process {os.getpid()} on {socket.gethostname()}\n".encode())
