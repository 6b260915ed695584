"""The bar's name is the loss, or what is being done while training waits."""

from collections.abc import Iterator
from contextlib import suppress

import pytest

from training.monitoring.display import Display


@pytest.fixture
def display() -> Iterator[Display]:
    shown = Display(visible=True)
    yield shown
    shown.stop()


def name_of(display: Display) -> str:
    return str(display.progress.tasks[0].description)


def test_the_bar_has_its_name_back_when_what_is_done_beside_has_ended(display: Display) -> None:
    display.start(0, 5)
    with display.doing("saving"):
        assert name_of(display) == "saving"
    assert name_of(display) == "training"
    display.show(1, {"lr": 1e-4, "loss": 0.25})
    with suppress(OSError), display.doing("validating"):
        assert name_of(display) == "validating"
        raise OSError("what was written did not fit")
    assert name_of(display) == "loss 0.2500"


def test_before_training_there_is_no_bar(display: Display) -> None:
    with display.doing("saving"):
        assert not display.progress.tasks
