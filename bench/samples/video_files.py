"""Which file of a method's directory is the video of a sample: `<id>` with any of the usual suffixes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

SUFFIXES: Final = (
    *(".mp4", ".mov", ".m4v", ".webm", ".mkv", ".avi", ".ts", ".m2ts", ".mpg", ".mpeg", ".vob", ".flv", ".wmv"),
    *(".ogv", ".3gp"),
)
"""Accepted suffixes, in lower or upper case. Of two files of one sample, the suffix that comes first here is taken."""
PLAYED: Final = (".mp4", ".mov", ".m4v", ".webm", ".ogv")
"""Suffixes of videos that browsers play."""
UNFINISHED: Final = (".part", ".tmp", ".crdownload", ".download")
"""Suffixes by which programs mark files that they have not finished writing."""
OURS: Final = (".made.json", "errors.log")
"""What `bench generate` puts beside its videos."""


@dataclass(frozen=True, kw_only=True, slots=True)
class VideoFiles:
    """A method's videos."""

    found: Mapping[str, Path]
    """By id of the sample."""
    rivals: Mapping[str, tuple[str, ...]]
    """Of samples that several files claim: all of their names, the one taken first."""
    others: Mapping[str, int]
    """Files that are no video of a sample: what they are → how many."""

    def notes(self, ids: Iterable[str]) -> list[str]:
        """What a person should know before anything is scored, a line each."""
        lines = [
            f"{names[0]} is taken for sample {id_}, and not {', '.join(names[1:])}"
            for id_, names in self.rivals.items()
        ]
        num_missing = sum(id_ not in self.found for id_ in ids)
        if self.found and num_missing and self.others:
            lines.append(f"{num_missing} of the samples without a video, but {self.told_others()}. {TAKEN}")
        return lines

    def told_others(self) -> str:
        """The other files, in words."""
        if not self.others:
            return "no other file is there"
        counted = ", ".join(f"{count} {what}" for what, count in self.others.items())
        num = sum(self.others.values())
        return f"{num} other {'file is' if num == 1 else 'files are'} there ({counted})"


TAKEN: Final = f"Videos are named <id> with one of {', '.join(SUFFIXES)}"


def video_files(directory: Path, ids: Iterable[str]) -> VideoFiles:
    """The videos of these samples that a directory holds; hidden files and directories in it are passed over.

    Raises:
        ValueError: there is no such directory, or it cannot be read.
    """
    try:
        paths = sorted(path for path in directory.iterdir() if not path.name.startswith(".") and path.is_file())
    except (FileNotFoundError, NotADirectoryError) as error:
        raise ValueError(f"no directory of videos at {directory}") from error
    except OSError as error:
        raise ValueError(f"{directory} cannot be read ({error.strerror})") from error
    wanted = set(ids)
    claims: dict[str, list[Path]] = {}
    others: Counter[str] = Counter()
    for path in paths:
        if path.suffix.lower() in SUFFIXES and path.stem in wanted:
            claims.setdefault(path.stem, []).append(path)
        elif not path.name.endswith(OURS):
            others[_kind(path)] += 1
    ordered = {id_: sorted(files, key=_preference) for id_, files in claims.items()}
    return VideoFiles(
        found={id_: files[0] for id_, files in ordered.items()},
        rivals={id_: tuple(path.name for path in files) for id_, files in ordered.items() if len(files) > 1},
        others=dict(others.most_common()),
    )


def _preference(path: Path) -> tuple[int, bool, str]:
    suffix = path.suffix.lower()
    return SUFFIXES.index(suffix), path.suffix != suffix, path.name


def _kind(path: Path) -> str:
    """What kind of file it is, for one that is not a sample's video."""
    if any(mark in (suffix.lower() for suffix in path.suffixes) for mark in UNFINISHED):
        return "half-written"
    if path.suffix.lower() in SUFFIXES:
        return "of no sample"
    return path.suffix or "without an ending"
