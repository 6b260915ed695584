"""How mistakes are answered: HTTP's status and one line of JSON, {"error": "..."}."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel
from starlette.exceptions import HTTPException

from serving.access import RefusedError

Refusal = Callable[[Request, int], dict[str, str]]


class Problem(BaseModel):
    """Why a request was refused, in one line."""

    error: str


def answer_problems(api: FastAPI, refused: Refusal) -> None:
    """Turn what is raised into such an answer. A ValueError is the client's mistake.

    Args:
        api: the application.
        refused: called with each refusal; returns headers to be sent with it.
    """

    def answer_with(status: Callable[[Any], int], message: Callable[[Any], str]) -> Callable[..., JSONResponse]:
        def answer(request: Request, error: Exception) -> JSONResponse:
            number = status(error)
            line = " ".join(message(error).split())
            return JSONResponse({"error": line}, number, refused(request, number))

        return answer

    api.exception_handler(RefusedError)(answer_with(lambda error: int(error.status), str))
    api.exception_handler(ValueError)(answer_with(lambda _: 400, str))
    api.exception_handler(OSError)(answer_with(lambda _: 503, lambda error: f"the server: {error.strerror or error}"))
    api.exception_handler(HTTPException)(
        answer_with(lambda error: int(error.status_code), lambda error: str(error.detail))
    )
    api.exception_handler(RequestValidationError)(
        answer_with(lambda _: 400, lambda error: first_problem(error.errors()))
    )


def first_problem(errors: Any) -> str:
    """The first of pydantic's complaints."""
    first = errors[0]
    where = ".".join(str(part) for part in first["loc"] if part != "body")
    message = str(first["msg"])
    return f"{where or 'the body'}: {message[:1].lower()}{message[1:]}"
