"""Mouth sync and face colour on a portrait whose mouth moves with its voice."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from bench.evaluation.controls import make
from bench.metrics.identity_colour import IdentityColour
from bench.metrics.metric import VideoInput
from bench.metrics.mouth_sync import MouthSync
from bench.samples.samples import read_samples
from tests.worlds.bench_samples import FACELESS, OTHER, SILENT, TALKING


@pytest.fixture(scope="module")
def talking(samples_dir: Path, videos_dir: Path) -> VideoInput:
    return VideoInput(path=videos_dir / f"{TALKING}.mp4", sample=read_samples(samples_dir)[TALKING])


def test_a_mouth_agrees_with_its_own_voice_only(talking: VideoInput, samples_dir: Path, tmp_path: Path) -> None:
    metric = MouthSync()
    own = metric(talking)
    assert own.reason is None
    assert set(own.values) == {value.name for value in metric.values}
    assert own.values["mouth_offset_abs"] <= 2
    donor = read_samples(samples_dir)[OTHER]
    shuffled = metric(make("shuffled-audio", talking, donor, tmp_path))
    late = metric(make("shift+5", talking, None, tmp_path))
    early = metric(make("shift-5", talking, None, tmp_path))
    assert own.values["mouth_agreement"] > 2 * shuffled.values["mouth_agreement"]
    assert late.values["mouth_offset"] == own.values["mouth_offset"] + 5
    assert early.values["mouth_offset"] == own.values["mouth_offset"] - 5
    assert own.values["mouth_agreement"] > late.values["mouth_agreement"] + 0.2
    assert own.values["mouth_speed"] == late.values["mouth_speed"] > 0


def test_a_frozen_mouth_has_no_speed(talking: VideoInput, tmp_path: Path) -> None:
    frozen = MouthSync()(make("frozen", talking, None, tmp_path))
    assert frozen.values["mouth_speed"] < 0.005
    assert frozen.values["mouth_agreement"] < 0.5 * MouthSync()(talking).values["mouth_agreement"]


def test_what_has_no_sound_or_no_face_says_so(talking: VideoInput, videos_dir: Path) -> None:
    assert MouthSync()(replace(talking, path=videos_dir / f"{SILENT}.mp4")).reason == "silent"
    assert MouthSync()(replace(talking, path=videos_dir / f"{FACELESS}.mp4")).reason == "no face"
    assert IdentityColour()(replace(talking, path=videos_dir / f"{FACELESS}.mp4")).reason == "no face"


def test_face_colour_is_that_of_the_portrait_or_it_is_not(talking: VideoInput, samples_dir: Path) -> None:
    metric = IdentityColour()
    same = metric(talking)
    tinted = metric(replace(talking, sample=read_samples(samples_dir)[SILENT]))
    assert (
        same.values["face_colour_error"] < 3 < 3 * same.values["face_colour_error"] < tinted.values["face_colour_error"]
    )
    assert abs(same.values["face_colour_drift"]) < 2, "of two seconds, in which the mouth moves"


def test_reference_images_that_cannot_serve(talking: VideoInput, tmp_path: Path) -> None:
    metric = IdentityColour()
    assert metric(replace(talking, sample=replace(talking.sample, image=None))).reason == "no reference image"
    cv2.imwrite(str(tmp_path / "grey.png"), np.full((200, 200, 3), 127, np.uint8))
    grey = replace(talking.sample, image=tmp_path / "grey.png")
    assert metric(replace(talking, sample=grey)).reason == "no face in the reference image"
    (tmp_path / "broken.png").write_bytes(b"no picture")
    broken = replace(talking.sample, image=tmp_path / "broken.png")
    assert metric(replace(talking, sample=broken)).reason == "unreadable reference image"
