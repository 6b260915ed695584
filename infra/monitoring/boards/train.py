"""The board of training. Its figures are those of `metrics.jsonl`: averages since the last logged step, over ranks."""

from __future__ import annotations

from typing import Final

from infra.monitoring.boards.board import Board, Panel, Query, Row, stat
from infra.monitoring.boards.jobs import GPUS

_OF: Final = '{run=~"$run"}'
_BY: Final = "{{stage}}"


def _lines(title: str, about: str, *names: str, unit: str = "short") -> Panel:
    queries = tuple(Query(expr=f"soul_training_{name}{_OF}", legend=f"{_BY} {name}") for name in names)
    return Panel(title=title, about=about, queries=queries, unit=unit)


TRAIN: Final = Board(
    name="train",
    title="Soul: train",
    about="How far a training is, whether it learns, what a step costs, and what it waits for.",
    runs="soul_training_steps",
    rows=(
        Row(
            title="Progress",
            panels=(
                Panel(
                    title="Done", kind="gauge", unit="percentunit", width=4, height=8, about="Share of the steps.",
                    queries=(Query(expr=f"soul_training_step{_OF} / soul_training_steps{_OF}", legend=_BY),),
                ),
                stat("Time left", "At the pace of the last steps that were logged; without validation and saving.",
                     f"(soul_training_steps{_OF} - soul_training_step{_OF}) * soul_training_s_per_step{_OF}", "s"),
                stat("Step", "The last that was logged.", f"soul_training_step{_OF}"),
                stat("Epoch", "Times that the data was gone through.", f"soul_training_epoch{_OF}"),
                stat("Samples", "Draws so far, of all ranks.", f"soul_training_samples{_OF}"),
            ),
        ),
        Row(
            title="Does it learn",
            panels=(
                _lines("Loss", "On what is trained on; on held-out clips, under the averaged weights.",
                       "loss", "validation_loss"),
                _lines("Gradient", "Norm before clipping. Spikes that do not come back are the beginning of the end.",
                       "grad_norm"),
                _lines("Learning rate", "As scheduled.", "lr"),
                _lines("What sound changes", "Share of the prediction that changes without sound: near 0, the lips do "
                       "not listen.", "audio_delta", unit="percentunit"),
            ),
        ),
        Row(
            title="What a step costs",
            panels=(
                _lines("Seconds a step", "Waiting included.", "s_per_step", unit="s"),
                _lines("Tokens a second", "Of all ranks.", "tokens_per_s"),
                _lines("MFU", "Share of a GPU's peak; what is computed twice to save memory does not count.",
                       "mfu", unit="percentunit"),
                Panel(
                    title="Waiting for data", unit="percentunit",
                    about="Share of a step. Above a few hundredths, give `data.workers` more, or the disk less to do.",
                    queries=(
                        Query(expr=f"soul_training_data_wait_s{_OF} / soul_training_s_per_step{_OF}", legend=_BY),
                    ),
                ),
                _lines("Seconds a checkpoint", "That training waited for it, not those of writing in the background.",
                       "save_s", unit="s"),
                _lines("TFLOP/s", "Of one device.", "tflops"),
            ),
        ),
        GPUS,
    ),
)  # fmt: skip
