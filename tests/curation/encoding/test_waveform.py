from __future__ import annotations

import io

import numpy as np
import pytest
import soundfile
import torch

from curation.encoding.waveform import lay_out_sound


@pytest.mark.parametrize(("fps", "start"), [(25, 0), (25, 8), (24, 7), (24, 1), (30, 5)])
def test_the_wav_is_that_of_the_window_alone(fps: int, start: int) -> None:
    waveform = torch.rand(16_000 * 5) * 2 - 1
    sound = lay_out_sound(waveform, start=start, num_frames=81, fps=fps)
    begin = round(start / fps * 16_000)
    assert (sound.start, sound.num_frames) == (start, 81)
    assert torch.equal(sound.waveform, waveform)
    samples, rate = soundfile.read(io.BytesIO(sound.wav), dtype="int16")
    expected = np.round(waveform[begin : begin + round(81 / fps * 16_000)].numpy() * 32768).clip(-32768, 32767)
    assert rate == 16_000
    assert np.array_equal(samples, expected)


def test_sound_that_ends_early_is_silent_to_the_end() -> None:
    sound = lay_out_sound(torch.ones(16_000) * 0.5, start=8, num_frames=109, fps=25)
    samples, _ = soundfile.read(io.BytesIO(sound.wav), dtype="int16")
    assert len(samples) == 109 * 640
    assert samples[16_000 - 8 * 640 :].any() == 0
    assert sound.waveform.shape == (16_000,)


def test_sound_beyond_full_scale_is_clipped_to_sixteen_bits() -> None:
    waveform = torch.tensor([1.0, 1.5, -1.0, -1.5, 0.5, 0.6 / 32768, -0.6 / 32768, 0.4 / 32768])
    wav = lay_out_sound(waveform, start=0, num_frames=1, fps=25).wav
    samples, _ = soundfile.read(io.BytesIO(wav), dtype="int16")
    assert samples[:8].tolist() == [32767, 32767, -32768, -32768, 16384, 1, -1, 0]
    info = soundfile.info(io.BytesIO(wav))
    assert (info.format, info.subtype, info.channels, info.frames) == ("WAV", "PCM_16", 1, 640)


def test_a_window_after_the_sound_is_silent() -> None:
    sound = lay_out_sound(torch.ones(16_000), start=50, num_frames=25, fps=25)
    samples, _ = soundfile.read(io.BytesIO(sound.wav), dtype="int16")
    assert samples.tolist() == [0] * 16_000
    assert sound.start == 50
    assert torch.equal(sound.waveform, torch.ones(16_000))
