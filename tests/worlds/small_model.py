"""A model directory with every part of the real one and a network of one block, which trains in milliseconds."""

import atexit
import shutil
import tempfile
from functools import cache
from pathlib import Path

import torch

from model.network.transformer import SoulTransformer3DModel
from model.pretrained.assemble import build_pipeline
from tests.worlds.networks import randomise

ONE_BLOCK = {"num_attention_heads": 2, "attention_head_dim": 24, "freq_dim": 32, "ffn_dim": 64, "num_layers": 1}


def make_small_model(directory: Path, *, seed: int = 0) -> Path:
    """Write a model directory; the same for the same seed."""
    pipeline = build_pipeline("tiny", area=64 * 64, clip_latents=4, overlap_latents=1)
    config = {name: value for name, value in dict(pipeline.transformer.config).items() if not name.startswith("_")}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        transformer = SoulTransformer3DModel(**config | ONE_BLOCK)
        randomise(transformer)
    pipeline.register_modules(transformer=transformer)
    pipeline.save_pretrained(directory)
    return directory


@cache
def small_model() -> Path:
    """A model directory for all tests of a process; they only read it."""
    folder = Path(tempfile.mkdtemp(prefix="soul-small-model-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return make_small_model(folder / "small")
