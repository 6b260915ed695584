"""What a forward and a backward of the network hold beside its weights, in bytes; a rank's share of the clip.

The factors are counted on the network as it is written, on fake tensors: `tests/training/memory/test_activations.py`
counts again. A kernel that fuses norms, rotation or modulation needs less (on an H200 a block saves a tenth less than
here, compiled a third less), so these are upper bounds.

Letters: B batch, N tokens of a rank, M tokens of text and sound, D model width.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from training.memory.network import count_block_matrices, width

if TYPE_CHECKING:
    from curation.encoding.bucket import Bucket
    from model.pretrained.presets import TransformerConfig
    from training.distributed.gradient_checkpointing import GradientCheckpointing

FP32 = 4
TEXT_TOKENS = 512
"""Text tokens of a clip, padding included."""


def tokens_of(config: TransformerConfig, bucket: Bucket) -> int:
    """Tokens of a latent frame."""
    _, height, width_ = bucket.latent_shape
    _, rows, columns = config.patch_size
    return (height // rows) * (width_ // columns)


@dataclass(frozen=True, kw_only=True, slots=True)
class Work:
    """What one rank computes at a time."""

    network: TransformerConfig
    bucket: Bucket
    """Length and size of the clips."""
    micro_batch: int
    """B."""
    sequence_parallel: int
    """Ranks that share each clip."""
    number_bytes: int
    """Of what matrix products take and give: 2 in bf16, 4 in fp32."""
    stream_bytes: int
    """Of the residual stream between blocks."""

    @property
    def tokens(self) -> int:
        """B·N."""
        frames = self.bucket.latent_shape[0]
        return self.micro_batch * frames * tokens_of(self.network, self.bucket) // self.sequence_parallel

    @property
    def context_tokens(self) -> int:
        """B·M: every rank has all of them."""
        frames = self.bucket.latent_shape[0]
        return self.micro_batch * (TEXT_TOKENS + frames * self.network.audio_window)

    def block_input(self) -> int:
        """The input of a block, which is kept of each block where blocks are computed again."""
        return self.tokens * width(self.network) * self.stream_bytes

    def attention_output(self) -> int:
        """The output of a block's self-attention, which is kept of each block where attention is not computed again."""
        return self.tokens * width(self.network) * self.number_bytes

    def saved_by_block(self) -> int:
        """What one block keeps for its backward: 16 states in fp32 (around norms, rotation and gates), 12 in the type
        of the products (around the attentions), and both sides of the feed-forward's activation."""
        config, number = self.network, self.number_bytes
        a_token = width(config) * (16 * FP32 + 12 * number) + 2 * config.ffn_dim * number
        tables = FP32 * config.attention_head_dim
        a_context_token = width(config) * (2 * FP32 + 3 * number)
        return self.tokens * (a_token + tables) + self.context_tokens * a_context_token

    def saved(self, checkpointing: GradientCheckpointing) -> int:
        """What the forward keeps of all blocks."""
        layers = self.network.num_layers
        if checkpointing == "none":
            return layers * self.saved_by_block()
        extra = self.attention_output() if checkpointing == "attention" else 0
        return layers * (self.block_input() + extra)

    def computed_again(self, checkpointing: GradientCheckpointing) -> int:
        """What the block holds that is computed again, while its backward goes on."""
        return 0 if checkpointing == "none" else self.saved_by_block()

    def weight_copies(self, checkpointing: GradientCheckpointing) -> int:
        """bf16 copies of matrices that a backward needs: of one block, or of all where none is computed again."""
        if self.number_bytes == FP32:
            return 0
        return (
            self.number_bytes
            * count_block_matrices(self.network)
            * (self.network.num_layers if checkpointing == "none" else 1)
        )

    def backward(self) -> int:
        """Gradients on their way through a block; they are largest in its feed-forward layer."""
        config = self.network
        return self.tokens * (2 * config.ffn_dim * self.number_bytes + width(config) * FP32)

    def forward(self) -> int:
        """What a forward without a gradient holds, at most: in a feed-forward layer."""
        config = self.network
        return self.tokens * self.number_bytes * (2 * config.ffn_dim + 3 * width(config))
