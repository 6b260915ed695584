"""Which of the pipeline's methods are lesser ones: they have no weights and stand in for a model of the paper's.

A profile says what it requires (`curation.requires`), and the stages' configuration says which methods run. The
difference is told before any work: data decided on by lesser methods must never pass for the paper's.
"""

from __future__ import annotations

from dataclasses import dataclass

from curation.pipeline import StagesConfig, methods_in_use


@dataclass(frozen=True, kw_only=True, slots=True)
class LesserMethod:
    """A stage that would run something else than the paper's model."""

    stage: str
    backend: str
    paper: str

    def __str__(self) -> str:
        return f"{self.stage}: {self.backend} in place of {self.paper}"


def lesser_methods(stages: StagesConfig) -> list[LesserMethod]:
    """Every lesser method that these settings choose with no paper's model beside it, in the order of the stages."""
    uses = methods_in_use(stages)
    full = {(use.place.stage, use.place.kind.called) for use in uses if not use.method.lesser}
    return [
        LesserMethod(stage=use.place.stage, backend=use.name, paper=use.place.kind.paper)
        for use in uses
        if use.method.lesser and use.place.kind.paper and (use.place.stage, use.place.kind.called) not in full
    ]
