"""Sweeps up behind the processes that share a folder: `python broom.py FOLDER`.

It detaches itself, waits until the last of those processes is gone, however it ended, and deletes the folder. It is run
as a file of its own, so that it holds a bare interpreter and none of what the workers import.
"""

import contextlib
import fcntl
import os
import shutil
import sys

ALIVE = "alive"
"""Every process that uses the folder holds a shared lock on this file in it; the kernel drops a dead one's."""
BROOM = "broom"


def sweep(folder: str) -> None:
    """Wait for the last user and delete the folder; at once if another broom waits already."""
    with (
        contextlib.suppress(FileNotFoundError, BlockingIOError),
        open(os.path.join(folder, BROOM), "a") as own,  # noqa: PTH118, PTH123 (pathlib is slow to import)
        open(os.path.join(folder, ALIVE)) as alive,  # noqa: PTH118, PTH123
    ):
        fcntl.flock(own, fcntl.LOCK_EX | fcntl.LOCK_NB)
        fcntl.flock(alive, fcntl.LOCK_EX)
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    # An orphan in a session of its own: neither Ctrl-C nor the end of the worker that started it reaches it.
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            sweep(sys.argv[1])
    os._exit(0)
