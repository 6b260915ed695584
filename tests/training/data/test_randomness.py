"""Random numbers belong to a draw, whoever makes it and whatever it shares a batch with."""

from __future__ import annotations

import torch

from training.data.randomness import DrawRandom, seed_of

SEED_OF_NOISE_5 = 6234166739501455009


def test_a_draw_has_its_numbers_in_any_batch() -> None:
    both, alone = DrawRandom(7, [3, 4], "noise"), DrawRandom(7, [4], "noise")
    assert torch.equal(both.normal(2, 3)[1:], alone.normal(2, 3))
    assert torch.equal(both.uniform()[1:], alone.uniform())


def test_seed_purpose_and_number_each_make_other_numbers() -> None:
    drawn = [
        DrawRandom(*key).normal(4) for key in ((7, [3], "noise"), (8, [3], "noise"), (7, [4], "noise"), (7, [3], "x"))
    ]
    assert len({tuple(each.flatten().tolist()) for each in drawn}) == 4


def test_shapes_and_ranges() -> None:
    random = DrawRandom(0, list(range(1000)), "check")
    assert random.normal(2, 3).shape == (1000, 2, 3)
    uniform = random.uniform()
    assert uniform.shape == (1000,)
    assert 0 <= float(uniform.min()) < 0.01
    assert 0.99 < float(uniform.max()) < 1


def test_seeds_fit_a_generator_and_stay_what_they_are() -> None:
    # Trainings go on with these: another value would draw other noise after a resumption.
    assert seed_of(0, "noise", 5) == seed_of(0, "noise", 5)
    assert seed_of(0, "noise", 5) == SEED_OF_NOISE_5
    assert all(0 <= seed_of(seed, "purpose") < 2**63 for seed in range(100))
