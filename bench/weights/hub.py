"""Repositories of the Hugging Face Hub, by its own client; every large file is held against the Hub's checksum."""

from __future__ import annotations

from pathlib import Path

from huggingface_hub import HfApi, snapshot_download
from huggingface_hub.utils.tqdm import disable_progress_bars

from bench.weights.source import Content, HubWeights, NotFetchedError
from infra.hub.client import endpoint, is_ours, said


def fetch(weights: HubWeights, models: Path, *, shows_progress: bool) -> Path:
    """Download a repository's files, or what is lacking of them, and check them; returns their folder.

    Raises:
        NotFetchedError: the Hub does not answer or refuses, or a file is not what the Hub says.
        OSError: a file cannot be written.
    """
    if not shows_progress:
        disable_progress_bars()
    patterns = list(weights.patterns) or None
    try:
        info = HfApi(endpoint=endpoint()).model_info(weights.repository, files_metadata=True)
        folder = Path(
            snapshot_download(
                weights.repository,
                revision=info.sha,
                allow_patterns=patterns,
                local_dir=None if weights.folder is None else models / weights.folder,
                endpoint=endpoint(),
            )
        )
    except Exception as error:
        if is_ours(error):
            raise
        raise NotFetchedError(f"{weights.origin}: {said(error)}") from error
    known = {file.rfilename: file for file in info.siblings or []}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        file = known.get(name)
        if file is not None and file.lfs is not None and path.is_file():
            problem = Content(size=file.lfs.size, sha256=file.lfs.sha256).problem(path)
            if problem is not None:
                path.unlink()
                raise NotFetchedError(f"{path} is damaged: {problem}; the same command gets it again")
    return folder
