"""Every sample exactly once, for any number of ranks; shares of pools; buckets apart."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from curation.encoding.encoded import EncodedDirectory
from infra.config import ConfigError
from tests.worlds.encoded_run import GENERAL, NEGATIVE, WIDE, SampleSpec, make_encoded_run
from training.data.batch_plan import BatchPlan
from training.data.index import IS_HELD_OUT, SampleIndex, read_index
from training.data.loader import DataConfig, MicroBatch, SampleReader, Share, load_steps

TALL = SampleSpec(latent_height=6)
UNEVEN = (
    (SampleSpec(),) * 7 + (WIDE,) * 2,
    (WIDE,) * 3 + (TALL,),
    (SampleSpec(),),
    (TALL,) * 2 + (SampleSpec(),) * 5,
)
"""9, 4, 1 and 7 samples in three buckets."""

BATCHES = (
    [
        ("109x704x1280", {0: 9, 1: 0, 4: 6}),
        ("109x736x1280", {3: 1, 5: 4, 6: 10}),
        ("109x768x1280", {2: 11, 9: 8, 10: 11}),
        ("109x704x1280", {11: 3, 14: 9}),
        ("109x736x1280", {7: 7, 8: 10}),
        ("109x768x1280", {12: 2, 13: 5}),
    ],
    [
        ("109x736x1280", {17: 1, 18: 4, 19: 10}),
        ("109x768x1280", {15: 11, 20: 8, 22: 5}),
        ("109x704x1280", {16: 3, 21: 9, 23: 9}),
        ("109x704x1280", {27: 0, 29: 6}),
        ("109x736x1280", {25: 7, 26: 10}),
        ("109x768x1280", {24: 2, 28: 11}),
    ],
)
"""Bucket, and row by number of draw, of two epochs of 9 and 6 draws from pools of 9 and 3 samples."""


@pytest.fixture(scope="module")
def uneven(tmp_path_factory: pytest.TempPathFactory) -> EncodedDirectory:
    return make_encoded_run(tmp_path_factory.mktemp("uneven"), shards=UNEVEN)


def plan_of(directory: EncodedDirectory, batch_size: int = 12, **weights: float) -> BatchPlan:
    samples = read_index(directory, held_out_fraction=0)
    return BatchPlan(samples=samples, weights=weights or {"human": 1.0}, batch_size=batch_size, seed=3)


def epoch_of(plan: BatchPlan, directory: EncodedDirectory, share: Share, epoch: int) -> list[MicroBatch]:
    reader = SampleReader(directory, plan.samples)
    steps = load_steps(plan, reader, share, DataConfig(workers=0), epoch=epoch)
    return [batch for _ in range(plan.num_batches(epoch)) for batch in next(steps)]


@pytest.mark.parametrize(("num_ranks", "micro_batch"), [(1, 3), (2, 2), (3, 1), (3, 4), (4, 3)])
def test_every_sample_is_seen_once_an_epoch_whatever_the_ranks(
    uneven: EncodedDirectory, num_ranks: int, micro_batch: int
) -> None:
    plan = plan_of(uneven)
    accumulation = plan.batch_size // (num_ranks * micro_batch)
    for epoch in (0, 1):
        seen: Counter[str] = Counter()
        weight = 0.0
        for rank in range(num_ranks):
            share = Share(rank=rank, num_ranks=num_ranks, micro_batch=micro_batch, accumulation=accumulation)
            for batch in epoch_of(plan, uneven, share, epoch):
                assert len(batch.samples) == micro_batch
                assert len({loaded.sample.latents.shape for loaded in batch.samples}) == 1
                seen.update(loaded.sample.key for loaded in batch.samples if loaded.weight)
                weight += sum(loaded.weight for loaded in batch.samples)
        assert set(seen) == set(plan.samples.table["key"].to_pylist())
        assert set(seen.values()) == {1}
        # A batch weighs the same, full or not.
        assert weight == pytest.approx(plan.num_batches(epoch) * plan.batch_size)


def test_epochs_are_ordered_differently_and_the_same_for_the_same_seed(uneven: EncodedDirectory) -> None:
    first, second = ([draw.row for batch in plan_of(uneven).epoch(epoch) for draw in batch.draws] for epoch in (0, 1))
    again = [draw.row for batch in plan_of(uneven).epoch(0) for draw in batch.draws]
    assert first == again
    assert first != second


def test_draw_numbers_run_on_and_belong_to_one_draw_only(uneven: EncodedDirectory) -> None:
    plan = plan_of(uneven)
    numbers = [draw.number for epoch in range(3) for batch in plan.epoch(epoch) for draw in batch.draws]
    assert sorted(numbers) == list(range(3 * len(plan.samples)))


def test_only_the_last_batch_of_an_epoch_says_so(uneven: EncodedDirectory) -> None:
    marks = [batch.is_last for batch in plan_of(uneven).epoch(0)]
    assert marks == [False] * (len(marks) - 1) + [True]
    assert len(marks) == plan_of(uneven).num_batches(0)


def large_index(**pools: int) -> SampleIndex:
    """An index of many samples that are nowhere."""
    import pyarrow as pa  # noqa: PLC0415

    rows = [(pool, index) for pool, count in pools.items() for index in range(count)]
    return SampleIndex(
        table=pa.table(
            {
                "key": [f"{pool}-{index}" for pool, index in rows],
                "pool": [pool for pool, _ in rows],
                "bucket": [f"109x{704 + 32 * (index % 3)}x1280" for _, index in rows],
                IS_HELD_OUT: [False] * len(rows),
            }
        )
    )


def test_shares_of_pools_are_met_within_a_hundredth_over_any_10000_draws() -> None:
    samples = large_index(human=14_000, general=900, negative=300)
    weights = {"human": 0.75, "general": 0.2, "negative": 0.05}
    plan = BatchPlan(samples=samples, weights=weights, batch_size=64, seed=1)
    draws = [draw for epoch in (0, 1) for batch in plan.epoch(epoch) for draw in batch.draws]
    pool_of = {row: pool for pool, rows in samples.pools.items() for row in rows.tolist()}
    for start in (0, 5_000, 20_000):
        drawn = Counter(pool_of[draw.row] for draw in draws[start : start + 10_000])
        for pool, weight in weights.items():
            assert drawn[pool] / 10_000 == pytest.approx(weight, abs=0.01)


def test_a_pool_that_is_too_small_comes_round_evenly() -> None:
    samples = large_index(human=1_000, general=30)
    plan = BatchPlan(samples=samples, weights={"human": 0.8, "general": 0.2}, batch_size=10, seed=1)
    rows = Counter(draw.row for epoch in range(3) for batch in plan.epoch(epoch) for draw in batch.draws)
    assert {rows[row] for row in samples.pools["human"].tolist()} == {3}
    assert {rows[row] for row in samples.pools["general"].tolist()} == {25}  # 250 draws an epoch from 30


@pytest.mark.parametrize("size", [1, 2, 3, 4])
def test_passes_over_a_pool_may_begin_and_end_at_any_draw_of_an_epoch(size: int) -> None:
    samples = large_index(human=3, general=size)
    plan = BatchPlan(samples=samples, weights={"human": 0.5, "general": 0.5}, batch_size=1, seed=1)
    assert plan.counts == {"human": 3, "general": 3}
    for num_epochs in (1, 2, 3, 4):
        drawn = Counter(draw.row for epoch in range(num_epochs) for batch in plan.epoch(epoch) for draw in batch.draws)
        for rows in samples.pools.values():
            times = [drawn[row] for row in rows.tolist()]
            assert sum(times) == 3 * num_epochs
            assert max(times) - min(times) <= 1


def test_going_on_in_the_middle_of_an_epoch_gives_the_rest_of_it(uneven: EncodedDirectory) -> None:
    plan = plan_of(uneven, batch_size=2)
    share = Share(rank=0, num_ranks=1, micro_batch=2, accumulation=1)
    whole = [loaded.sample.key for batch in epoch_of(plan, uneven, share, 1) for loaded in batch.samples]
    rest = load_steps(plan, SampleReader(uneven, plan.samples), share, DataConfig(workers=0), epoch=1, batch=3)
    again = [
        loaded.sample.key for _ in range(plan.num_batches(1) - 3) for batch in next(rest) for loaded in batch.samples
    ]
    assert again == whole[6:]


def test_reading_ahead_in_other_processes_changes_nothing(uneven: EncodedDirectory) -> None:
    plan, share = plan_of(uneven, batch_size=4), Share(rank=0, num_ranks=1, micro_batch=2, accumulation=2)
    reader = SampleReader(uneven, plan.samples)
    alone, ahead = (load_steps(plan, reader, share, DataConfig(workers=workers)) for workers in (0, 2))
    for _ in range(5):
        for one, other in zip(next(alone), next(ahead), strict=True):
            assert [each.sample.key for each in one.samples] == [each.sample.key for each in other.samples]
            assert one.samples[0].sample.latents.equal(other.samples[0].sample.latents)


def test_held_out_sources_are_never_drawn(tmp_path: Path) -> None:
    directory = make_encoded_run(tmp_path, shards=UNEVEN)
    samples = read_index(directory, held_out_fraction=0.2)
    sources = np.array(samples.table["source"].to_pylist())
    held_out = set(sources[samples.held_out])
    drawn = set(sources[samples.pools["human"]])
    assert held_out
    assert drawn
    assert not held_out & drawn


def test_a_pool_without_samples_or_weight_is_one_clear_line(tmp_path: Path, uneven: EncodedDirectory) -> None:
    with pytest.raises(ConfigError, match=r"'general' has a weight but no samples .*human 21.*data.pools.general=0"):
        plan_of(uneven, human=0.8, general=0.2)
    with pytest.raises(ConfigError, match=r"^no pool has a weight above 0 \(data\.pools\)$"):
        plan_of(uneven, human=0.0)
    for pools, there in (({"human": 2, "general": 1, "empty": 0}, "general 1, human 2"), ({"human": 0}, "none")):
        with pytest.raises(ConfigError) as raised:
            BatchPlan(samples=large_index(**pools), weights={"negative": 0.5, "human": 0.0}, batch_size=2, seed=1)
        assert str(raised.value) == (
            f"the pool 'negative' has a weight but no samples to train on (there are: {there}); encode some, or leave "
            "it out with --set data.pools.negative=0"
        )
    mixed = make_encoded_run(tmp_path, shards=((SampleSpec(),) * 4 + (GENERAL,), (NEGATIVE,) * 2))
    counts = plan_of(mixed, batch_size=2, human=2, general=1, negative=1).counts
    assert counts == {"human": 4, "general": 2, "negative": 2}


def test_missing_shards_are_named_before_training(tmp_path: Path) -> None:
    directory = make_encoded_run(tmp_path, shards=UNEVEN)
    missing = min(Path(directory.path).rglob("*.tar"))
    missing.unlink()
    with pytest.raises(ConfigError, match=f"{missing.parent.name}/{missing.name}.* is missing"):
        read_index(directory, held_out_fraction=0)
    with pytest.raises(ConfigError, match="holds no encoded shards"):
        read_index(EncodedDirectory(str(tmp_path / "elsewhere")), held_out_fraction=0)


def test_what_is_left_of_epochs(uneven: EncodedDirectory) -> None:
    plan = plan_of(uneven, batch_size=2)
    per_epoch = plan.num_batches(0)
    assert per_epoch == 7 + 3 + 2  # 13, 5 and 3 samples of three buckets
    assert plan.num_left(1) == per_epoch
    assert plan.num_left(2, epoch=1) == per_epoch
    assert plan.num_left(2, epoch=1, batch=5) == per_epoch - 5
    assert plan.num_left(2, epoch=0, batch=5) == 2 * per_epoch - 5
    assert plan.num_left(0.5) == per_epoch / 2
    assert plan.num_left(1.5, epoch=1, batch=2) == per_epoch / 2 - 2
    assert plan.num_left(0.25, batch=4) == plan.num_left(1, epoch=1) == 0
    # A part of an epoch that is no whole number of batches is rounded up, and 0.1 + 0.2 is no more than 0.3.
    assert plan.num_left(0.3) == 4
    assert plan_of(uneven, batch_size=12).num_left(0.1) == 1


def test_small_batches_come_at_the_end_of_an_epoch_and_nothing_is_dropped(uneven: EncodedDirectory) -> None:
    batches = list(plan_of(uneven, batch_size=4).epoch(0))
    sizes = [len(batch.draws) for batch in batches]
    assert sizes == [4] * 4 + [1, 1, 3]
    assert [batch.index for batch in batches] == list(range(7))
    assert [str(batch.bucket) for batch in batches[-3:]] == ["17x64x64", "17x64x96", "17x96x64"]


def test_pools_are_interleaved_evenly_within_an_epoch() -> None:
    samples = large_index(human=400, general=100)
    plan = BatchPlan(samples=samples, weights={"human": 0.8, "general": 0.2}, batch_size=1, seed=2)
    rows = [draw.row for batch in plan.epoch(0) for draw in batch.draws]
    # Each fifth of the epoch has a fifth of each pool, give or take one at its ends.
    for part in np.array_split(np.array(rows), 5):
        assert abs(int(np.isin(part, samples.pools["general"]).sum()) - 20) <= 1


def test_a_plan_has_the_batches_that_it_always_had() -> None:
    """A training that is gone on with must not draw otherwise than the one that was stopped."""
    samples = large_index(human=9, general=3)
    plan = BatchPlan(samples=samples, weights={"human": 0.6, "general": 0.4}, batch_size=3, seed=2)
    for epoch, expected in enumerate(BATCHES):
        batches = list(plan.epoch(epoch))
        drawn = [(str(each.bucket), {draw.number: draw.row for draw in each.draws}) for each in batches]
        assert drawn == expected
        assert [each.epoch for each in batches] == [epoch] * 6


def test_each_pass_over_a_pool_has_an_order_of_its_own() -> None:
    samples = large_index(human=60, general=10)
    plan = BatchPlan(samples=samples, weights={"human": 0.6, "general": 0.4}, batch_size=1, seed=2)
    general = set(samples.pools["general"].tolist())
    drawn = [draw.row for epoch in (0, 1) for batch in plan.epoch(epoch) for draw in batch.draws if draw.row in general]
    passes = [drawn[start : start + 10] for start in range(0, 80, 10)]
    assert len(drawn) == 80
    assert all(set(each) == general for each in passes)
    assert len({tuple(each) for each in passes}) == 8


def test_the_fingerprint_changes_with_all_that_changes_the_batches(uneven: EncodedDirectory) -> None:
    samples = read_index(uneven, held_out_fraction=0)

    def fingerprint(*, weights: dict[str, float] | None = None, batch_size: int = 4, seed: int = 3) -> str:
        return BatchPlan(
            samples=samples, weights=weights or {"human": 1.0}, batch_size=batch_size, seed=seed
        ).fingerprint

    assert fingerprint() == fingerprint(weights={"human": 5.0, "general": 0.0}), "shares are relative"
    assert len({fingerprint(), fingerprint(batch_size=2), fingerprint(seed=4)}) == 3


def test_some_sources_can_be_chosen(uneven: EncodedDirectory) -> None:
    everything = read_index(uneven, held_out_fraction=0)
    one = str(everything.table["source"][0])
    chosen = read_index(uneven, held_out_fraction=0, of_sources=(f"*{one[1:]}", "nobody"))
    assert set(chosen.table["source"].to_pylist()) == {one}
    assert 0 < len(chosen) < len(everything)
    assert chosen.fingerprint != everything.fingerprint
    with pytest.raises(ConfigError, match=r"no sample of nobody \(data.sources\)"):
        read_index(uneven, held_out_fraction=0, of_sources=("nobody",))
