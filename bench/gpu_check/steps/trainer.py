"""Small trainings from beginning to end, as `python -m training run` makes them, each once more to go on from its
checkpoint: flow matching, then a distillation of what it has trained.
"""

from __future__ import annotations

import io
import tempfile
from collections.abc import Iterator
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from statistics import median
from typing import Final

from bench.gpu_check.figure import Figure
from bench.gpu_check.measuring import now
from bench.gpu_check.setting import Setting
from bench.studies.talking_faces.dataset import FacesConfig, make_dataset
from bench.studies.training_run import STAGE, TrainingRun
from training.distributed.ranks import join_ranks
from training.stage import run_stage

STEPS: Final = 4
"""Of each training; half of them are made after going on."""
FACES: Final = FacesConfig(num_videos=12, clips_per_video=2, clip_frames=9)
SETTINGS: Final = (
    *("batch_size=2", "micro_batch=1", "data.workers=0", "log_every=1", "audio_delta_every=2"),
    *("optimizer.warmup_steps=0", "ema.decay=0.5", "validation.videos=1", "validation.loss_samples=1"),
    *("parallel.zero_stage=2", "parallel.precision=bfloat16", "parallel.gradient_checkpointing=full"),
    "parallel.compile=auto",
)
"""The least work that goes through everything."""
DISTILLATION: Final = ("ema.start_step=0", "dmd.critic_updates=2", "dmd.teacher=offload", "encoded=720p")


def measure(setting: Setting) -> Iterator[Figure]:
    """Two figures for each training."""
    ranks = join_ranks()
    with tempfile.TemporaryDirectory() as name:
        run = Path(name)
        make_dataset(run, FACES)
        start = "tiny"
        for stage, settings in ((STAGE, SETTINGS), ("distill", SETTINGS + DISTILLATION)):
            made: dict[int, float] = {}
            for steps in (STEPS // 2, STEPS):
                training = TrainingRun(run=run, stage=stage, steps=steps, start=start, settings=settings)
                started = now(setting.device)
                # What a training tells a person would come between the figures.
                with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
                    run_stage(stage, training.recipe(), run, ranks, initial=start)
                took_s = now(setting.device) - started
                before, made = made, training.logged("s_per_step")
                yield Figure(
                    what=f"{stage}, to step {steps}: all of it",
                    seconds=took_s,
                    also={"a_step_s": round(median(made.values()), 3)}
                    | ({"goes_on": before.items() <= made.items()} if before else {}),
                )
            start = str(training.model)
