"""A tiny Soul-Bench: samples and a method's videos with known truth, good and bad."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import soundfile
from skimage import data

from tests.worlds.moving_mouth import RATE_HZ, frames, syllables, voice, write_video

SECONDS = 2.2
"""Length of the talk: just more than the 50 frames that lips are compared over, because every frame costs a flow."""
TALKING = "0001_human_talk_en_female"
OTHER = "0002_human_talk_en_female"
SILENT = "0003_human_sing_cn_female"
FACELESS = "0004_comic_talk_en_male"
BROKEN = "0005_human_talk_cn_male"
EMPTY = "0006_human_talk_en_male"
MISSING = "0007_human_talk_en_male"


def portrait() -> npt.NDArray[np.uint8]:
    return np.ascontiguousarray(data.astronaut()[:, :, ::-1])


def around_the_face(images: Sequence[npt.NDArray[np.uint8]]) -> list[npt.NDArray[np.uint8]]:
    """The part of the portrait that has the face, 224 × 224: a fifth of the pixels to encode, decode and measure."""
    return [np.ascontiguousarray(image[8:232, 108:332]) for image in images]


def write_samples(directory: Path) -> Path:
    """Seven samples; the first two have a voice of their own, the third's image is tinted."""
    directory.mkdir(parents=True)
    for number, id_ in enumerate((TALKING, OTHER, SILENT, FACELESS, BROKEN, EMPTY, MISSING)):
        (directory / f"{id_}.json").write_text(json.dumps({"en_prompt": "A woman speaks.", "message": "Hello"}))
        image = portrait()
        if id_ == SILENT:
            image = np.asarray(np.clip(image * np.array([1.3, 1.0, 0.7]), 0, 255), np.uint8)
        cv2.imwrite(str(directory / f"{id_}.png"), image)
        if id_ in {TALKING, OTHER}:
            soundfile.write(str(directory / f"{id_}.wav"), voice(syllables(SECONDS, number)), RATE_HZ)
    return directory


def write_method(directory: Path) -> Path:
    """Videos: a mouth that moves with its voice, twice; then silent, faceless, broken, empty and missing ones."""
    directory.mkdir(parents=True)
    for number, id_ in enumerate((TALKING, OTHER)):
        loudness = syllables(SECONDS, number)
        write_video(directory / f"{id_}.mp4", around_the_face(frames(loudness, SECONDS)), voice(loudness))
    silence = np.zeros(RATE_HZ * 2, np.int16)
    write_video(directory / f"{SILENT}.mp4", around_the_face(frames(syllables(2.0, 3), 2.0)), silence)
    noise = np.random.default_rng(0).integers(0, 255, (50, 8, 8, 3)).astype(np.uint8)
    scenery = [cv2.resize(image, (64, 64), interpolation=cv2.INTER_CUBIC) for image in noise]
    write_video(directory / f"{FACELESS}.mp4", scenery, voice(syllables(2.0, 4)))
    (directory / f"{BROKEN}.mp4").write_bytes(b"not a video" * 50)
    (directory / f"{EMPTY}.mp4").write_bytes(b"")
    return directory
