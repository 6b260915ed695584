"""What differs between two recipes, and what of it a training can bear."""

from typing import Any

import pytest

from tests.worlds.recipes import small_recipe
from training.recipes.changes import FIXED, changed, flat, refusal


def recipe(encoders: str = "one", **changes: Any) -> dict[str, Any]:
    return flat(small_recipe(**changes), encoders=encoders)


def test_all_of_a_recipe_is_kept_by_dotted_names() -> None:
    kept = recipe()
    assert kept["optimizer.betas"] == [0.9, 0.999]
    assert kept["data.pools.human"] == 1
    assert kept["encoders"] == "one"
    assert kept.keys() >= FIXED.keys(), "names of fields that there are"


def test_each_change_is_told() -> None:
    now = recipe(optimizer__lr=5e-4, steps=9, data__pools="{human: 3, general: 1}")
    assert changed(recipe(), now) == {
        "steps": "4, now 9",
        "data.pools.human": "1.0, now 3.0",
        "data.pools.general": "0.0, now 1.0",
        "optimizer.lr": "0.001, now 0.0005",
    }
    assert not changed(recipe(), recipe())


def test_what_only_one_of_two_recipes_has_is_not_compared() -> None:
    assert not changed({}, recipe())
    assert refusal({}, recipe()) is None


@pytest.mark.parametrize(
    ("before", "now", "problem"),
    [
        ({}, {"encoders": "two"}, "encoders was one, now two: it has learnt the latents of that model"),
        ({"parallel__zero_stage": 1}, {"parallel__zero_stage": 3}, None),
        ({}, {"decoder__decoder_base_dim": 12}, "decoder.decoder_base_dim was"),
        ({}, {"dmd__critic_lora_rank": 4}, "dmd.critic_lora_rank was"),
        ({}, {"optimizer__lr": 1, "batch_size": 8, "parallel__precision": "bfloat16"}, None),
    ],
)
def test_what_cannot_change_is_refused(before: dict[str, Any], now: dict[str, Any], problem: str | None) -> None:
    found = refusal(recipe(**before), recipe(**now))
    assert found is None if problem is None else (found or "").startswith(problem)
