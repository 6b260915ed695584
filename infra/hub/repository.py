"""Repositories of the Hugging Face Hub, by its own client, which takes up what it has sent before."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final, Literal

from huggingface_hub import CommitOperationDelete, HfApi, get_token
from huggingface_hub.errors import HfHubHTTPError, HFValidationError
from huggingface_hub.hf_api import RepoFile
from huggingface_hub.utils._validators import validate_repo_id
from huggingface_hub.utils.tqdm import disable_progress_bars, enable_progress_bars

from infra.command_line import CommandFailedError
from infra.config import ConfigError
from infra.hub.client import endpoint, is_ours, said
from infra.hub.pushed_file import PushedFile

Kind = Literal["model", "dataset"]

BATCH_BYTES: Final = 8 << 30
"""Files from an object store are fetched and sent so many bytes at a time; they lie in TMPDIR meanwhile."""
REFUSED: Final = frozenset({401, 403})


def push_to_hub(
    files: Sequence[PushedFile],
    repository: str,
    *,
    kind: Kind,
    private: bool,
    message: str,
    show: Callable[[str], None],
    gone: Collection[str] = (),
) -> str:
    """Send files to a repository, which is made if need be. What the Hub has already is not sent again.

    Args:
        files: what is sent; files of other names stay as they are, but for those that are gone.
        repository: `OWNER/NAME`.
        kind: what the repository is.
        private: whether a repository that is made is private.
        message: of the commit.
        show: given a line on what is about to take long.
        gone: names of files that an earlier push may have sent; they are deleted once the others are there.

    Returns:
        The repository's address.

    Raises:
        ConfigError: it is no name of a repository, there is no token, or the Hub refuses it.
        CommandFailedError: the Hub does not answer, or broke off; the same call goes on.
        OSError: a file could not be read.
    """
    api = HfApi(endpoint=endpoint())
    with _in_one_line(repository, api.endpoint):
        validate_repo_id(repository)
        if get_token() is None:
            raise ConfigError("no token for the Hub: set HF_TOKEN, or log in once with `hf auth login`")
        address = api.create_repo(repository, repo_type=kind, private=private or None, exist_ok=True)
        show(f"sending  {len(files):,} files to {address}")
        for batch in _batches(_lacking(files, api, repository, kind)):
            with tempfile.TemporaryDirectory(prefix="soul-push-") as folder, _bars():
                for file in batch:
                    file.write(Path(folder) / file.name, link=True)
                api.upload_folder(repo_id=repository, repo_type=kind, folder_path=folder, commit_message=message)
        if gone and (old := sorted(_there(api, repository, kind).keys() & set(gone))):
            show(f"deleting  {len(old):,} files that were pushed before")
            deletions = [CommitOperationDelete(path_in_repo=name) for name in old]
            api.create_commit(repository, deletions, repo_type=kind, commit_message=message)
    return str(address)


def _lacking(files: Sequence[PushedFile], api: HfApi, repository: str, kind: Kind) -> list[PushedFile]:
    """The files without those of an object store that the Hub has: these would be fetched to be compared."""
    if not any(file.is_far for file in files):
        return list(files)
    there = _there(api, repository, kind)
    return [file for file in files if not (file.is_far and there.get(file.name) == file.size())]


def _there(api: HfApi, repository: str, kind: Kind) -> dict[str, int]:
    """Sizes of the files that the Hub has, in bytes, by name."""
    tree = api.list_repo_tree(repository, repo_type=kind, recursive=True)
    return {entry.path: entry.size for entry in tree if isinstance(entry, RepoFile)}


def _batches(files: Sequence[PushedFile]) -> Iterator[list[PushedFile]]:
    """The files in turn, in groups whose files from an object store have about `BATCH_BYTES`."""
    batch: list[PushedFile] = []
    fetched = 0
    for file in files:
        batch.append(file)
        fetched += file.size() if file.is_far else 0
        if fetched >= BATCH_BYTES:
            yield batch
            batch, fetched = [], 0
    if batch:
        yield batch


@contextmanager
def _bars() -> Iterator[None]:
    """Inside, the client draws its progress on a terminal only."""
    if sys.stderr.isatty():
        yield
        return
    disable_progress_bars()
    try:
        yield
    finally:
        enable_progress_bars()


@contextmanager
def _in_one_line(repository: str, address: str) -> Iterator[None]:
    try:
        yield
    except (ConfigError, CommandFailedError):
        raise
    except HFValidationError as error:
        raise ConfigError(f"{repository} is no name of a repository: {said(error)}") from error
    except HfHubHTTPError as error:
        status = error.response.status_code
        if status in REFUSED:
            raise ConfigError(
                f"{address} refuses to let this token write to {repository} ({status}): {said(error)}"
            ) from error
        raise CommandFailedError(f"{address}: {repository}: {said(error)}; the same command goes on") from error
    except Exception as error:
        if is_ours(error):
            raise
        raise CommandFailedError(f"{address}: {repository}: {said(error)}; the same command goes on") from error
