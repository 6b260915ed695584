"""The log in its own folder: lines of JSON, and TensorBoard's scalars, texts and animated pictures."""

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import (  # type: ignore[import-untyped]
    EventAccumulator,
)

from training.monitoring.animation import FRAME_MS, MAX_FRAMES, MAX_HEIGHT, MAX_WIDTH, animated
from training.monitoring.config import MonitoringConfig
from training.monitoring.log import Logs, open_logs
from training.monitoring.validation import beside, write_clip

RECIPE = {"steps": 9, "optimizer": {"lr": 1e-3}}
FPS = 25


def opened(folder: Path, first_step: int) -> Logs:
    return open_logs(folder, first_step, MonitoringConfig(), RECIPE, pytest.fail, total_steps=9)


def events(folder: Path) -> Any:
    read = EventAccumulator(str(folder / "tensorboard"))
    read.Reload()
    return read


def grey_video(path: Path, *, num_frames: int, height: int, width: int) -> Path:
    """Each frame is of one grey, which rises by 2 from frame to frame."""
    levels = np.arange(num_frames, dtype=np.uint8)[:, None, None, None] * 2
    write_clip(path, np.broadcast_to(levels, (num_frames, height, width, 3)), fps=FPS, wav=None)
    return path


def test_lines_beyond_the_step_gone_on_from_are_dropped(tmp_path: Path) -> None:
    log = opened(tmp_path, 0)
    for step in range(1, 6):
        log.scalars(step, {"loss": step / 3})
    log.close()
    with (tmp_path / "metrics.jsonl").open("a") as file:
        file.write('{"step": 6, "lo')
    again = opened(tmp_path, 3)
    again.scalars(4, {"loss": 0.5})
    again.close()
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [1, 2, 3, 4]
    assert lines[-1]["loss"] == 0.5


def test_tensorboard_shows_each_step_once(tmp_path: Path) -> None:
    for first_step, steps in ((0, range(1, 6)), (3, range(4, 8))):
        log = opened(tmp_path, first_step)
        for step in steps:
            log.scalars(step, {"loss": step + first_step, "lr": 0.5})
        log.close()
    events = EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    assert sorted(events.Tags()["scalars"]) == ["loss", "lr"]
    assert [(each.step, each.value) for each in events.Scalars("loss")] == [
        (1, 1), (2, 2), (3, 3), (4, 7), (5, 8), (6, 9), (7, 10),
    ]  # fmt: skip


def test_what_is_not_a_number_is_null(tmp_path: Path) -> None:
    log = opened(tmp_path, 0)
    log.scalars(1, {"loss": 0.5, "validation_loss": float("nan"), "mfu": float("inf")})
    log.close()
    values = json.loads((tmp_path / "metrics.jsonl").read_text(), parse_constant=lambda _: pytest.fail("not JSON"))
    assert values == {"step": 1, "loss": 0.5, "validation_loss": None, "mfu": None}


def test_tensorboard_has_the_recipe_and_the_prompts_as_text(tmp_path: Path) -> None:
    for first_step in (0, 3):
        log = opened(tmp_path, first_step)
        log.text(first_step, "validation/anna", f"A woman speaks. {first_step}")
        log.close()
    read = events(tmp_path)
    assert sorted(read.Tags()["tensors"]) == ["recipe", "validation/anna"]
    texts = {tag: read.Tensors(tag)[-1].tensor_proto.string_val[0].decode() for tag in read.Tags()["tensors"]}
    assert texts["validation/anna"] == "A woman speaks. 3"
    fenced = texts["recipe"].removeprefix("```yaml\n").removesuffix("```")
    assert yaml.safe_load(fenced) == RECIPE


def test_a_video_is_shown_as_a_small_animation(tmp_path: Path) -> None:
    path = grey_video(tmp_path / "clip.mp4", num_frames=50, height=320, width=480)
    log = opened(tmp_path, 0)
    log.video(7, "validation/anna", path, "A woman speaks.")
    log.close()
    (shown,) = events(tmp_path).Images("validation/anna")
    assert (shown.step, shown.width, shown.height) == (7, 384, 256)
    with Image.open(io.BytesIO(shown.encoded_image_string)) as gif:
        assert (gif.format, gif.size, gif.n_frames) == ("GIF", (384, 256), 16)  # type: ignore[attr-defined]
        assert gif.info["duration"] == FRAME_MS
        for number in range(gif.n_frames):  # type: ignore[attr-defined]
            gif.seek(number)
            frame = int(np.ceil(number * FRAME_MS / 1000 * FPS))
            level = float(np.asarray(gif.convert("RGB")).mean())
            assert level == pytest.approx(2 * frame, abs=3), "the frame that is shown at that time"


@pytest.mark.parametrize(("height", "width"), [(64, 64), (64, 1280), (1088, 64)])
def test_an_animation_is_bounded_and_never_enlarged(tmp_path: Path, height: int, width: int) -> None:
    made = animated(grey_video(tmp_path / "clip.mp4", num_frames=100, height=height, width=width))
    assert made.height <= min(height, MAX_HEIGHT)
    assert made.width <= min(width, MAX_WIDTH)
    assert made.width / made.height == pytest.approx(width / height, rel=0.05)
    with Image.open(io.BytesIO(made.gif)) as gif:
        assert gif.n_frames <= MAX_FRAMES  # type: ignore[attr-defined]


def test_the_truth_stands_left_of_what_was_made() -> None:
    truth, made = np.zeros((3, 4, 6, 3), np.uint8), np.full((3, 4, 6, 3), 255, np.uint8)
    shown = beside(truth, made)
    assert shown.shape == (3, 4, 12, 3)
    assert not shown[:, :, :6].any()
    assert (shown[:, :, 6:] == 255).all()
