"""Publishing a set: the samples in the public layout beside their manifest, without what people have not signed."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from bench.builder.build import Build
from bench.builder.candidates import Candidate, candidates
from bench.builder.decisions import SignOff, Standing, sign_offs
from bench.builder.directory import IMAGE, SOUND, content_hash, holds
from bench.builder.manifest import manifest_body, next_version, published_files, read_manifest, to_text
from bench.builder.unsigned import Unsigned
from infra.storage.files import write_atomically

PENDING: Final = ".publishing"
"""File with the ids that lie there or are about to: it is gone once the manifest tells."""
MAX_NAMED: Final = 5


@dataclass(frozen=True, kw_only=True, slots=True)
class Published:
    """What publishing did."""

    manifest: Mapping[str, Any]
    is_new: bool
    """Whether this is a version of its own; False where the set is as it was."""


def publish(build: Build, out: Path, unsigned: Unsigned = Unsigned.REFUSE) -> Published:
    """Write `out/samples/` and `out/manifest.json`.

    The same set gives the same bytes and keeps its version; another set is the next version. Files are written before
    the manifest, so a manifest that is there describes what lies beside it, or publishing again makes it so.

    Raises:
        ValueError: samples are undecided, there are none, a file is missing or damaged, or `out` holds another set.
    """
    shown = candidates(build)
    standing = sign_offs(shown, build.state.signed, build.spec.num_reviewers)
    chosen = _chosen(shown, standing, unsigned)
    before = read_manifest(out / "manifest.json", build)
    body = manifest_body(build, chosen, standing)
    is_new = before is None or any(before.get(name) != value for name, value in body.items())
    manifest = next_version(body, before) if before is None or is_new else before
    ours = _ours(out, before)
    write_atomically(str(out / PENDING), json.dumps(sorted({*ours, *chosen})).encode())
    for candidate in chosen.values():
        _write_sample(out / "samples", candidate)
    for id_ in ours - set(chosen):
        for suffix in ("json", IMAGE, SOUND):
            (out / "samples" / f"{id_}.{suffix}").unlink(missing_ok=True)
    write_atomically(str(out / "manifest.json"), to_text(manifest).encode())
    (out / PENDING).unlink()
    return Published(manifest=manifest, is_new=is_new)


def _ours(out: Path, before: Mapping[str, Any] | None) -> set[str]:
    """Samples there that this build published, or was about to when it was killed.

    Raises:
        ValueError: there are others, which must not be mixed with ours.
    """
    pending = out / PENDING
    known = set(json.loads(pending.read_text())) if pending.is_file() else set()
    known |= set() if before is None else set(before["samples"])
    others = {path.stem for path in (out / "samples").glob("*.json")} - known
    if others:
        raise ValueError(f"{out / 'samples'} holds {min(others)}, which is not of this set; publish elsewhere (--out)")
    return known


def _chosen(
    shown: Mapping[str, Candidate], standing: Mapping[str, SignOff], unsigned: Unsigned
) -> dict[str, Candidate]:
    undecided = [id_ for id_ in shown if standing[id_].standing is Standing.OPEN]
    if undecided and unsigned is Unsigned.REFUSE:
        more = f" and {len(undecided) - MAX_NAMED} more" if len(undecided) > MAX_NAMED else ""
        raise ValueError(
            f"{len(undecided)} samples are not signed off ({', '.join(undecided[:MAX_NAMED])}{more}): "
            "finish `build review` and `build sign-off`, or say --unsigned leave-out or include"
        )
    wanted = {Standing.SIGNED, Standing.OPEN} if unsigned is Unsigned.INCLUDE else {Standing.SIGNED}
    chosen = {id_: one for id_, one in sorted(shown.items()) if standing[id_].standing in wanted}
    if not chosen:
        raise ValueError("there is no sample to publish")
    return chosen


def _write_sample(folder: Path, candidate: Candidate) -> None:
    files = published_files(candidate)
    sources = {"json": None, IMAGE: candidate.image, SOUND: candidate.sound}
    for (name, content), source in zip(files.items(), sources.values(), strict=True):
        if holds(folder / name, content):
            continue
        data = to_text(candidate.texts).encode() if source is None else _read(candidate, source)
        if content_hash(data) != content:
            raise ValueError(f"{candidate.id}: {source} is not what it was when it was made")
        write_atomically(str(folder / name), data)


def _read(candidate: Candidate, path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ValueError(f"{candidate.id}: {path} cannot be read ({error.strerror})") from error
