"""The figure of the decoder study: how far the student is from its teacher over steps, and frames of both."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import torch
from einops import rearrange
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from torch import Tensor

from bench.studies.decoder_scores import Shown
from bench.studies.small_vae import Frames
from bench.studies.training_run import TrainingRun
from model.codecs.levels import levels_of

CURVES: Final = {"validation_loss": "loss", "validation_psnr": "PSNR, dB"}
NUM_PEOPLE: Final = 5


def draw_figure(path: Path, run: TrainingRun, shown: Sequence[Shown]) -> None:
    """Write a PNG: a panel for each curve, then original, teacher and student of some people, one below the other."""
    figure = Figure(figsize=(11, 3.8), layout="constrained")
    FigureCanvasAgg(figure)
    left, right = figure.subfigures(1, 2, squeeze=False)[0]
    left.suptitle("student against teacher, held-out clips", fontsize="medium")
    for panel, (name, title) in zip(left.subplots(1, len(CURVES)), CURVES.items(), strict=True):
        curve = run.logged(name)
        panel.plot(list(curve), list(curve.values()), marker=".")
        panel.set(xlabel="step")
        panel.set_title(title, fontsize="medium")
    rows = right.subplots(3, 1)
    for row, name in zip(rows, ("original", "teacher", "student"), strict=True):
        row.imshow(_side_by_side([getattr(person, name) for person in shown[:NUM_PEOPLE]]))
        row.set(xticks=[], yticks=[], ylabel=name)
    figure.savefig(path, dpi=90)


def _side_by_side(pictures: Sequence[Tensor]) -> Frames:
    """(3, S, S) each in [-1, 1] to one (S, all, 3) of bytes."""
    picture: Frames = rearrange(levels_of(torch.cat(list(pictures), dim=2)), "c h w -> h w c").numpy()
    return picture
