"""The questions' wording: YAML files beside this module, each with a version."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Final

from infra.config import ConfigError, build, read_yaml

PROMPTS: Final = Path(__file__).parent / "prompts"


@dataclass(frozen=True, kw_only=True, slots=True)
class Prompt:
    """One file."""

    version: str
    """Raised whenever a word changes."""
    text: str
    """What the model is told; a name in braces is filled in."""
    items: Mapping[str, str] = field(default_factory=dict)
    """What it is asked about, one by one: an attribute, a defect or a kind of claim, each with its wording."""

    def __post_init__(self) -> None:
        if not self.version.strip() or not self.text.strip():
            raise ValueError("a prompt needs a version and a text")

    @property
    def listed(self) -> str:
        """The text with the items below it, a line each."""
        lines = (f"- {name}: {' '.join(wording.split())}" for name, wording in self.items.items())
        return "\n".join((self.text.strip(), *lines))


@cache
def load_prompt(name: str) -> Prompt:
    """The prompt of a name.

    Raises:
        ConfigError: there is none, or the file has something else than a version, a text and items.
    """
    path = PROMPTS / f"{name}.yaml"
    if not path.is_file():
        raise ConfigError(
            f"no prompt {name!r}; there are {', '.join(sorted(file.stem for file in PROMPTS.glob('*.yaml')))}"
        )
    return build(Prompt, read_yaml(path), str(path))


def wording_of(names: Iterable[str]) -> str:
    """What tells one wording of some prompts from another: versions for people, and a hash that sees every word."""
    prompts = {name: load_prompt(name) for name in names}
    words = hashlib.sha256(repr([(p.version, p.text, sorted(p.items.items())) for p in prompts.values()]).encode())
    versions = " ".join(f"{name}-{prompt.version}" for name, prompt in prompts.items())
    return f"{versions} {words.hexdigest()[:8]}"
