"""How fast a training is: seconds, tokens and floating-point operations of its steps, and the device's peak."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache

import torch

from curation.encoding.bucket import Bucket
from model.cost.flops import count_transformer_flops
from model.device import peak_bf16_flops
from model.pretrained.presets import TransformerConfig
from training.data.loader import MicroBatch
from training.monitoring.metrics import Averages

Cost = Callable[[Bucket], tuple[float, float]]
"""Takes a bucket; returns the operations and the tokens of one forward for a sample of it."""


class Throughput:
    """Adds the speed of each step to the averages.

    Model FLOPs utilisation (MFU) counts the objective's forwards (a backward is two). What is computed twice to save
    memory does not count.

    Args:
        cost: see `Cost`.
        device: the device of this rank; there is no MFU for a device whose peak is not known.
        num_ranks: ranks that train, all with the same amount of work.
        ranks_per_sample: ranks that share a sample (sequence parallelism).
    """

    def __init__(self, cost: Cost, device: torch.device, *, num_ranks: int, ranks_per_sample: int) -> None:
        self.cost = cost
        self.peak = peak_bf16_flops(device)
        self.num_ranks = num_ranks
        self.ranks_per_sample = ranks_per_sample

    def add(
        self,
        averages: Averages,
        batches: Sequence[MicroBatch],
        *,
        forwards: float,
        seconds: float,
        wait_s: float,
    ) -> None:
        """Take in one step of this rank.

        Args:
            averages: where `s_per_step`, `data_wait_s`, `tokens_per_s` (of all ranks together), `tflops` and `mfu` (of
                one device) are added.
            batches: what the step was made of.
            forwards: what the step computed for each sample, in forwards of the network.
            seconds: how long the step took, waiting included.
            wait_s: how long the rank waited for data.
        """
        flops = tokens = 0.0
        for batch in batches:
            operations, num_tokens = self.cost(batch.planned.bucket)
            flops += forwards * operations * len(batch.samples) / self.ranks_per_sample
            tokens += num_tokens * len(batch.samples) / self.ranks_per_sample
        averages.add("s_per_step", seconds)
        averages.add("data_wait_s", wait_s)
        averages.add("tokens_per_s", self.num_ranks * tokens, seconds)
        averages.add("tflops", flops / 1e12, seconds)
        if self.peak is not None:
            averages.add("mfu", flops / self.peak, seconds)


def transformer_cost(config: TransformerConfig, text_tokens: int) -> Cost:
    """What a forward of the network costs, with so many text tokens."""
    return lambda bucket: _cost(config, bucket, text_tokens)


@lru_cache(maxsize=256)
def _cost(config: TransformerConfig, bucket: Bucket, text_tokens: int) -> tuple[int, int]:
    flops = count_transformer_flops(
        config, num_frames=bucket.frames, height=bucket.height, width=bucket.width, num_text_tokens=text_tokens
    )
    return flops.total, flops.num_tokens
