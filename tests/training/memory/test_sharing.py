"""As many GPUs share a clip as it takes to fit."""

from pathlib import Path

import pytest

from curation.encoding.bucket import Bucket
from model.pretrained.presets import PRESETS
from training.distributed.ranks import join_ranks
from training.memory.device import held_by, usable
from training.memory.plan import Cluster
from training.memory.sharing import choose, misfit, possible_degrees, settle
from training.monitoring.display import Display
from training.recipes.recipe import load_recipe

NETWORK = PRESETS["soul-5b"].transformer
WIDE, TALL = Bucket(109, 1088, 1920), Bucket(109, 1920, 1088)
ROOM = usable(held_by(80))


@pytest.mark.parametrize(
    ("stage", "world", "degree"), [("1080p", 8, 2), ("distill", 8, 2), ("1080p", 64, 1), ("distill", 64, 1)]
)
def test_the_published_stages(stage: str, world: int, degree: int) -> None:
    recipe = load_recipe(stage, "production")
    assert recipe.parallel.sequence_parallel == "auto"
    choice = choose(recipe, NETWORK, [WIDE, TALL], world=world, room=ROOM)
    assert choice.degree == degree
    assert "76.9" in choice.reason


def test_only_what_divides_heads_tokens_ranks_and_batch() -> None:
    recipe = load_recipe("1080p", "production")
    assert possible_degrees(recipe, NETWORK, [WIDE], 8) == [1, 2, 4, 8]
    assert possible_degrees(recipe, NETWORK, [WIDE], 24) == [3, 6, 12, 24]
    assert possible_degrees(recipe, NETWORK, [WIDE, Bucket(109, 32 * 33, 32 * 61)], 24) == [3]
    assert possible_degrees(recipe, NETWORK, [WIDE], 128) == [2, 4, 8]


def test_if_nothing_fits_the_nearest_is_taken() -> None:
    choice = choose(load_recipe("1080p", "production"), NETWORK, [WIDE], world=8, room=20e9)
    assert choice.degree in {4, 8}
    assert "nothing fits the 20.0 GB" in choice.reason


def test_cpus_share_nothing(tmp_path: Path) -> None:
    recipe = load_recipe("1080p", "local")
    assert recipe.parallel.sequence_parallel == "auto"
    assert choose(recipe, NETWORK, [WIDE], world=8, room=None).degree == 1
    folder = tmp_path / "transformer"
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    settled = settle(recipe, tmp_path, [WIDE], join_ranks(), Display(visible=False))
    assert settled.parallel.sequence_parallel == 1


def test_a_stage_that_will_not_fit_is_warned_of() -> None:
    recipe, held = load_recipe("1080p", "production"), held_by(80)
    alone, shared = (Cluster(world=8, zero_stage=2, sequence_parallel=degree) for degree in (1, 2))
    warning = misfit(recipe, NETWORK, [WIDE], alone, held=held)
    assert warning is not None
    assert "needs 89.7 GB, and of its 85.5 GB 76.9 can be filled" in warning
    assert misfit(recipe, NETWORK, [WIDE], shared, held=held) is None
