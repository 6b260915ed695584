"""The description of a performance: the person, and the head's motion, which no single picture shows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from bench.studies.talking_faces.identity import Identity
from bench.studies.talking_faces.performance import HeadMotion

MOTION_WORDS: Final[Mapping[HeadMotion, str]] = {
    HeadMotion.STILL: "holding the head still",
    HeadMotion.NODDING: "nodding up and down",
    HeadMotion.SHAKING: "shaking from side to side",
}


def captions(identity: Identity, motion: HeadMotion) -> tuple[str, ...]:
    """The detailed and the brief caption."""
    words = MOTION_WORDS[motion]
    return (
        f"a person with {identity.skin.name} skin, {identity.hair.name} hair and a {identity.shirt.name} shirt talks "
        f"in front of a {identity.background.name} wall, {words}",
        f"a person with {identity.hair.name} hair talks, {words}",
    )
