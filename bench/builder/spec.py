"""Everything that decides how a set is built, read from YAML; `default.yaml` is a documented example to start from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from bench.builder.shares import LANGUAGES, Shares
from infra.config import build, layered, read_yaml
from infra.served.endpoint import Server

DEFAULT: Final = Path(__file__).parent / "default.yaml"


@dataclass(frozen=True, kw_only=True, slots=True)
class WriterConfig(Server):
    """The language model that writes the texts (paper: Qwen3)."""

    temperature: float = 0.9
    """Of sampling; high, because a set needs variety [our choice]."""
    max_tokens: int = 2048
    """Of one reply."""
    letters_per_s: Mapping[str, float] = field(default_factory=lambda: {"en": 17.5, "cn": 5.2})
    """Speech rate by language, which gives the length of a message for a wanted duration. The public set has 16.2–19.7
    letters of English a second."""
    length_tolerance: float = 0.25
    """A message may be longer or shorter than the rate asks for by this share [our choice]."""
    words_tolerance: float = 0.25
    """The same for the words of the English prompt [our choice]."""

    def __post_init__(self) -> None:
        """Refuse impossible values."""
        # dataclass(slots=True) makes a new class, which super() without arguments would miss.
        Server.__post_init__(self)
        if any(self.letters_per_s.get(language, 0.0) <= 0 for language in LANGUAGES):
            raise ValueError(f"letters_per_s needs a rate above 0 for each of {', '.join(LANGUAGES)}")
        if self.length_tolerance < 0 or self.words_tolerance < 0 or self.max_tokens < 1:
            raise ValueError("tolerances must be at least 0, and max_tokens at least 1")


@dataclass(frozen=True, kw_only=True, slots=True)
class ImageConfig(Server):
    """The text-to-image model (paper: HunyuanImage 3.0)."""

    response_format: str | None = "b64_json"
    """Sent as it is; None for servers that refuse the field. Answers by base64 and by address are both read."""
    send_seed: bool = False
    """Whether to send a `seed`, which OpenAI's own API refuses and most local servers accept."""
    extra: Mapping[str, Any] = field(default_factory=dict)
    """Further fields of the request, such as `quality`."""
    min_short_edge_px: int = 480
    """Images must be larger (paper, Sec. 4.1, of videos)."""
    aspect_tolerance: float = 0.1
    """Width over height may differ from what was asked for by this share."""
    min_contrast: float = 4.0
    """Standard deviation of grey values, 0 to 255, below which an image counts as blank [our choice]."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SpeechConfig(Server):
    """The text-to-speech model."""

    voices: Mapping[str, Sequence[str]]
    """`<language>_<gender>` → the server's voices; each slot takes one by its number. `unknown` is for animals."""
    singing_model: str | None = None
    """Of the same server, for slots of mode `sing`. Without one the share of `sing` must be 0."""
    extra: Mapping[str, Any] = field(default_factory=dict)
    """Further fields of the request, such as `speed`."""
    duration_tolerance_s: float = 1.0
    """Speech may be shorter or longer than the wanted span by this much [our choice]."""
    min_sample_rate_hz: int = 16000
    """SyncNet works at 16 kHz."""
    min_level_db: float = -50.0
    """Root mean square over full scale, below which sound counts as silent [our choice]."""


@dataclass(frozen=True, kw_only=True, slots=True)
class VerdictConfig(Server):
    """The second model, which judges what was made."""

    max_tokens: int = 1024
    """Of one reply."""
    long_edge_px: int = 1280
    """Pixels that the image is scaled down to for it."""
    min_grade: int = 3
    """Of 5; a lower grade in anything rejects, whatever the judge concludes [our choice]."""
    allow_same_model: bool = False
    """Let a model judge what it wrote."""


@dataclass(frozen=True, kw_only=True, slots=True)
class BuildSpec:
    """A set, and the models that make it."""

    name: str
    """Of the set."""
    target: int
    """Samples that the second model should approve (paper: 500, of which people then chose)."""
    seed: int = 0
    """Of the plan and of every request."""
    max_attempts: int = 6
    """A slot that has failed this often is given up and listed [our choice]."""
    workers: int = 4
    """Slots in work at the same time."""
    num_reviewers: int = 1
    """People who must approve a sample; a single rejection rejects it."""
    shares: Shares
    writer: WriterConfig
    image: ImageConfig
    speech: SpeechConfig
    verdict: VerdictConfig

    def __post_init__(self) -> None:
        """Refuse impossible values."""
        if min(self.target, self.max_attempts, self.workers, self.num_reviewers) < 1:
            raise ValueError("target, max_attempts, workers and num_reviewers must be at least 1")
        if self.verdict.model == self.writer.model and not self.verdict.allow_same_model:
            raise ValueError(
                f"{self.writer.model} would judge what it wrote: name another model under verdict, "
                "or set verdict.allow_same_model"
            )
        if self.shares.mode.get("sing", 0) > 0 and self.speech.singing_model is None:
            raise ValueError("shares.mode asks for singing: name speech.singing_model, or add real singing by hand")
        lacking = [name for name in self._voices_needed() if not self.speech.voices.get(name)]
        if lacking:
            raise ValueError(f"speech.voices has none for {', '.join(lacking)}")

    def _voices_needed(self) -> list[str]:
        shares = self.shares
        genders = [gender for gender, weight in shares.gender.items() if weight > 0]
        people = any(shares.subject.get(subject, 0) > 0 for subject in ("human", "animation"))
        needed = [*(genders if people else []), *(["unknown"] if shares.subject.get("animal", 0) > 0 else [])]
        return [f"{language}_{one}" for language, weight in shares.language.items() if weight > 0 for one in needed]


def read_spec(path: Path, overrides: Sequence[str] = ()) -> BuildSpec:
    """The spec of a YAML file, with `dotted.key=value` strings laid over it.

    Raises:
        ValueError: it cannot be read, or has an unknown key (the nearest is named) or an impossible value.
    """
    return build(BuildSpec, layered(overrides, read_yaml(path)), str(path))
