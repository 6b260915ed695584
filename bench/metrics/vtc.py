"""Video–text consistency: a judge model behind an OpenAI-compatible endpoint says how well a video follows its prompt.

The paper names the judge (Qwen3-VL-235B-A22B-Instruct) and not its prompt; ours is versioned and part of the protocol.
Good methods all get grades of 4 to 5, so the expectation over the digits' probabilities is given beside the digit.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from bench.metrics.metric import Input, Metric, NoValueError, Outcome, VideoInput
from bench.metrics.timing import length_s
from bench.values import Better, Value
from bench.weights.source import HubWeights, Weights
from curation.media import Frame, sample_frames
from infra.served import endpoint
from infra.served.chat import first_choice, image_part, text_part
from infra.served.endpoint import NotNowError

REVISION = 1
"""Raised whenever the code gives other numbers for the same settings."""
PROMPT_VERSION = "1"
"""Raised whenever a word of the prompt changes."""
PROMPT = """\
These are {count} frames of one video in order of time, each with its time in seconds. The video was generated from a \
portrait image, a speech recording and this description:

"{description}"

Compare what the frames show with what the description asks for: the person and their look, what they do, the objects \
they handle, the place, the camera and the mood. Leave picture quality and lip sync aside. Do not hold what frames \
cannot show, such as words spoken, against the video.

5 = everything asked for is there; 4 = a small detail is missing or different; 3 = something that matters is missing \
or different; 2 = only the rough subject fits; 1 = it shows something else.

Answer with one digit, 1, 2, 3, 4 or 5, and nothing else."""
DIGITS = "12345"
JUDGE = "Qwen/Qwen3-VL-235B-A22B-Instruct"


@dataclass(frozen=True, kw_only=True, slots=True)
class JudgeConfig:
    """The judge and what it is shown."""

    url: str | None = None
    """Of the OpenAI-compatible API, up to and with `/v1`."""
    model: str = JUDGE
    """The paper's judge."""
    key_variable: str = "OPENAI_API_KEY"
    """Environment variable that holds the endpoint's key, where it wants one."""
    num_frames: int = 16
    """Frames shown, evenly spread [our choice]."""
    short_edge: int = 448
    """Pixels that frames are scaled down to [our choice]."""
    timeout_s: float = 120.0
    """Of one answer."""

    def __post_init__(self) -> None:
        """Refuse impossible values."""
        if self.url is not None:
            endpoint.check_url(self.url)
        if self.num_frames < 1 or self.short_edge < 1 or self.timeout_s <= 0:
            raise ValueError("num_frames and short_edge must be at least 1, timeout_s above 0")


class VideoTextConsistency(Metric):
    """The judge's grade from 1 to 5."""

    name: ClassVar[str] = "vtc"
    needs: ClassVar[tuple[str, ...]] = ("a vision-language model behind an OpenAI-compatible endpoint (--judge-url)",)
    weights: ClassVar[tuple[Weights, ...]] = (
        HubWeights(
            repository=JUDGE,
            licence="Apache-2.0",
            about_bytes=471_000_000_000,
            only_if_named="they are for a server with many GPUs; any endpoint that serves the judge will do",
        ),
    )
    values: ClassVar[tuple[Value, ...]] = (
        Value(name="vtc", better=Better.HIGHER, unit="", about="the judge's grade, 1 to 5"),
        Value(
            name="vtc_expected",
            better=Better.HIGHER,
            unit="",
            about="the grade expected over the digits' probabilities (where the endpoint gives them)",
        ),
    )
    inputs: ClassVar[frozenset[Input]] = frozenset({Input.PROMPT})

    def __init__(self, config: JudgeConfig | None = None) -> None:
        self.config = config or JudgeConfig()

    @property
    def parameters(self) -> Mapping[str, Any]:
        """Prompt, model and what is shown; not where the model is served."""
        config = self.config
        shown = {"num_frames": config.num_frames, "short_edge": config.short_edge}
        return {"revision": REVISION, "prompt": PROMPT_VERSION, "text": PROMPT, "model": config.model, **shown}

    def available(self) -> str | None:
        """Ask the endpoint what it serves."""
        how = f"serve {self.config.model} (vllm serve {self.config.model}) and pass --judge-url http://HOST:8000/v1"
        if self.config.url is None:
            return f"no judge: {how}"
        try:
            served = endpoint.served_models(self.config.url, key=self._key())
        except NotNowError as error:
            return f"no judge at {self.config.url}: {error}; {how}"
        if self.config.model not in served:
            return f"{self.config.url} serves {', '.join(served)}, not {self.config.model}; name one by --judge-model"
        return None

    def measure(self, video: VideoInput) -> Outcome:
        """See the class."""
        if not video.sample.prompt:
            raise NoValueError("no prompt")
        frames = spread_frames(video, self.config.num_frames, self.config.short_edge)
        answer = endpoint.post(
            f"{self.config.url}/chat/completions",
            {
                "model": self.config.model,
                "messages": [{"role": "user", "content": _content(frames, video.sample.prompt)}],
                "temperature": 0,
                "max_tokens": 8,
                "logprobs": True,
                "top_logprobs": 20,
            },
            timeout_s=self.config.timeout_s,
            key=self._key(),
        )
        choice, reply = first_choice(answer)
        found = re.fullmatch(r"\D*([1-5])\D*", reply)
        tokens = ((choice.get("logprobs") or {}).get("content")) or []
        kept = {"reply": reply, "usage": answer.get("usage"), "frames_s": [round(f.time_s, 3) for f in frames]}
        if found is None:
            raise NoValueError("the judge gave no grade", **kept)
        values = {"vtc": float(found[1])}
        grades = digit_probabilities(tokens)
        if grades:
            values["vtc_expected"] = sum(int(digit) * share for digit, share in grades.items())
        return Outcome(values=values, detail={**kept, "probabilities": {d: round(p, 6) for d, p in grades.items()}})

    def _key(self) -> str | None:
        return os.environ.get(self.config.key_variable)


def spread_frames(video: VideoInput, count: int, short_edge: int) -> list[Frame]:
    """`count` frames in the middles of as many equal parts of the video.

    Raises:
        MediaError: it cannot be read.
    """
    path, duration_s = str(video.path), length_s(video.path)
    wanted = [(index + 0.5) * duration_s / count for index in range(count)]
    rate = 2 * count / duration_s  # ticks lie at i / rate: every odd one is the middle of a part
    ticks = list(sample_frames(path, 0.0, duration_s, fps=rate, short_edge=short_edge))
    return [tick for index, tick in enumerate(ticks) if index % 2 == 1][: len(wanted)]


def digit_probabilities(tokens: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """Probabilities of 1 … 5, adding to 1, at the first token that is one of them; empty when there is none.

    Args:
        tokens: `choices[0].logprobs.content` of a chat completion.
    """
    graded = next((token for token in tokens if str(token.get("token", "")).strip() in tuple(DIGITS)), None)
    if graded is None:
        return {}
    shares = dict.fromkeys(DIGITS, 0.0)
    for other in graded.get("top_logprobs") or [graded]:
        digit = str(other["token"]).strip()
        if digit in shares:
            shares[digit] += math.exp(float(other["logprob"]))
    total = sum(shares.values())
    return {digit: share / total for digit, share in shares.items()} if total > 0 else {}


def _content(frames: Sequence[Frame], description: str) -> list[dict[str, Any]]:
    parts: list[dict[str, Any]] = []
    for frame in frames:
        parts += [text_part(f"{frame.time_s:.1f} s:"), image_part(frame.image)]
    return [*parts, text_part(PROMPT.format(count=len(frames), description=description))]
