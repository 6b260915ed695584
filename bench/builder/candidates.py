"""What people sign off and what is published: samples that the second model approved, and real cases."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.builder.build import Build
from bench.builder.directory import IMAGE, SOUND
from bench.builder.ledger import Kind
from bench.builder.state import Attempt, Slot
from bench.builder.writing import Texts, public_texts


@dataclass(frozen=True, kw_only=True, slots=True)
class Candidate:
    """A whole sample."""

    id: str
    texts: Mapping[str, Any]
    """Its JSON, in the fields of the public set."""
    image: Path
    image_content: str
    """Hash of the file, as it was written."""
    sound: Path
    sound_content: str
    provenance: Mapping[str, Any]
    """How it came to be."""

    @property
    def content(self) -> str:
        """Sixteen hex digits of all that people are shown: a decision holds for this content only."""
        plain = json.dumps([self.texts, self.image_content, self.sound_content], sort_keys=True, ensure_ascii=False)
        return hashlib.sha256(plain.encode()).hexdigest()[:16]


def candidates(build: Build) -> dict[str, Candidate]:
    """All there are, by id: those of slots in order of the plan, then real cases."""
    made = [_made(build, slot, slot.approved) for slot in build.state.slots.values() if slot.approved is not None]
    real = [_real(build, id_, case) for id_, case in build.state.cases.items()]
    return {one.id: one for one in (*made, *real)}


def _made(build: Build, slot: Slot, attempt: Attempt) -> Candidate:
    id_, done = slot.brief.id, attempt.done
    texts = Texts(**done[Kind.WRITTEN]["texts"])
    told = {
        "kind": "generated",
        "brief": slot.brief.to_json(),
        "attempts": attempt.number,
        "failures": [str(failure) for failure in slot.failures],
        "writer": {name: done[Kind.WRITTEN][name] for name in ("model", "prompt_version")},
        "image": {
            "prompt": texts.image_prompt,
            **{name: done[Kind.PICTURED][name] for name in ("model", "size", "seed")},
        },
        "speech": {name: done[Kind.SPOKEN][name] for name in ("model", "voice", "duration_s", "sample_rate_hz")},
        "verdict": {name: done[Kind.JUDGED][name] for name in ("model", "prompt_version", "grades", "reason")},
    }
    return Candidate(
        id=id_,
        texts=public_texts(slot.brief, texts),
        image=build.directory.attempt_file(id_, attempt.number, IMAGE),
        image_content=done[Kind.PICTURED]["content"],
        sound=build.directory.attempt_file(id_, attempt.number, SOUND),
        sound_content=done[Kind.SPOKEN]["content"],
        provenance=told,
    )


def _real(build: Build, id_: str, case: Mapping[str, Any]) -> Candidate:
    return Candidate(
        id=id_,
        texts=case["texts"],
        image=build.directory.case_file(id_, IMAGE),
        image_content=case["image_content"],
        sound=build.directory.case_file(id_, SOUND),
        sound_content=case["sound_content"],
        provenance={"kind": "real", **case["provenance"]},
    )
