"""Distillations small enough for tests: a teacher of one block, a few steps on made shards."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import torch

from model.network.transformer import SoulTransformer3DModel
from model.pretrained.assemble import build_pipeline
from tests.worlds.encoded_run import SampleSpec, make_encoded_run
from tests.worlds.networks import randomise
from tests.worlds.recipes import small_overrides
from training.distributed.ranks import join_ranks
from training.recipes.recipe import load_recipe
from training.stage import run_stage

SHARDS = ((SampleSpec(latent_frames=4),) * 7, (SampleSpec(latent_frames=4, latent_width=6),) * 4)
TEACHER = {"num_attention_heads": 2, "attention_head_dim": 24, "freq_dim": 32, "ffn_dim": 64, "num_layers": 1}
DISTIL = {
    "encoded": "720p",
    "steps": 7,
    "parallel__zero_stage": 2,
    "dmd__critic_updates": 3,
    "dmd__critic__lr": 1e-3,
    "dmd__teacher": "resident",
    "ema__start_step": 0,
}


def make_distillation(run: Path) -> Path:
    """Encoded shards and a teacher's model directory, which is returned."""
    make_encoded_run(run, shards=SHARDS)
    pipeline = build_pipeline("tiny", area=64 * 64, clip_latents=4, overlap_latents=1)
    config = {name: value for name, value in dict(pipeline.transformer.config).items() if not name.startswith("_")}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        transformer = SoulTransformer3DModel(**config | TEACHER)
        randomise(transformer)
    pipeline.register_modules(transformer=transformer)
    pipeline.save_pretrained(run / "teacher")
    return run / "teacher"


def distil_overrides(run: Path, **changes: Any) -> list[str]:
    return small_overrides(**DISTIL | {"initial": run / "teacher"} | changes)


def distil(run: Path, **changes: Any) -> Path:
    """Distil in this process, alone."""
    return run_stage("distill", load_recipe("distill", "local", distil_overrides(run, **changes)), run, join_ranks())


def launch_distillation(run: Path, **changes: Any) -> subprocess.Popen[str]:
    """The same in a process of its own, by the command that people type."""
    options = [part for override in distil_overrides(run, **changes) for part in ("--set", override)]
    return subprocess.Popen(
        [sys.executable, "-m", "training", "run", "--stage", "distill", "--run", str(run), *options],
        env={**os.environ, "OMP_NUM_THREADS": str(torch.get_num_threads())},
        stderr=subprocess.PIPE,
        text=True,
    )


def wait_for_step(run: Path, step: int, process: subprocess.Popen[str]) -> None:
    """Until so many steps are logged; fails when the process ends before."""
    log = run / "train/distill/metrics.jsonl"
    deadline = time.monotonic() + 300
    while not (log.is_file() and len(log.read_text().splitlines()) >= step):
        assert process.poll() is None, process.stderr.read() if process.stderr else ""
        assert time.monotonic() < deadline
        time.sleep(0.02)


def metrics(run: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (run / "train/distill/metrics.jsonl").read_text().splitlines()]


def losses(run: Path) -> list[dict[str, float]]:
    """What tells two trainings apart: losses, sizes and gradient norms of every step."""
    names = ("generator_loss", "gradient_size", "normaliser", "grad_norm", "critic_loss", "critic_grad_norm")
    return [{name: line[name] for name in names if name in line} for line in metrics(run)]
