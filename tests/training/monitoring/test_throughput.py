"""Speeds are counted from what was computed, over all ranks that share it."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from curation.encoding.bucket import Bucket
from training.data.batch_plan import Draw, PlannedBatch
from training.data.loader import MicroBatch
from training.monitoring.metrics import Averages
from training.monitoring.throughput import Throughput

BUCKET = Bucket(17, 64, 96)


def batch(num_samples: int) -> MicroBatch:
    planned = PlannedBatch(epoch=0, index=0, bucket=BUCKET, draws=(Draw(row=0, number=0),))
    samples: Any = (None,) * num_samples
    return MicroBatch(planned=planned, index=0, samples=samples, skipped=())


def speeds(*, num_ranks: int = 1, ranks_per_sample: int = 1) -> dict[str, float]:
    """Of a step of two micro-batches of two and one samples: 3 forwards of 2e12 operations on 50 tokens, in 4 s."""
    asked: list[Bucket] = []

    def cost(bucket: Bucket) -> tuple[float, float]:
        asked.append(bucket)
        return 2e12, 50

    throughput = Throughput(cost, torch.device("cpu"), num_ranks=num_ranks, ranks_per_sample=ranks_per_sample)
    averages = Averages()
    throughput.add(averages, [batch(2), batch(1)], forwards=3.0, seconds=4.0, wait_s=0.5)
    assert asked == [BUCKET, BUCKET]
    return averages.means()


def test_operations_and_tokens_a_second() -> None:
    assert speeds() == pytest.approx(
        {"s_per_step": 4.0, "data_wait_s": 0.5, "tokens_per_s": 3 * 50 / 4, "tflops": 3 * 3 * 2 / 4}
    )


def test_ranks_that_share_a_sample_share_its_cost_and_all_ranks_tokens_count() -> None:
    shared = speeds(num_ranks=4, ranks_per_sample=2)
    assert shared["tokens_per_s"] == pytest.approx(4 * 3 * 50 / 2 / 4)
    assert shared["tflops"] == pytest.approx(3 * 3 * 2 / 2 / 4)
