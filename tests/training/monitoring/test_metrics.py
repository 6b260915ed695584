"""Averages, schedules and speed."""

import pytest
import torch

from curation.encoding.bucket import Bucket
from model.cost.flops import count_transformer_flops
from model.pretrained.presets import get_preset
from tests.worlds.encoded_run import SampleSpec, make_sample
from training.data.batch_plan import Draw, PlannedBatch
from training.data.loader import LoadedSample, MicroBatch
from training.distributed.ranks import join_ranks
from training.distributed.trained_model import OptimizerConfig
from training.monitoring.metrics import Averages
from training.monitoring.throughput import Throughput, transformer_cost


def test_means_are_weighted_and_begin_anew() -> None:
    averages, other, ranks = Averages(), Averages(), join_ranks()
    averages.add("loss", 3.0, 2)
    other.add("loss", 9.0)
    other.add("lr", 1.0)
    averages.merge(other)
    assert averages.collect(ranks) == {"loss": 4.0, "lr": 1.0}
    assert averages.collect(ranks) == {}


def test_a_look_at_the_means_does_not_begin_anew() -> None:
    averages = Averages()
    averages.add("loss", 3.0, 2)
    assert averages.means() == averages.means() == {"loss": 1.5}
    assert averages.collect(join_ranks()) == {"loss": 1.5}


def test_the_rate_warms_up_and_ends_at_a_tenth() -> None:
    config = OptimizerConfig(warmup_steps=4, schedule="cosine")
    factors = [config.factor(step, 24) for step in range(25)]
    assert factors[:4] == [0.25, 0.5, 0.75, 1.0]
    assert factors[14] == pytest.approx(0.55)
    assert factors[24] == pytest.approx(0.1)
    assert OptimizerConfig(warmup_steps=0).factor(0, 10) == 1.0


def test_speed_counts_three_forwards_of_each_sample() -> None:
    config = get_preset("tiny").transformer
    throughput = Throughput(transformer_cost(config, 64), torch.device("cpu"), num_ranks=6, ranks_per_sample=2)
    planned = PlannedBatch(epoch=0, index=0, bucket=Bucket(17, 64, 96), draws=(Draw(row=0, number=0),))
    loaded = LoadedSample(sample=make_sample(SampleSpec(), "a", 0), number=0, weight=1.0)
    averages = Averages()
    throughput.add(
        averages,
        [MicroBatch(planned=planned, index=0, samples=(loaded, loaded))],
        seconds=2.0,
        wait_s=0.5,
        forwards=3.0,
    )
    values = averages.collect(join_ranks())
    flops = count_transformer_flops(config, num_frames=17, height=64, width=96, num_text_tokens=64).total
    assert values["tflops"] == pytest.approx(3 * flops / 2 / 1e12)
    assert values["tokens_per_s"] == pytest.approx(6 * (5 * 2 * 3 / 2))
    assert values["data_wait_s"] == 0.5
    # No figure where the device's peak is not known.
    assert "mfu" not in values
