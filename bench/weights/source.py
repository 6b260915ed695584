"""Where a metric's weights come from, as the metric declares it: address, licence, size, checksums, place."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Final

MODELS: Final = Path("models")
"""Folder of weights, below the working directory: where they are put, and where metrics look for them."""


class NotFetchedError(Exception):
    """Weights could not be had; the message is one line."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Content:
    """What a file must hold."""

    size: int
    """Bytes."""
    sha256: str

    def problem(self, path: Path) -> str | None:
        """Why a file is another one; None where it is this one."""
        size = path.stat().st_size
        if size != self.size:
            return f"{size:,} bytes in place of {self.size:,}"
        with path.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
        return None if found == self.sha256 else f"its SHA-256 is {found[:16]}…, not {self.sha256[:16]}…"

    def is_in(self, path: Path) -> bool:
        """Whether a file is there and holds this."""
        return path.is_file() and self.problem(path) is None


@dataclass(frozen=True, kw_only=True, slots=True)
class WebFile:
    """One file as a metric reads it."""

    path: str
    """Below the folder of weights."""
    content: Content
    member: str | None = None
    """Its name in the zip that is downloaded, whatever folder it lies in there; None where the download is the file."""


@dataclass(frozen=True, kw_only=True, slots=True)
class WebWeights:
    """Files at an address of their authors."""

    url: str
    licence: str
    download: Content
    """What the address gives."""
    files: tuple[WebFile, ...]

    @property
    def name(self) -> str:
        """The download's file name."""
        return self.url.rpartition("/")[2]

    @property
    def size_text(self) -> str:
        """Size of the download."""
        return size_text(self.download.size)

    @property
    def origin(self) -> str:
        """Where they come from."""
        return self.url

    def places(self, models: Path) -> list[Path]:
        """Where the files go."""
        return [models / file.path for file in self.files]

    def are_there(self, models: Path) -> bool:
        """Whether every file is in its place and holds what it should."""
        return all(file.content.is_in(models / file.path) for file in self.files)


@dataclass(frozen=True, kw_only=True, slots=True)
class HubWeights:
    """A repository on the Hugging Face Hub, whose own metadata has sizes and checksums."""

    repository: str
    licence: str
    about_bytes: int
    """About how much is downloaded."""
    patterns: tuple[str, ...] = ()
    """Files that are taken; all where there are none."""
    folder: str | None = None
    """Below the folder of weights; None for the Hub's cache, where servers look for them by the repository's name."""
    only_if_named: str = ""
    """Why they are left out unless their metric is named; empty where they are not."""

    @property
    def name(self) -> str:
        """The repository's name."""
        return self.repository

    @property
    def size_text(self) -> str:
        """About the size of the download."""
        return f"about {size_text(self.about_bytes)}"

    @property
    def origin(self) -> str:
        """Where they come from."""
        return f"Hugging Face Hub: {self.repository}"


Weights = WebWeights | HubWeights


def size_text(num_bytes: int) -> str:
    """A size in the unit that suits it."""
    if num_bytes >= 10**9:
        return f"{num_bytes / 1e9:,.0f} GB" if num_bytes >= 10**10 else f"{num_bytes / 1e9:.1f} GB"
    return f"{num_bytes / 1e6:,.1f} MB"
