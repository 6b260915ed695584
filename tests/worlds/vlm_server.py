"""A vision-language model that a test speaks for, behind the protocol of a vLLM server."""

from __future__ import annotations

import json
import math
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from tests.worlds.served_models import Answer, Asked, serving

MODEL = "qwen"
SAID: dict[str, Any] = {
    "scene": {"scene": "a kitchen", "style": "None.", "lighting": "soft daylight"},
    "shot": {"shot_type": "upper body", "num_people": 1},
    "action": {
        "human_action": {"body": "sits", "head": "nods", "face": "talks", "hands": "N/A", "legs": "none"},
    },
    "hands": {"hand_gesture": "waves", "object_interaction": "none"},
    "motion": {"movement_direction": "still", "camera_movement": "static"},
    "events": {"events": [{"start_s": 0.0, "end_s": 1.0, "label": "a man talks"}]},
    "brief": {"brief": "A man talks in a kitchen."},
    "detailed": {"detailed": "A man sits in a kitchen and talks."},
}
"""A valid answer to every question of the captioner, by the name of its schema."""


def completion(text: str, finish_reason: str = "stop", *, cached: int | None = 0, **choice: Any) -> dict[str, Any]:
    """A chat completion."""
    details = None if cached is None else {"cached_tokens": cached}
    return {
        "choices": [{"message": {"content": text}, "finish_reason": finish_reason, **choice}],
        "usage": {"prompt_tokens": 100, "completion_tokens": 10, "prompt_tokens_details": details},
    }


def yes_or_no(probability: float, *, yes: str = "yes", no: str = "no") -> dict[str, Any]:
    """A chat completion with the log-probabilities of yes and no, and of a token that the grammar masks."""
    tokens = {yes: probability, no: 1 - probability}
    top = [{"token": token, "logprob": math.log(p) if p else -9999.0} for token, p in tokens.items()]
    content = [{"token": yes, "top_logprobs": [*top, {"token": "maybe", "logprob": -9999.0}]}]
    return completion(yes if probability > 0.5 else no, "length", logprobs={"content": content})


@dataclass
class VlmServer:
    """What was asked, and what is said to it."""

    url: str = ""
    asked: list[dict[str, Any]] = field(default_factory=list)
    respond: Callable[[str, dict[str, Any]], Answer | None] = lambda name, body: None
    """Given the schema's name, or the question where the answer is yes or no; None for the usual answer."""
    lock: threading.Lock = field(default_factory=threading.Lock)
    in_work: int = 0
    most_in_work: int = 0

    def __call__(self, asked: Asked) -> Answer:
        if asked.body is None:
            return Answer({"data": [{"id": MODEL}]})
        with self.lock:
            self.asked.append(asked.body)
            self.in_work += 1
            self.most_in_work = max(self.most_in_work, self.in_work)
        try:
            name = question_of(asked.body)
            return self.respond(name, asked.body) or self._usual(name, asked.body)
        finally:
            with self.lock:
                self.in_work -= 1

    def _usual(self, name: str, body: dict[str, Any]) -> Answer:
        if "structured_outputs" in body:
            return Answer(yes_or_no(0.5))
        return Answer(completion(json.dumps(SAID[name]), cached=40))


def question_of(body: dict[str, Any]) -> str:
    """The schema's name, or the question's text where there is no schema."""
    if "response_format" in body:
        return str(body["response_format"]["json_schema"]["name"])
    return str(body["messages"][-1]["content"][-1]["text"])


@contextmanager
def vlm_server() -> Iterator[VlmServer]:
    """A server that says `SAID` until the test tells it otherwise."""
    server = VlmServer()
    with serving(server) as url:
        server.url = f"{url}/v1"
        yield server
