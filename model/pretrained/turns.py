"""A video made with the text encoder and the network in memory one after the other, never both.

In bf16 they take 11.4 and 12.3 GB. Loading them anew for each video costs a minute, so this is for machines that cannot
hold both.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from pathlib import Path

import torch

from model.generation.clips import GeneratedClip
from model.generation.encoded_request import ProgressCallback
from model.generation.pipeline import SoulPipeline
from model.generation.request import VideoRequest
from model.network.transformer import SoulTransformer3DModel
from model.weights.files import locate


def stream_in_turns(
    model: str | Path,
    request: VideoRequest,
    *,
    dtype: torch.dtype = torch.bfloat16,
    device: str = "cpu",
    on_step: ProgressCallback = lambda _clip, _step: None,
) -> Iterator[GeneratedClip]:
    """What `SoulPipeline.stream` makes, in less memory.

    Args:
        model: a model directory or a Hub id.
        request: what is asked for.
        dtype: of the networks; the autoencoder is fp32.
        device: where they run.
        on_step: called after every denoising step.

    Raises:
        ValueError: the model or the request is wrong; one line that says what.
    """
    directory = locate(model)
    types = {"default": dtype, "vae": torch.float32}
    pipeline = SoulPipeline.from_pretrained(directory, transformer=None, dtype=types).to(device)
    encoded = pipeline.encode(request, on_step=on_step)
    pipeline.register_modules(text_encoder=None)
    # Modules refer to themselves in circles.
    gc.collect()
    transformer = SoulTransformer3DModel.from_pretrained(directory / "transformer", torch_dtype=dtype)
    pipeline.register_modules(transformer=transformer.to(device).eval())
    yield from pipeline.clips(encoded)
