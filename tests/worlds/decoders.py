"""Decoder distillations small enough for tests: a Wan autoencoder of a few channels, whose latents are drawn."""

from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKLWan

from model.codecs.vae import wan_vae_config
from model.network.transformer import SoulTransformer3DModel
from model.pretrained.assemble import build_pipeline
from tests.worlds.encoded_run import SampleSpec, make_encoded_run
from tests.worlds.recipes import small_overrides
from tests.worlds.small_model import small_model
from training.distributed.ranks import join_ranks
from training.recipes.recipe import Recipe, load_recipe
from training.stage import run_stage

SHARDS = ((SampleSpec(latent_frames=6),) * 6, (SampleSpec(latent_frames=6, latent_width=6),) * 4)
EVAE = {
    "encoded": "720p",
    "steps": 4,
    "batch_size": 2,
    "micro_batch": 1,
    "parallel__zero_stage": 1,
    "ema__decay": 0.9,
    "ema__device": "cpu",
    "optimizer__lr": 3e-3,
    "optimizer__warmup_steps": 2,
    "decoder__decoder_base_dim": 4,
    "decoder__crop__latent_frames": 2,
    "decoder__crop__latent_height": 3,
    "decoder__crop__latent_width": 3,
    "decoder__crop__warmup": 2,
    "decoder__lpips": "off",
}


def small_wan(decoder_base_dim: int = 8, *, seed: int = 0, **changes: Any) -> AutoencoderKLWan:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        vae = AutoencoderKLWan(**wan_vae_config() | {"base_dim": 4, "decoder_base_dim": decoder_base_dim} | changes)
    return vae.eval()


def make_teacher(run: Path) -> Path:
    """Encoded shards and a model directory with a small Wan autoencoder, which is returned."""
    make_encoded_run(run, shards=SHARDS)
    pipeline = build_pipeline("tiny", area=64 * 64, clip_latents=5, num_inference_steps=4, guidance_scale=1.0)
    transformer = SoulTransformer3DModel.from_pretrained(small_model() / "transformer")
    pipeline.register_modules(vae=small_wan(), transformer=transformer)
    pipeline.save_pretrained(run / "teacher")
    return run / "teacher"


def evae_overrides(run: Path, **changes: Any) -> list[str]:
    return small_overrides(**EVAE | {"initial": run / "teacher"} | changes)


def evae_recipe(run: Path, **changes: Any) -> Recipe:
    return load_recipe("evae", "local", evae_overrides(run, **changes))


def distil_decoder(run: Path, **changes: Any) -> Path:
    """Distil in this process, alone."""
    return run_stage("evae", evae_recipe(run, **changes), run, join_ranks())
