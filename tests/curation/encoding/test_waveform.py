from __future__ import annotations

import io

import numpy as np
import pytest
import soundfile
import torch

from curation.encoding.waveform import lay_out_sound


@pytest.mark.parametrize(("fps", "start"), [(25, 0), (25, 8), (24, 7), (24, 1), (30, 5)])
def test_a_step_begins_at_the_window_and_nothing_is_lost_but_part_of_a_step(fps: int, start: int) -> None:
    waveform = torch.rand(16_000 * 5) * 2 - 1
    sound = lay_out_sound(waveform, start=start, num_frames=81, fps=fps)
    begin = round(start / fps * 16_000)
    lost = len(waveform) - len(sound.waveform)
    assert 0 <= lost < 320
    assert -sound.first_step * 320 + lost == begin
    assert torch.equal(sound.waveform, waveform[lost:])
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
