"""Asking a language model for JSON of a given schema (structured outputs of the OpenAI protocol)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from bench.builder.failure import StepFailedError, refusals
from infra.served.chat import first_choice
from infra.served.endpoint import Server


class Reply(BaseModel):
    """What a model is to reply; the schema is strict: every field is required and no other allowed."""

    model_config = ConfigDict(frozen=True, extra="forbid", str_strip_whitespace=True)


R = TypeVar("R", bound=Reply)


def ask(server: Server, kind: type[R], messages: Sequence[Mapping[str, Any]], **sampling: Any) -> R:
    """The model's reply.

    Args:
        server: where the model is.
        kind: of the reply; its schema goes with the request, and its docstring describes it.
        messages: of the chat.
        sampling: further fields of the request: `temperature`, `max_tokens`, `seed`.

    Raises:
        StepFailedError: it declined, was cut off, or replied something else than the schema asks for.
        NotNowError: the server gave no answer.
    """
    schema = {"name": kind.__name__.lower(), "strict": True, "schema": kind.model_json_schema()}
    body = {"model": server.model, "messages": messages, **sampling}
    with refusals():
        answer = server.post(
            "chat/completions", {**body, "response_format": {"type": "json_schema", "json_schema": schema}}
        )
    choice, text = first_choice(answer)
    refusal = choice["message"].get("refusal")
    if refusal or choice.get("finish_reason") == "content_filter":
        raise StepFailedError("the model declined", str(refusal or "content filter"))
    if choice.get("finish_reason") == "length":
        raise StepFailedError("the reply was cut off")
    try:
        return kind.model_validate_json(text)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        raise StepFailedError("the reply does not fit the schema", f"{place}: {first['msg']}".strip(": ")) from error
