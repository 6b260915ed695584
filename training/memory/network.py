"""Parameters of the network that makes latents, counted from its configuration.

Letters: D model width.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from model.pretrained.presets import TransformerConfig


def width(config: TransformerConfig) -> int:
    """D."""
    return config.num_attention_heads * config.attention_head_dim


def count_parameters(config: TransformerConfig) -> int:
    """All parameters."""
    dim = width(config)
    patch = config.patch_size[0] * config.patch_size[1] * config.patch_size[2]
    embedders = (
        _linear(config.in_channels * patch, dim)
        + _linear(config.freq_dim, dim)
        + _linear(dim, dim)
        + _linear(dim, 6 * dim)
        + _linear(config.text_dim, dim)
        + _linear(dim, dim)
        + _linear(config.audio_dim, dim)
        + 2 * dim
        + config.audio_window * dim
    )
    head = _linear(dim, config.out_channels * patch) + 2 * dim
    return embedders + config.num_layers * count_block(config) + head


def count_block(config: TransformerConfig) -> int:
    """Parameters of a block: three attentions, feed-forward, norms and modulation."""
    dim = width(config)
    attention = 4 * _linear(dim, dim) + 2 * dim
    norms = 4 * dim if config.cross_attn_norm else 0
    return 3 * attention + norms + _linear(dim, config.ffn_dim) + _linear(config.ffn_dim, dim) + 6 * dim


def count_block_matrices(config: TransformerConfig) -> int:
    """Numbers in the matrices of a block, of which autocast makes bf16 copies."""
    dim = width(config)
    return 12 * dim * dim + 2 * dim * config.ffn_dim


def count_adapters(config: TransformerConfig, rank: int) -> int:
    """Parameters of LoRA adapters on all attentions and feed-forward layers."""
    dim = width(config)
    return config.num_layers * rank * (12 * 2 * dim + 2 * (dim + config.ffn_dim))


def _linear(inputs: int, outputs: int) -> int:
    return inputs * outputs + outputs
