"""What a language model said about a clip: kept word for word, so that no label is without its origin."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelReply:
    """One reply to one question, used or refused."""

    stage: str
    prompt: str
    """Name of the question."""
    version: str
    """Of its wording."""
    model: str
    """Name under which the model was served."""
    seed: int
    text: str
    """As it came."""
    refused: str | None = None
    """Why it could not be used; None if it was."""
    prompt_tokens: int
    """Of the pictures and the question."""
    cached_tokens: int | None
    """Those of them that the server had in its cache; None where it does not say."""
    completion_tokens: int


@dataclass(frozen=True, kw_only=True, slots=True)
class TokenTotals:
    """What some replies cost together."""

    prompt: int
    cached: int | None
    """None where the server does not say."""
    completion: int

    @classmethod
    def of(cls, replies: Iterable[ModelReply]) -> TokenTotals:
        """The sums."""
        replies = tuple(replies)
        cached = [reply.cached_tokens for reply in replies if reply.cached_tokens is not None]
        return cls(
            prompt=sum(reply.prompt_tokens for reply in replies),
            cached=sum(cached) if cached else None,
            completion=sum(reply.completion_tokens for reply in replies),
        )
