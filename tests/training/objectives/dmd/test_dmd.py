"""The objective with real networks, looked at from within."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import cast

import pytest
import torch
from torch import Tensor, nn

from tests.worlds.made_batch import made_batch
from tests.worlds.networks import random_soul
from training.data.conditioning import Batch
from training.distributed.trained_model import TrainedModel
from training.objectives.dmd.dmd import Dmd, DmdConfig
from training.objectives.flow_matching import VelocityModel

SIGMAS = torch.tensor([1.0, 0.9375, 5 / 6, 0.625])


class Probe:
    """Stands where a trained network does, and keeps what it is asked, what it predicts and what its loss was."""

    grad_norm, lr = 1.0, 1.0

    def __init__(self) -> None:
        self.module: nn.Module = random_soul().train()
        self.asked: list[tuple[str, Tensor, Tensor]] = []
        self.predictions: list[Tensor] = []
        self.steps: list[tuple[int, int]] = []

    def velocity(self, latents: Tensor, timesteps: Tensor, text: Tensor, audio: Tensor) -> Tensor:
        self.asked.append(("trained", text, audio))
        prediction: Tensor = self.module(latents, timesteps, text, audio, return_dict=False)[0]
        prediction.retain_grad()
        self.predictions.append(prediction)
        return prediction

    @torch.no_grad()
    def predict(self, latents: Tensor, timesteps: Tensor, text: Tensor, audio: Tensor) -> Tensor:
        self.asked.append(("asked", text, audio))
        prediction: Tensor = self.module(latents, timesteps, text, audio, return_dict=False)[0]
        return prediction

    def backward(self, loss: Tensor, *, step: int, total_steps: int) -> None:
        loss.backward()  # type: ignore[no-untyped-call]
        self.steps.append((step, total_steps))

    @contextmanager
    def present(self) -> Iterator[VelocityModel]:
        yield self.predict


def distil_once(batches: list[Batch], step: int) -> tuple[Dmd, Probe, Probe, Probe]:
    torch.manual_seed(0)
    student, critic, teacher = Probe(), Probe(), Probe()
    networks = (cast("TrainedModel", student), cast("TrainedModel", critic))
    objective = Dmd(*networks, teacher, DmdConfig(), sigmas=SIGMAS, seed=0)
    objective.train_step(batches, step=step, total_steps=100)
    return objective, student, critic, teacher


def test_clean_frames_get_exactly_no_gradient_in_student_and_critic() -> None:
    batch = made_batch((1, 3))
    _, student, critic, _ = distil_once([batch], step=0)
    clean = batch.clean[:, None, :, None, None].expand_as(batch.latents)
    for probe in (student, critic):
        (prediction,) = probe.predictions
        assert prediction.grad is not None
        assert prediction.grad[clean].eq(0).all()
        assert prediction.grad[~clean].ne(0).all()


@pytest.mark.parametrize(("step", "updates"), [(0, [(0, 20)]), (1, []), (4, []), (5, [(1, 20)]), (95, [(19, 20)])])
def test_the_student_is_updated_every_fifth_time(step: int, updates: list[tuple[int, int]]) -> None:
    _, student, critic, _ = distil_once([made_batch((1, 3))], step)
    assert student.steps == updates
    assert critic.steps == [(step, 100)]


def test_only_the_teacher_is_guided_and_only_one_forward_of_each_is_differentiated() -> None:
    batch = made_batch((1, 3))
    objective, student, critic, teacher = distil_once([batch], step=0)
    assert [kind for kind, *_ in critic.asked] == ["asked", "trained"]
    assert [kind for kind, *_ in student.asked].count("trained") == 1
    for _, text, audio in (*student.asked, *critic.asked, teacher.asked[0]):
        assert torch.equal(text, batch.text)
        assert torch.equal(audio, batch.audio)
    assert len(teacher.asked) == 2
    assert torch.equal(teacher.asked[1][1][0], batch.free_text)
    assert teacher.asked[1][2].eq(0).all()
    # A backward counts as two forwards.
    made = [len(probe.asked) + 2 * len(probe.predictions) for probe in (student, critic, teacher)]
    assert objective.forwards == sum(made)


def test_all_micro_batches_of_an_update_stop_at_the_same_step() -> None:
    for step in range(0, 40, 5):
        _, student, *_ = distil_once([made_batch((1,)), made_batch((3,))], step)
        generator = [kind for kind, *_ in student.asked]
        ends = [place for place, kind in enumerate(generator) if kind == "trained"]
        assert len(ends) == 2
        assert ends[0] == ends[1] - ends[0] - 1
