"""Real portraits, speech and video: what synthetic ones cannot show."""

import os
from itertools import islice
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from einops import rearrange
from torch.nn import functional

from model.codecs.audio import load_speech, num_video_frames
from model.codecs.image import AREAS, fit_image, size_for_area
from model.codecs.patch_dct import PatchDCTCodec
from model.codecs.vae import decode_video, encode_video
from model.media.portrait import load_image

SHARED = Path(os.environ.get("SOUL_SHARED", "../shared")) / "clips"
pytestmark = [pytest.mark.clips, pytest.mark.skipif(not SHARED.is_dir(), reason="needs SOUL_SHARED")]


def test_every_portrait_fits_every_area() -> None:
    portraits = sorted((SHARED / "portraits").iterdir())
    assert len(portraits) >= 5
    for path in portraits:
        image = load_image(path)
        for area in AREAS.values():
            height, width = size_for_area(image.width, image.height, area)
            assert abs(height * width / area - 1) < 0.06
        pixels = fit_image(image, *size_for_area(image.width, image.height, 256 * 256))
        # What the fit cuts off is little: the picture's mean colour stays.
        mean = np.asarray(image).reshape(-1, 3).mean(axis=0) / 127.5 - 1
        assert np.abs(pixels.mean(dim=(0, 2, 3)).numpy() - mean).max() < 0.05


def test_every_speech_file_is_read_to_its_last_sample() -> None:
    for path in sorted((SHARED / "speech").iterdir()):
        with av.open(str(path)) as container:
            rate_hz = container.streams.audio[0].rate
            num_source = sum(frame.samples for frame in container.decode(audio=0))
        waveform = load_speech(path)
        assert len(waveform) == -(-num_source * 16_000 // rate_hz)
        assert num_video_frames(len(waveform), 25) == -(-len(waveform) * 25 // 16_000)


def test_the_codec_keeps_faces_recognisable() -> None:
    codec = PatchDCTCodec()
    scores = []
    for path in sorted((SHARED / "video").glob("latentsync*.mp4")):
        with av.open(str(path)) as container:
            decoded = islice(container.decode(video=0), 9)
            frames = [frame.to_ndarray(format="rgb24") for frame in decoded]
        video = rearrange(torch.from_numpy(np.stack(frames)), "f h w c -> f c h w").float() / 127.5 - 1
        video = rearrange(functional.interpolate(video, (256, 256), mode="area"), "f c h w -> 1 c f h w")
        latents = encode_video(codec, video)
        scores.append(float(10 * torch.log10(4 / (decode_video(codec, latents) - video).square().mean())))
        # The statistics normalise real video to about unit variance.
        assert 0.3 < float(latents.std()) < 3
    assert len(scores) == 2
    assert min(scores) > 28, scores
