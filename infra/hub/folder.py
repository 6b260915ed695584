"""A folder of the form of a repository: the same files under the same names."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from pathlib import Path

from infra.config import ConfigError
from infra.hub.pushed_file import PushedFile, is_part


def push_to_folder(
    files: Sequence[PushedFile], folder: Path, show: Callable[[str], None], *, gone: Collection[str] = ()
) -> int:
    """Write files into a folder. What an earlier call has written whole is left as it is.

    Args:
        files: in the order in which they are written.
        folder: new, empty, or written before with files of these names only.
        show: given a line for each file that is written.
        gone: names of files that an earlier call may have written; they are deleted once the others are there.

    Returns:
        How many files were written.

    Raises:
        ConfigError: the folder is a file, or holds something else.
        OSError: a file could not be written; the same call goes on.
    """
    _check({file.name for file in files}, folder, gone)
    written = 0
    for number, file in enumerate(files, 1):
        target = folder / file.name
        if not file.is_whole(target):
            file.write(target)
            written += 1
            show(f"{number} of {len(files)}  {file.name}")
    for name in gone:
        (folder / name).unlink(missing_ok=True)
    return written


def _check(known: Collection[str], folder: Path, gone: Collection[str]) -> None:
    if folder.exists() and not folder.is_dir():
        raise ConfigError(f"{folder} is a file: give a folder that is new, empty, or was pushed to before")
    for path in sorted(folder.rglob("*")):
        if path.is_dir():
            continue
        if is_part(path):
            path.unlink()
        elif (name := path.relative_to(folder).as_posix()) not in known and name not in gone:
            raise ConfigError(
                f"{folder} holds something else ({name}): give a folder that is new, empty, or was pushed to before"
            )
