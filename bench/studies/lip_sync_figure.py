"""The figure of the lip-sync study: frames of truth and model, and both mouths over time."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from bench.studies.generation import Generated, Scene
from bench.studies.lip_sync_scores import VideoScore
from bench.studies.talking_faces.performance import FPS

NUM_SCENES: Final = 3
NUM_PICTURES: Final = 12


def draw_figure(path: Path, scenes: Sequence[Scene], videos: Sequence[Generated], scores: Sequence[VideoScore]) -> None:
    """Write a PNG of the scenes with the worst, the median and the best correlation."""
    order = sorted(range(len(scores)), key=lambda at: scores[at].r)
    chosen = sorted({order[0], order[len(order) // 2], order[-1]}, key=order.index)[:NUM_SCENES]
    figure = Figure(figsize=(13, 3.6 * len(chosen)), layout="constrained")
    FigureCanvasAgg(figure)
    rows = figure.subplots(2 * len(chosen), 1, squeeze=False, height_ratios=[1.25, 1] * len(chosen))[:, 0]
    for place, at in enumerate(chosen):
        scene, video, score = scenes[at], videos[at], scores[at]
        pictures, curves = rows[2 * place], rows[2 * place + 1]
        pictures.imshow(strip(scene, video))
        pictures.set_axis_off()
        pictures.set_title(f"r = {score.r:.2f}, told {score.motion_told}, seen {score.motion_seen}", loc="left")
        time_s = np.arange(score.num_frames) / FPS
        curves.plot(time_s, scene.take.opening, color="0.6", label="opening of the speech")
        curves.plot(time_s, score.opening, color="C3", linewidth=1, label="measured on the generated video")
        curves.set(xlim=(0, time_s[-1]), ylim=(-0.2, 1.2), xlabel="s")
    rows[1].legend(loc="upper right", ncols=2, fontsize="small")
    figure.savefig(path, dpi=110)


def strip(scene: Scene, video: Generated) -> npt.NDArray[np.uint8]:
    """Evenly spaced frames, truth above model, the reference in front of both."""
    at = np.linspace(0, len(video.frames) - 1, NUM_PICTURES).round().astype(int)
    above = np.hstack([scene.reference, *scene.take.frames[at]])
    below = np.hstack([scene.reference, *video.frames[at]])
    return np.vstack([above, below])
