"""Parameters are counted as the networks have them."""

import pytest
import torch
from peft import LoraConfig

from model.pretrained.presets import PRESETS, build_transformer
from training.memory.network import count_adapters, count_block, count_block_matrices, count_parameters
from training.parts.dmd import LORA_LAYERS


@pytest.mark.parametrize("preset", PRESETS)
def test_the_counts_are_those_of_the_network(preset: str) -> None:
    config = PRESETS[preset].transformer
    with torch.device("meta"):
        network = build_transformer(config)
        assert count_parameters(config) == sum(each.numel() for each in network.parameters())
        block = network.blocks[0]
        assert count_block(config) == sum(each.numel() for each in block.parameters())
        matrices = [each.weight for each in block.modules() if isinstance(each, torch.nn.Linear)]
        assert count_block_matrices(config) == sum(each.numel() for each in matrices)


def test_adapters_are_counted_too() -> None:
    config = PRESETS["tiny"].transformer
    with torch.device("meta"):
        network = build_transformer(config)
        network.add_adapter(LoraConfig(r=3, lora_alpha=3, target_modules=list(LORA_LAYERS)))
    adapters = [each for name, each in network.named_parameters() if "lora" in name]
    assert count_adapters(config, 3) == sum(each.numel() for each in adapters)


def test_the_papers_network() -> None:
    assert count_parameters(PRESETS["soul-5b"].transformer) == 6_152_706_240
