"""Telling networks apart without reading all of their weights."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from model.pretrained.assemble import Encoders

SAMPLES = 16
"""Values that are compared in each tensor, evenly spread. Training changes practically every value of a tensor, so two
networks that agree in all of these were not trained differently. Hashing all of UMT5 would read 11 GB."""

_PROBE = "A person talks to the camera, äöü."
_ONLY_DECODES = ("decoder.", "post_quant_conv.")
"""An eVAE differs from the VAE in these alone, so both encode the same."""
_IRRELEVANT = ("_", "decoder_base_dim", "transformers_version", "dtype", "torch_dtype", "architectures")
"""How the names of those entries of configurations begin that do not change what is encoded."""


def encoders_fingerprint(encoders: Encoders) -> str:
    """Sixteen hex digits: classes, configurations, and names, shapes and some values of all tensors that encode.

    Values are compared in bfloat16, so that it does not matter in which precision the weights were loaded.
    """
    digest = hashlib.sha256()
    for network in (encoders.vae, encoders.audio_encoder, encoders.text_encoder):
        config = network.config if isinstance(network.config, dict) else network.config.to_dict()
        relevant = {name: value for name, value in config.items() if not name.startswith(_IRRELEVANT)}
        digest.update(f"{type(network).__name__}{json.dumps(relevant, sort_keys=True, default=str)}".encode())
        for name, tensor in _tensors(network):
            digest.update(f"{name}{tuple(tensor.shape)}".encode())
            digest.update(_sampled(tensor))
    if encoders.tokenizer is not None:
        digest.update(str(encoders.tokenizer(_PROBE).input_ids).encode())
    return digest.hexdigest()[:16]


def _tensors(network: Any) -> Iterator[tuple[str, Tensor]]:
    for name, tensor in sorted(network.state_dict().items()):
        if not name.startswith(_ONLY_DECODES):
            yield name, tensor


def _sampled(tensor: Tensor) -> bytes:
    flat = tensor.detach().flatten()
    places = torch.linspace(0, max(len(flat) - 1, 0), min(SAMPLES, len(flat)), device=flat.device).long()
    return flat[places].to(torch.bfloat16).cpu().view(torch.int16).numpy().tobytes()
