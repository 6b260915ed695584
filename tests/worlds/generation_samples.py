"""Samples of which videos are made, and the command that makes them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import numpy.typing as npt

from bench.__main__ import main
from curation.media import iter_frames
from tests.worlds.pipelines import noise, picture, write_wav

ONE, TWO, BAD, NO_SOUND = (
    "0001_human_talk_en_female",
    "0002_human_sing_cn_male",
    "0003_comic_talk_en_unknown",
    "0004_human_talk_en_male",
)


def write_samples(directory: Path) -> Path:
    """Four samples: two whole ones, one with a broken image, one without sound."""
    directory.mkdir()
    for number, id_ in enumerate((ONE, TWO, BAD, NO_SOUND)):
        (directory / f"{id_}.json").write_text(json.dumps({"en_prompt": f"Person {number} speaks."}))
        picture(64 + 16 * number, 64).save(directory / f"{id_}.png")
        if id_ != NO_SOUND:
            write_wav(directory / f"{id_}.wav", noise(0.3 + 0.1 * number, seed=number))
    (directory / f"{BAD}.png").write_bytes(b"not an image")
    return directory


def generate(model: Path | str, samples: Path, out: Path, *more: str) -> int:
    return main(["generate", "--model", str(model), "--samples", str(samples), "--out", str(out), *more])


def pixels(out: Path, id_: str) -> npt.NDArray[np.int16]:
    """(F, H, W, 3); x264 itself does not give the same bytes twice on every processor."""
    return np.stack([frame.image for frame in iter_frames(str(out / f"{id_}.mp4"))]).astype(np.int16)
