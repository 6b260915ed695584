import torch

from bench.efficiency.peak_memory import measure_peak_memory
from bench.speed.block import (
    PER_FRAME,
    PER_TOKEN,
    WITH_AUDIO,
    BlockBenchConfig,
    BlockCost,
    format_costs,
    measure_blocks,
)

MIB = 2**20


def test_peak_memory_counts_what_lives_at_the_same_time() -> None:
    with measure_peak_memory(torch.device("cpu")) as peak:
        for _ in range(4):
            first = torch.ones(10 * MIB, dtype=torch.uint8)
            del first
        both = torch.ones(20 * MIB, dtype=torch.uint8), torch.ones(10 * MIB, dtype=torch.uint8)
        del both
    assert peak.grown_bytes == 30 * MIB


def test_modulation_per_frame_takes_less_memory_than_per_token() -> None:
    config = BlockBenchConfig(num_heads=2, ffn_dim=256, num_text_tokens=8, repeats=1)
    costs = {cost.name: cost for cost in measure_blocks(config)}
    assert set(costs) == {PER_TOKEN, PER_FRAME, WITH_AUDIO}
    num_tokens = config.num_frames * config.height * config.width
    modulation_bytes = num_tokens * 6 * config.dim * 4
    saved = costs[PER_TOKEN].peak_bytes - costs[PER_FRAME].peak_bytes
    assert saved > modulation_bytes
    assert all(cost.median_s > 0 for cost in costs.values())


def test_table_gives_ratios_to_the_first() -> None:
    costs = [
        BlockCost(name="a", median_s=0.2, peak_bytes=4 * MIB),
        BlockCost(name="b", median_s=0.1, peak_bytes=MIB),
    ]
    rows = [line.split() for line in format_costs(costs).splitlines()]
    assert rows[1:] == [["a", "200.0", "1.00", "4.0", "1.00"], ["b", "100.0", "0.50", "1.0", "0.25"]]
