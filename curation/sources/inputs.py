"""What a run was made of: the roots of its inputs, remembered in `RUN/inputs.json`."""

from __future__ import annotations

import json

from curation.sources.listing import local_path
from curation.sources.plain import spelled_out
from infra.config import ConfigError
from infra.storage.files import is_local, join, read_bytes, store_errors, write_atomically

INPUTS_FILE = "inputs.json"


def other_inputs(run: str, location: str, *, remember: bool) -> str | None:
    """A line for people when a run gets an input other than those that it was begun with; None when it is one of them.

    Args:
        run: the run directory.
        location: the input as it was given; one that lies within a remembered directory is nothing new.
        remember: write it down. This is a run's first write, so it also shows whether the directory can be written.

    Raises:
        ConfigError: the file is damaged.
        OSError: the run directory cannot be written.
    """
    try:
        with store_errors():
            return _compare(run, _root(location), remember=remember)
    except OSError as error:
        raise OSError(f"cannot write to {run}: {error.strerror or error}") from error


def _compare(run: str, root: str, *, remember: bool) -> str | None:
    roots = _roots(run)
    if any(root == known or root.startswith(f"{known.rstrip('/')}/") for known in roots):
        if remember:
            _write(run, roots)
        return None
    if remember:
        _write(run, [*roots, root])
    if not roots:
        return None
    return (
        f"{run} was begun with {', '.join(roots)}; what is in {root} is added to it. Use another --run to keep "
        "them apart."
    )


def _roots(run: str) -> list[str]:
    path = join(run, INPUTS_FILE)
    try:
        document = json.loads(read_bytes(path))
        return [str(root) for root in document["roots"]]
    except (FileNotFoundError, NotADirectoryError):
        return []
    except (ValueError, KeyError, TypeError) as error:
        raise ConfigError(f"{path} is damaged ({error}): delete it, or use another --run") from error


def _root(location: str) -> str:
    """One spelling of an input, whatever directory the command was called in."""
    return spelled_out(local_path(location)) if is_local(location) else location.rstrip("/")


def _write(run: str, roots: list[str]) -> None:
    write_atomically(join(run, INPUTS_FILE), json.dumps({"roots": roots}, indent=1, ensure_ascii=False).encode())
