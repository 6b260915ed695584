"""The manifest of a published set: what each sample is, how it came to be, and what changed since the last version."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from bench.builder.build import Build
from bench.builder.candidates import Candidate
from bench.builder.decisions import SignOff, Standing
from bench.builder.directory import IMAGE, SOUND, content_hash
from bench.builder.spec import BuildSpec

FORMAT: Final = 1
"""Of the manifest."""
OPERATIONAL: Final = frozenset({"url", "key_variable", "timeout_s", "workers"})
"""Fields of a spec that tell where and how fast, not what."""


def manifest_body(
    build: Build,
    chosen: Mapping[str, Candidate],
    standing: Mapping[str, SignOff],
) -> dict[str, Any]:
    """The manifest but for version and changes; as JSON gives it back."""
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
    """The body as the version after `before`, with what changed."""
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
        ValueError: it is of something else.
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
    """Twelve hex digits of all in a spec that shapes the set; where and how fast it was made does not."""

    def shaping(plain: Mapping[str, Any]) -> dict[str, Any]:
        kept = {name: value for name, value in plain.items() if name not in OPERATIONAL}
        return {name: shaping(value) if isinstance(value, Mapping) else value for name, value in kept.items()}

    plain = json.dumps(shaping(dataclasses.asdict(spec)), sort_keys=True)
    return content_hash(plain.encode())[:12]
