"""Deletes the folder that processes share once the last of them is gone: `python node_copies_cleanup.py FOLDER`.

It detaches itself, waits until the last of those processes is gone, however it ended, and deletes the folder. It is run
as a file of its own, so that its process holds a bare interpreter and nothing that the workers import.
"""

import contextlib
import fcntl
import os
import sys

ALIVE = "alive"
"""Every process that uses the folder holds a shared lock on this file in it; the kernel drops the lock of a dead
process."""
CLEANER = "cleaner"
"""The one process that waits to delete the folder holds an exclusive lock on this file in it. It is there before
`ALIVE` is, and no cleaner makes it: one that came late would make half a folder anew."""


def clean_up(folder: str) -> None:
    """Wait for the last user and delete the folder; return at once if another cleaner waits already.

    It is moved aside before it is emptied, so that a user who comes late finds no folder rather than half of one. The
    two files that lock it go last: what a killed cleaner has left can be cleaned up.
    """
    with (
        contextlib.suppress(FileNotFoundError, BlockingIOError),
        open(os.path.join(folder, CLEANER)) as own,  # noqa: PTH118, PTH123 (pathlib is slow to import)
        open(os.path.join(folder, ALIVE)) as alive,  # noqa: PTH118, PTH123
    ):
        fcntl.flock(own, fcntl.LOCK_EX | fcntl.LOCK_NB)
        fcntl.flock(alive, fcntl.LOCK_EX)
        if os.path.samestat(os.fstat(alive.fileno()), os.stat(os.path.join(folder, ALIVE))):  # noqa: PTH116, PTH118
            aside = f"{folder}.{os.getpid()}"
            os.rename(folder, aside)  # noqa: PTH104
            for name in sorted(os.listdir(aside), key=(ALIVE, CLEANER).__contains__):  # noqa: PTH208
                os.unlink(os.path.join(aside, name))  # noqa: PTH108, PTH118
            os.rmdir(aside)  # noqa: PTH106


if __name__ == "__main__":
    # An orphan in a session of its own: neither Ctrl-C nor the end of the worker that started it reaches it.
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            clean_up(sys.argv[1])
    os._exit(0)
