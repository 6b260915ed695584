import pytest
import torch
from torch import Tensor

from model.generation.guidance import Branch, Condition, Guidance, guide

TEXT, NEGATIVE, SOUND = 3.0, -2.0, 0.25
CONDITION = Condition(text=torch.full((1, 4, 8), TEXT), audio=torch.full((1, 2, 16, 8), SOUND))
FREE_TEXT = torch.full((1, 4, 8), NEGATIVE)
FULL, SILENT, FREE = TEXT + 100 * SOUND, TEXT, NEGATIVE
"""What `Network` predicts of each branch."""


class Network:
    """Predicts a number that tells what it was given."""

    def __init__(self) -> None:
        self.predicted: list[float] = []
        self.branches: list[Branch] = []

    def __call__(self, branch: Branch, given: Condition) -> Tensor:
        self.branches.append(branch)
        self.predicted.append(float(given.text.mean() + 100 * given.audio.mean()))
        return torch.full((1, 48, 2, 2, 2), self.predicted[-1])


def guided(guidance: Guidance) -> tuple[float, list[float]]:
    network = Network()
    velocity = guide(network, CONDITION, free_text=FREE_TEXT if guidance.needs_free else None, guidance=guidance)
    assert velocity.min() == velocity.max()
    values: dict[Branch, float] = {"full": FULL, "silent": SILENT, "free": FREE}
    assert network.predicted == [values[branch] for branch in network.branches]
    return float(velocity.max()), network.predicted


def test_one_scale_is_usual_guidance_with_two_forwards() -> None:
    assert guided(Guidance.of(5.0)) == (FREE + 5 * (FULL - FREE), [FULL, FREE])


def test_two_scales_lead_to_text_and_sound_apart_with_one_more_forward() -> None:
    velocity, predicted = guided(Guidance.of(5.0, 3.0))
    assert velocity == FREE + 5 * (SILENT - FREE) + 3 * (FULL - SILENT)
    assert predicted == [FULL, FREE, SILENT]


def test_guidance_by_the_sound_alone_needs_no_negative_prompt() -> None:
    assert guided(Guidance.of(1.0, 4.0)) == (SILENT + 4 * (FULL - SILENT), [FULL, SILENT])


def test_guidance_by_the_text_alone_leaves_the_sound_as_it_is() -> None:
    velocity, predicted = guided(Guidance.of(5.0, 1.0))
    assert velocity == FREE + 5 * (SILENT - FREE) + (FULL - SILENT)
    assert predicted == [FULL, FREE, SILENT]


@pytest.mark.parametrize("guidance", [Guidance(), Guidance.of(1.0), Guidance.of(0.0), Guidance.of(1.0, 0.5)])
def test_scales_of_one_or_less_are_no_guidance(guidance: Guidance) -> None:
    assert guided(guidance) == (FULL, [FULL])


@pytest.mark.parametrize(
    "scales", [(1.0, None), (2.0, None), (2.0, 2.0), (2.0, 3.0), (2.0, 1.0), (1.0, 2.0), (0.5, None)]
)
def test_the_number_of_forwards_is_known_before(scales: tuple[float, float | None]) -> None:
    guidance = Guidance.of(*scales)
    assert len(guided(guidance)[1]) == guidance.num_forwards
    assert guidance.is_on == (guidance.num_forwards > 1)
