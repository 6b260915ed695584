"""`--to`: a repository of the Hub, or a folder."""

from __future__ import annotations

import argparse
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from infra.config import ConfigError

if TYPE_CHECKING:
    from infra.hub.pushed_file import PushedFile

CARD: Final = "README.md"
"""Name of the card, which the Hub shows as the repository's page."""


def add_destination(parser: argparse.ArgumentParser) -> None:
    """Add the options that say where to."""
    add = parser.add_argument
    add(
        "--to", required=True, metavar="OWNER/NAME|DIR",
        help="a repository of the Hugging Face Hub (its token: HF_TOKEN or `hf auth login`), or a folder that is "
        "new, empty or was pushed to before; write ./NAME for a folder where both could be meant",
    )  # fmt: skip
    add("--private", action="store_true", help="if the repository is made, make it private")
    add("--message", default="", help="of the commit in the repository")
    add(
        "--license",
        default="",
        metavar="ID",
        help="of what is pushed, e.g. apache-2.0; without it, the card gives none",
    )


def is_repository(to: str) -> bool:
    """Whether a name is a repository's, `OWNER/NAME`; otherwise it is a folder's, which may not exist yet.

    `out/model` has the form of a repository, but means a folder where there is a folder `out`.
    """
    if to.startswith((".", "/", "~")) or to.count("/") != 1 or to.endswith("/"):
        return False
    return not Path(to).exists() and not Path(to).parent.is_dir()


def push(
    files: Sequence[PushedFile], options: argparse.Namespace, *, kind: str, message: str, gone: Collection[str] = ()
) -> None:
    """Give files away as the options of `add_destination` say, and print where they are.

    Args:
        files: in the order in which a folder gets them.
        options: the command's.
        kind: `model` or `dataset`.
        message: of the commit, where the options have none.
        gone: names of files that an earlier push may have given, and that are deleted there.

    Raises:
        ConfigError, CommandFailedError, OSError: see `push_to_hub` and `push_to_folder`.
    """
    if is_repository(options.to):
        # Curating alone does not have the Hub's client.
        from infra.hub.repository import push_to_hub  # noqa: PLC0415

        address = push_to_hub(
            files, options.to, kind="dataset" if kind == "dataset" else "model",
            private=options.private, message=options.message or message, show=_show, gone=gone,
        )  # fmt: skip
        print(f"pushed  {address}")
        return
    if "://" in options.to:
        raise ConfigError(f"{options.to}: give OWNER/NAME of a repository, or a folder of this machine")
    if options.private or options.message:
        raise ConfigError("--private and --message are for a repository of the Hub; --to names a folder")
    # File systems take long to import, and a mistake is told before.
    from infra.hub.folder import push_to_folder  # noqa: PLC0415

    folder = Path(options.to).expanduser()
    written = push_to_folder(files, folder, _show, gone=gone)
    print(f"pushed  {folder} ({written:,} of {len(files):,} files written, the others were there)")


def _show(line: str) -> None:
    print(line, flush=True)
