"""The four questions of the paper's study (Tab. 4), each answered from 1 to 5."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from bench.values import Better, Value

METRIC: Final = "human"
"""Name of the ratings among the metrics."""
SCALE: Final = (1, 2, 3, 4, 5)


@dataclass(frozen=True, kw_only=True, slots=True)
class Question:
    """What is asked about every video."""

    name: str
    title: str
    text: str
    lowest: str
    """What 1 means."""
    highest: str
    """What 5 means."""


QUESTIONS: Final = (
    Question(
        name="naturalness",
        title="Overall naturalness",
        text="How natural is the video as a whole: looks, movement, expression?",
        lowest="clearly artificial",
        highest="like a real recording",
    ),
    Question(
        name="identity",
        title="Identity consistency",
        text="Is it the same person as in the reference picture, from the first moment to the last?",
        lowest="someone else",
        highest="the same throughout",
    ),
    Question(
        name="text",
        title="Text consistency",
        text="Does the video show what the description says?",
        lowest="nothing of it",
        highest="all of it",
    ),
    Question(
        name="sync",
        title="Audio-visual synchronisation",
        text="Do lips, face and movement go with the sound?",
        lowest="not at all",
        highest="perfectly",
    ),
)
VALUES: Final = tuple(
    Value(name=question.name, better=Better.HIGHER, unit="1–5", about=question.text) for question in QUESTIONS
)
