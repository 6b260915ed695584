"""Attention of the blocks: over all tokens of a clip, or from them to a text.

Letters: B batch, F latent frames, S tokens of a latent frame, L text tokens, D model width, d channels of a
head.
"""

from diffusers.models.attention import AttentionModuleMixin
from diffusers.models.attention_dispatch import AttentionBackendName, dispatch_attention_fn
from einops import rearrange
from torch import Tensor, nn

from model.network.precision import FP32RMSNorm
from model.network.rope import RotaryTables, apply_rotary


class AttentionProcessor:
    """Projects, normalises, rotates and attends; the kernel is one of diffusers' attention backends.

    `model.set_attention_backend("flash")` (or "sage", "native", …) chooses it for every layer.
    """

    _attention_backend: AttentionBackendName | None = None
    _parallel_config = None

    def __call__(
        self, attn: "Attention", tokens: Tensor, context: Tensor, rotary_emb: RotaryTables | None = None
    ) -> Tensor:
        """Attend from `tokens` `(B, N, D)` to `context` `(B, M, D)`; with rotary tables, both are the same tensor."""
        value = rearrange(attn.to_v(context), "b m (heads d) -> b m heads d", heads=attn.heads)
        # One after the other, so that only one of them is held in fp32 at a time.
        query = self.prepare(attn.norm_q(attn.to_q(tokens)), attn.heads, rotary_emb).type_as(value)
        key = self.prepare(attn.norm_k(attn.to_k(context)), attn.heads, rotary_emb).type_as(value)
        attended = self.attend(query, key, value)
        attended = rearrange(attended, "b n heads d -> b n (heads d)").type_as(tokens)
        for layer in attn.to_out:
            attended = layer(attended)
        return attended

    def prepare(self, states: Tensor, heads: int, rotary_emb: RotaryTables | None) -> Tensor:
        """Split normalised `(B, N, D)` into `(B, N, heads, d)` and rotate them."""
        by_head: Tensor = rearrange(states, "b n (heads d) -> b n heads d", heads=heads)
        return by_head if rotary_emb is None else apply_rotary(by_head, rotary_emb)

    def attend(self, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        """Run the attention kernel on `(B, N, heads, d)` queries and `(B, M, heads, d)` keys and values."""
        attended: Tensor = dispatch_attention_fn(query, key, value, backend=self._attention_backend)
        return attended


class Attention(nn.Module, AttentionModuleMixin):
    """Multi-head attention with diffusers' parameter names and RMSNorm of queries and keys across heads.

    Args:
        dim: model width D; queries, keys and values have the same width.
        heads: number of heads; divides `dim`.
        eps: of the RMSNorms.
    """

    _default_processor_cls = AttentionProcessor
    _available_processors = (AttentionProcessor,)
    _supports_qkv_fusion = False
    processor: AttentionProcessor

    def __init__(self, dim: int, heads: int, eps: float) -> None:
        super().__init__()
        self.heads = heads
        self.to_q = nn.Linear(dim, dim)
        self.to_k = nn.Linear(dim, dim)
        self.to_v = nn.Linear(dim, dim)
        # diffusers puts a dropout second in this list; the index 0 is part of the weights' names.
        self.to_out = nn.ModuleList([nn.Linear(dim, dim)])
        self.norm_q = FP32RMSNorm(dim, eps=eps)
        self.norm_k = FP32RMSNorm(dim, eps=eps)
        self.processor = AttentionProcessor()

    def forward(self, tokens: Tensor, context: Tensor | None = None, rotary_emb: RotaryTables | None = None) -> Tensor:
        """Attend from every token of the clip.

        Args:
            tokens: `(B, F, S, D)`.
            context: `(B, L, D)` of the text; None for self-attention over all F·S tokens.
            rotary_emb: tables `(F·S, 1, d / 2)`, for self-attention.

        Returns:
            `(B, F, S, D)`.
        """
        flat = rearrange(tokens, "b f s d -> b (f s) d")
        attended = self.processor(self, flat, flat if context is None else context, rotary_emb)
        return rearrange(attended, "b (f s) d -> b f s d", f=tokens.shape[1])
