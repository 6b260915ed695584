"""Training the network behind the patch-DCT codec."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from einops import rearrange

from bench.studies.patch_refiner import FRAMES_EACH, SIDE, drawn_takes, filmed_takes, train_refiner
from bench.studies.talking_faces.dataset import FacesConfig
from model.codecs.levels import pixels_of
from model.codecs.patch_dct import PatchDCTCodec
from tests.worlds.videos import write_video


def error(codec: PatchDCTCodec, frames: np.ndarray) -> float:
    pixels = pixels_of(rearrange(torch.from_numpy(frames), "t h w c -> 1 c t h w"))
    with torch.no_grad():
        return float((codec(pixels) - pixels).abs().mean())


def test_it_learns_to_mend_drawn_faces() -> None:
    takes = drawn_takes(FacesConfig(num_videos=6, size=96), people=6)
    assert {take.shape for take in takes} == {(FRAMES_EACH, 96, 96, 3)}
    torch.set_num_threads(1)
    codec = train_refiner(takes, [], steps=60, border_steps=40)
    frames = takes[0][:13]
    assert error(codec, frames) < 0.98 * error(PatchDCTCodec(), frames)


def test_videos_are_read_at_both_sizes_and_what_is_none_is_left_out(tmp_path: Path) -> None:
    write_video(tmp_path / "wide.mp4", size=(640, 360), seconds=3.0)
    write_video(tmp_path / "short.mp4", size=(640, 360), seconds=0.08)
    (tmp_path / "broken.mp4").write_bytes(b"no video at all")
    takes = filmed_takes(tmp_path, area=28_672, seconds=1.0)
    assert [take.shape for take in takes] == [(25, 128, 224, 3), (25, 160, 288, 3)]
    assert all(min(take.shape[1:3]) >= SIDE for take in takes)
