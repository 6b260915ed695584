"""Publishing a set: the samples that people signed off, in the public layout, beside a manifest.

The manifest says what each sample is, how it was made, and what has changed since the last version.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from bench.builder.build import IMAGE, SOUND, Build, content_hash, holds
from bench.builder.candidates import Candidate, SignOff, Standing, candidates, sign_offs
from bench.builder.options import Unsigned
from bench.builder.spec import BuildSpec
from infra.storage.files import write_atomically

PENDING: Final = ".publishing"
"""File with the ids of samples that are written or about to be; it is removed once the manifest is written."""
MAX_NAMED: Final = 5


@dataclass(frozen=True, kw_only=True, slots=True)
class Published:
    """The result of publishing."""

    manifest: Mapping[str, Any]
    is_new: bool
    """Whether this is a new version; False where the set has not changed."""


def publish(build: Build, out: Path, unsigned: Unsigned = Unsigned.REFUSE) -> Published:
    """Write `out/samples/` and `out/manifest.json`.

    The same set gives the same bytes and keeps its version; a changed set becomes the next version. Files are written
    before the manifest: if publishing is interrupted between the two, publishing again makes them agree.

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
    """Samples in `out` that this build published, or was publishing when it was killed.

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


FORMAT: Final = 1
"""Version of the manifest's format."""
OPERATIONAL: Final = frozenset({"url", "key_variable", "timeout_s", "workers"})
"""Fields of a spec that say where and how fast a set is made, and do not shape it."""


def manifest_body(
    build: Build,
    chosen: Mapping[str, Candidate],
    standing: Mapping[str, SignOff],
) -> dict[str, Any]:
    """The manifest without version and changes, in the types that reading JSON gives."""
    samples = {
        id_: {
            "files": published_files(candidate),
            "signed_by": sorted(decision.reviewer for decision in standing[id_].decisions),
            "is_signed": standing[id_].standing is Standing.SIGNED,
            "provenance": candidate.provenance,
        }
        for id_, candidate in chosen.items()
    }
    given_up = build.state.given_up(build.spec.max_attempts)
    left_out = {
        "given_up": {slot.brief.id: str(slot.failures[-1]) for slot in given_up},
        "in_work": [slot.brief.id for slot in build.state.open(build.spec.max_attempts)],
        "rejected": {id_: str(one) for id_, one in standing.items() if one.standing is Standing.REJECTED},
        "undecided": [id_ for id_, one in standing.items() if one.standing is Standing.OPEN and id_ not in chosen],
    }
    spec = {"hash": _spec_hash(build.spec), "plan": build.plan, "target": build.spec.target, "seed": build.spec.seed}
    body = {"format": FORMAT, "name": build.spec.name, "spec": spec, "num_samples": len(samples)}
    plain: dict[str, Any] = json.loads(to_text({**body, "samples": samples, "left_out": left_out}))
    return plain


def next_version(body: Mapping[str, Any], before: Mapping[str, Any] | None) -> dict[str, Any]:
    """The manifest of the version after `before`: the body, with what has changed."""
    old = {} if before is None else before["samples"]
    new = body["samples"]
    changes = {
        "since": None if before is None else before["version"],
        "added": sorted(set(new) - set(old)),
        "removed": sorted(set(old) - set(new)),
        "changed": sorted(id_ for id_ in set(new) & set(old) if new[id_] != old[id_]),
    }
    return {"version": 1 if before is None else before["version"] + 1, "changes": changes, **body}


def published_files(candidate: Candidate) -> dict[str, str]:
    """Name → hash of a sample's three files, as they are published."""
    return {
        f"{candidate.id}.json": content_hash(to_text(candidate.texts).encode()),
        f"{candidate.id}.{IMAGE}": candidate.image_content,
        f"{candidate.id}.{SOUND}": candidate.sound_content,
    }


def read_manifest(path: Path, build: Build) -> dict[str, Any] | None:
    """The manifest that is there, None where there is none.

    Raises:
        ValueError: it is not a manifest, or not this build's.
    """
    if not path.is_file():
        return None
    try:
        manifest: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        plan, is_whole = manifest["spec"]["plan"], {"version", "samples"} <= manifest.keys()
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{path} is not the manifest of a set") from error
    if not is_whole:
        raise ValueError(f"{path} is not the manifest of a set")
    if plan != build.plan:
        raise ValueError(f"{path} is of another build; publish this one elsewhere (--out)")
    return manifest


def to_text(plain: Any) -> str:
    """JSON as published files have it: equal values give equal bytes."""
    return json.dumps(plain, ensure_ascii=False, indent=1) + "\n"


def _spec_hash(spec: BuildSpec) -> str:
    """Twelve hex digits of everything in a spec that shapes the set: all fields but the `OPERATIONAL` ones."""

    def shaping(plain: Mapping[str, Any]) -> dict[str, Any]:
        kept = {name: value for name, value in plain.items() if name not in OPERATIONAL}
        return {name: shaping(value) if isinstance(value, Mapping) else value for name, value in kept.items()}

    plain = json.dumps(shaping(dataclasses.asdict(spec)), sort_keys=True)
    return content_hash(plain.encode())[:12]
