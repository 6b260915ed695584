"""Asking a vision-language model about a clip: for JSON of a schema, and for the probability of a yes."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any, Final, Generic, TypeVar

from pydantic import BaseModel, ValidationError

from curation.backends.vlm.clip_video import ClipVideo
from curation.backends.vlm.config import VlmConfig
from curation.clip.replies import ModelReply
from infra.jobs import tally
from infra.jobs.machine_fault import MachineFaultError
from infra.served.chat import first_choice, text_part
from infra.served.endpoint import NotNowError
from infra.served.patience import patiently

M = TypeVar("M", bound=BaseModel)
Q = TypeVar("Q")
A = TypeVar("A")

YES_NO: Final = ("yes", "no")
TOP_LOGPROBS: Final = 20
"""The most that the protocol gives."""


class NoValidReplyError(Exception):
    """Every reply to a question was cut off or unusable; `replies` holds what was said."""

    def __init__(self, problem: str, replies: tuple[ModelReply, ...]) -> None:
        super().__init__(problem)
        self.replies = replies


@dataclass(frozen=True, kw_only=True, slots=True)
class Question(Generic[M]):
    """A question whose answer is JSON."""

    stage: str
    prompt: str
    """Name of the prompt."""
    version: str
    text: str
    kind: type[M]
    """Of the answer; its schema goes with the question."""
    system: str


@dataclass(frozen=True, slots=True)
class Answered(Generic[M]):
    """A valid answer, and every reply up to it."""

    value: M
    replies: tuple[ModelReply, ...]


class VlmClient:
    """One model on its server. Threads may share it."""

    def __init__(self, config: VlmConfig) -> None:
        self.config = config

    def ask(self, video: ClipVideo, question: Question[M]) -> Answered[M]:
        """The answer, asked for again with another seed until it is valid.

        Raises:
            NoValidReplyError: no valid one after all tries.
            MachineFaultError: the server refuses the request, or stays away.
        """
        schema = {"name": question.prompt, "strict": True, "schema": schema_of(question.kind)}
        body = {
            **self._request(video, question.text, question.system),
            "max_completion_tokens": self.config.max_tokens,
            "temperature": self.config.temperature,
            "response_format": {"type": "json_schema", "json_schema": schema},
        }
        replies: list[ModelReply] = []
        for seed in range(self.config.tries):
            choice, text, usage = self._post({**body, "seed": seed})
            reply = ModelReply(
                stage=question.stage,
                prompt=question.prompt,
                version=question.version,
                model=self.config.model,
                seed=seed,
                text=text,
                **usage,
            )
            try:
                value = _read(question.kind, choice, text)
            except ValueError as error:
                replies.append(replace(reply, refused=str(error)))
                continue
            return Answered(value, (*replies, reply))
        raise NoValidReplyError(f"{question.prompt}: {replies[-1].refused}", tuple(replies))

    def probability_of_yes(self, video: ClipVideo, question: str) -> float:
        """How probable the model finds yes rather than no, in [0, 1].

        Raises:
            MachineFaultError: the server refuses the request, gives no probabilities, or stays away.
        """
        choice, _, _ = self._post(
            {
                **self._request(video, question, None),
                "structured_outputs": {"choice": list(YES_NO)},
                # The first token tells them apart, and its probabilities are all that is read.
                "max_completion_tokens": 1,
                "logprobs": True,
                "top_logprobs": TOP_LOGPROBS,
                # Greedy, and no penalty that the model's own generation_config.json may set: either would bend the
                # probabilities.
                "temperature": 0.0,
                "repetition_penalty": 1.0,
                "seed": 0,
            }
        )
        probability = _probability_of_yes(choice)
        if probability is None:
            raise MachineFaultError(
                f"{self.config.called} gives no probabilities of yes and no: "
                "start it with --logprobs-mode processed_logprobs"
            )
        return probability

    def _request(self, video: ClipVideo, question: str, system: str | None) -> dict[str, Any]:
        # What all questions on a clip have in common stands first: the second one finds it in the prefix cache.
        messages: list[dict[str, Any]] = [] if system is None else [{"role": "system", "content": system}]
        messages.append({"role": "user", "content": [video.part, text_part(question)]})
        return {"model": self.config.model, "messages": messages, **video.options(self.config)}

    def _post(self, body: Mapping[str, Any]) -> tuple[Mapping[str, Any], str, dict[str, Any]]:
        """The first choice, its text, and the tokens that it took."""

        def ask() -> tuple[Mapping[str, Any], str, dict[str, Any]]:
            answer = self.config.server.post("chat/completions", body, tries=1)
            choice, text = first_choice(answer)
            # JSON can hold half a character, which no record can.
            usage = _usage(answer)
            for kind in ("prompt", "completion"):
                tally.count("served_tokens", self.config.model, kind, amount=usage[f"{kind}_tokens"])
            return choice, text.encode(errors="backslashreplace").decode(), usage

        try:
            return patiently(ask, server=self.config.called, patience_s=self.config.patience_s)
        except NotNowError as error:
            # Frames, pixels and tokens are bounded by the settings, and the pictures are ours: what the server refuses
            # of one clip it refuses of all. To reject clips for it would empty the data set. So the machine is at
            # fault, and the clips stay to be done until settings and server fit each other.
            raise MachineFaultError(f"{self.config.called} refuses the request: {error.told or error}") from error


def first_then_rest(ask: Callable[[Q], A], questions: Sequence[Q]) -> list[A]:
    """The answers in order: the first question alone, which puts the pictures into the server's prefix cache, then the
    others at once."""
    if not questions:
        return []
    first = ask(questions[0])
    if len(questions) == 1:
        return [first]
    with ThreadPoolExecutor(len(questions) - 1, thread_name_prefix="vlm") as pool:
        return [first, *pool.map(ask, questions[1:])]


def schema_of(kind: type[BaseModel]) -> dict[str, Any]:
    """The JSON schema of a model with every property required: what may be left out, models leave out."""
    return dict(_required(kind.model_json_schema()))


def _required(node: Any) -> Any:
    if isinstance(node, list):
        return [_required(item) for item in node]
    if not isinstance(node, dict):
        return node
    kept = {key: _required(value) for key, value in node.items() if key != "default"}
    if isinstance(kept.get("properties"), dict):
        kept |= {"required": list(kept["properties"]), "additionalProperties": False}
    return kept


def _read(kind: type[M], choice: Mapping[str, Any], text: str) -> M:
    """The answer in a reply.

    Raises:
        ValueError: why it cannot be used, in one line.
    """
    if (reason := choice.get("finish_reason")) != "stop":
        raise ValueError(f"the reply was cut off ({reason})")
    try:
        # Not strict: grammars of structured outputs have let control characters through in strings.
        value = json.loads(text, strict=False)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"the reply is not JSON ({error})") from error
    try:
        return kind.model_validate(value)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        raise ValueError(f"{place or 'the reply'}: {first['msg'].removeprefix('Value error, ')}") from error


def _usage(answer: Any) -> dict[str, Any]:
    used = answer.get("usage") or {}
    details = used.get("prompt_tokens_details") or {}
    return {
        "prompt_tokens": int(used.get("prompt_tokens") or 0),
        "cached_tokens": details.get("cached_tokens"),
        "completion_tokens": int(used.get("completion_tokens") or 0),
    }


def _probability_of_yes(choice: Mapping[str, Any]) -> float | None:
    """From the first token's log-probabilities; None where there are none of yes and no.

    A tokenizer may split the words, so every beginning of one counts.
    """
    tokens = (choice.get("logprobs") or {}).get("content") or []
    found = dict.fromkeys(YES_NO, 0.0)
    for entry in tokens[0].get("top_logprobs") or [] if tokens else []:
        token = str(entry["token"]).strip().lower()
        for word in YES_NO:
            if token and word.startswith(token):
                found[word] += math.exp(float(entry["logprob"]))
    total = sum(found.values())
    return found["yes"] / total if total > 0 else None
