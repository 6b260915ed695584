import re
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from model.codecs.audio import (
    AudioFeatures,
    align_audio,
    encode_audio,
    latent_window_starts,
    load_audio,
    load_speech,
    num_audio_steps,
    num_video_frames,
)
from model.codecs.audio_encoders import LogMelAudioEncoder, WhisperAudioEncoder
from tests.worlds.pipelines import write_wav

# Twenty times within 62 s, some at the edges of frames and latents and on both sides of 30 s and 60 s.
CLICK_TIMES_S = [
    *(0.01, 0.03, 0.045, 0.1, 0.199, 0.205, 0.37, 1.008, 2.5, 4.361),
    *(7.77, 12.34, 21.013, 29.97, 29.995, 30.005, 30.05, 44.4, 59.99, 60.01),
]


def latent_of(time_s: float) -> int:
    """The latent frame whose pixel frames are on screen at a time, by their definition."""
    frame = int(time_s * 25)
    return next(k for k in range(1000) if frame in (range(4 * k - 3, 4 * k + 1) if k else range(1)))


def core_energy(features: Tensor, latents: range) -> Tensor:
    """Energy of each latent's own eight steps (its window without the context)."""
    return align_audio(features, latents, window=8).square().sum(dim=(1, 2))


def test_a_click_lands_in_its_latent_frame() -> None:
    encoder = LogMelAudioEncoder()
    for time_s in CLICK_TIMES_S:
        waveform = torch.zeros(62 * 16_000)
        waveform[round(time_s * 16_000)] = 1.0
        features = AudioFeatures(encoder, waveform)
        around = range(max(latent_of(time_s) - 3, 0), latent_of(time_s) + 4)
        windows = features.of_latents(around, window=8).square().sum(dim=(1, 2))
        assert around[int(windows.argmax())] == latent_of(time_s), time_s


def test_a_click_lands_in_its_latent_frame_through_whisper() -> None:
    # Random weights of one width, four layers: what is tested is where in time things are, across the 30 s
    # edge too.
    torch.manual_seed(0)
    encoder = WhisperAudioEncoder(
        num_mel_bins=80, d_model=32, encoder_layers=4, encoder_attention_heads=2, encoder_ffn_dim=32
    ).eval()
    noise = torch.randn(31 * 16_000, generator=torch.Generator().manual_seed(0)) * 0.05
    plain = encode_audio(encoder, noise)
    assert plain.shape == (31 * 50, 160)
    for time_s in (0.5, 3.333, 15.0, 29.93, 30.07, 30.5):
        clicked = noise.clone()
        clicked[round(time_s * 16_000)] += 0.3
        change = (encode_audio(encoder, clicked) - plain)[:, :32]
        energy = core_energy(change, range(200))
        assert int(energy.argmax()) == latent_of(time_s), time_s


def test_windows_follow_the_definition() -> None:
    assert latent_window_starts([0, 1, 2, 27], window=8) == [-6, 2, 10, 210]
    assert latent_window_starts([0, 1], window=16) == [-10, -2]
    steps = torch.arange(1.0, 101.0)[:, None]
    windows = align_audio(steps, [0, 1, 12], window=8)[..., 0]
    assert windows[0].tolist() == [0, 0, 0, 0, 0, 0, 1, 2]
    assert windows[1].tolist() == list(range(3, 11))
    assert windows[2].tolist() == [91, 92, 93, 94, 95, 96, 97, 98]
    assert align_audio(steps, [13], window=8)[0, :, 0].tolist() == [99, 100, 0, 0, 0, 0, 0, 0]
    assert align_audio(steps, [50], window=8).abs().sum() == 0


def test_windows_keep_pace_at_other_frame_rates() -> None:
    # At 24 fps latent k is centred on (4k − 1)/24 s whatever the video's length: no drift.
    starts = latent_window_starts([600], window=8, fps=24)
    assert abs(starts[0] + 4 - 2399 / 24 * 50) <= 0.5

    assert latent_window_starts([0, 1, 2], window=8, fps=24) == [-6, 2, 11]
    assert latent_window_starts([0, 1, 2], window=8, fps=Fraction(30_000, 1001)) == [-6, 1, 8]
    assert latent_window_starts([0, 1], window=5, fps=25) == [-4, 4]
    steps = torch.arange(1.0, 101.0)[:, None]
    assert align_audio(steps, [2], window=8, fps=24)[0, :, 0].tolist() == list(range(12, 20))
    features = AudioFeatures(LogMelAudioEncoder(num_mel_bins=4), torch.rand(32_000) - 0.5)
    whole = features.steps(0, 100)
    assert torch.equal(features.of_latents([2], window=8, fps=24), whole[None, 11:19])
    assert torch.equal(features.of_latents([2], window=8), whole[None, 10:18])


def test_windows_are_cut_from_steps_that_begin_later() -> None:
    steps = torch.arange(11.0, 21.0, dtype=torch.float64)[:, None].repeat(1, 2)
    windows = align_audio(steps, [1, 2, 3], window=8, first_step=10)
    assert windows.dtype == torch.float64
    assert windows[..., 0].tolist() == [[0] * 8, list(range(11, 19)), [19, 20, *[0] * 6]]
    assert torch.equal(windows[..., 0], windows[..., 1])
    assert align_audio(steps[:2], [0], window=8)[0, :, 0].tolist() == [*[0] * 6, 11, 12]
    assert torch.equal(align_audio(steps[:0], [0, 1], window=4), torch.zeros(2, 4, 2, dtype=torch.float64))


def test_windows_are_cut_where_the_steps_are() -> None:
    steps = torch.arange(100.0)[:, None]
    expected = align_audio(steps, [1, 2], window=8)
    with torch.device("meta"):
        windows = align_audio(steps, [1, 2], window=8)
    assert torch.equal(windows, expected)


def test_steps_outside_of_the_sound_are_left_out() -> None:
    features = AudioFeatures(LogMelAudioEncoder(num_mel_bins=4), torch.rand(1_000) - 0.5)
    assert features.num_steps == 4
    whole = features.steps(0, 4)
    assert torch.equal(features.steps(-3, 9), whole)
    assert torch.equal(features.steps(1, 3), whole[1:3])
    for start, stop in ((4, 9), (-5, 0), (2, 2)):
        assert features.steps(start, stop).shape == (0, 4)
    assert torch.equal(features.of_latents([40], window=8), torch.zeros(1, 8, 4))


class CountingEncoder(LogMelAudioEncoder):
    """Notes which windows were computed."""

    computed: tuple[int, ...] = ()

    def encode_window(self, waveform: Tensor, index: int) -> Tensor:
        self.computed = (*self.computed, index)
        return super().encode_window(waveform, index)


def test_the_last_two_windows_are_kept() -> None:
    encoder = CountingEncoder(num_mel_bins=4)
    features = AudioFeatures(encoder, torch.zeros(65 * 16_000))
    for start, stop in ((0, 1500), (1499, 1501), (0, 3000), (2999, 3001), (1500, 3250), (1499, 1500)):
        assert len(features.steps(start, stop)) == stop - start
    assert encoder.computed == (0, 1, 2, 0)


@pytest.mark.parametrize("shape", [(0,), (2, 5)])
def test_a_waveform_that_is_none_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=rf"^a waveform is \(N,\) with N > 0, got {re.escape(str(shape))}$"):
        AudioFeatures(LogMelAudioEncoder(num_mel_bins=4), torch.zeros(shape))


def test_windowed_features_equal_the_whole() -> None:
    encoder = LogMelAudioEncoder(num_mel_bins=20)
    waveform = torch.randn(65 * 16_000 + 123, generator=torch.Generator().manual_seed(0)) * 0.1
    whole = encode_audio(encoder, waveform)
    features = AudioFeatures(encoder, waveform)
    assert whole.shape == (65 * 50 + 1, 20)
    for latents in (range(5), range(180, 195), range(400, 410)):
        expected = align_audio(whole, latents, window=16)
        assert torch.equal(features.of_latents(latents, window=16), expected)
    assert len(features._windows) <= 2


def test_log_mel_has_no_edge_at_thirty_seconds() -> None:
    encoder = LogMelAudioEncoder(num_mel_bins=20)
    waveform = torch.randn(40 * 16_000, generator=torch.Generator().manual_seed(0)) * 0.1
    shifted = encode_audio(encoder, waveform[10 * 16_000 :])
    whole = encode_audio(encoder, waveform)
    torch.testing.assert_close(whole[500 + 2 : 1998], shifted[2:1498], rtol=0, atol=1e-4)


def test_silence_is_exactly_zero() -> None:
    assert encode_audio(LogMelAudioEncoder(), torch.zeros(16_000)).abs().sum() == 0


def test_frame_count_is_the_speech_rounded_up() -> None:
    assert num_video_frames(16_000, 25) == 25
    assert num_video_frames(16_001, 25) == 26
    assert num_video_frames(1, 25) == 1
    assert num_video_frames(60 * 16_000, 25) == 1500
    assert num_video_frames(1001 * 16, Fraction(30_000, 1001)) == 30
    assert num_video_frames(1001 * 16 + 1, Fraction(30_000, 1001)) == 31


def test_step_count_is_the_speech_rounded_up() -> None:
    assert [num_audio_steps(samples) for samples in (1, 320, 321, 16_000)] == [1, 1, 2, 50]


@pytest.mark.parametrize(("rate_hz", "channels"), [(16_000, 1), (44_100, 2), (48_000, 1), (8_000, 1)])
def test_any_rate_becomes_sixteen_kilohertz_mono(tmp_path: Path, rate_hz: int, channels: int) -> None:
    time_s = np.arange(int(1.2345 * rate_hz)) / rate_hz
    tone = 0.5 * np.sin(2 * np.pi * 440 * time_s)
    samples = tone if channels == 1 else np.stack([tone] * channels, axis=1)
    waveform = load_audio(write_wav(tmp_path / "tone.wav", samples, rate_hz))
    assert len(waveform) == -(-len(tone) * 16_000 // rate_hz)
    expected = torch.from_numpy(0.5 * np.sin(2 * np.pi * 440 * np.arange(len(waveform)) / 16_000)).float()
    assert float((waveform - expected)[200:-200].abs().max()) < 0.01


def test_channels_that_cancel_out_give_the_loudest(tmp_path: Path) -> None:
    tone = 0.5 * np.sin(2 * np.pi * 440 * np.arange(16_000) / 16_000)
    waveform = load_audio(write_wav(tmp_path / "opposite.wav", np.stack([tone, -tone], axis=1), 16_000))
    assert (waveform.shape, waveform.dtype) == ((16_000,), torch.float32)
    assert 0.49 < float(waveform.abs().max()) < 0.51


def test_mono_is_the_mean_of_both_channels(tmp_path: Path) -> None:
    right = np.stack([np.zeros(1_600), np.full(1_600, 0.5)], axis=1)
    for samples in (right, right[:, ::-1]):
        waveform = load_audio(write_wav(tmp_path / "one_side.wav", samples, 16_000))
        assert waveform.tolist() == pytest.approx([0.25] * 1_600, abs=1e-3)


def test_bad_audio_gives_one_clear_line(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no such audio file"):
        load_audio(tmp_path / "absent.wav")
    (tmp_path / "text.wav").write_text("hello")
    with pytest.raises(ValueError, match="cannot be read as audio"):
        load_audio(tmp_path / "text.wav")
    with pytest.raises(ValueError, match="lasts 0 s"):
        load_audio(write_wav(tmp_path / "empty.wav", np.zeros(0), 16_000))
    with pytest.raises(ValueError, match=rf"^{tmp_path}/silent.wav is silent: its loudest sample is below -80 dBFS$"):
        load_speech(write_wav(tmp_path / "silent.wav", np.full(16_000, 3 / 32768), 16_000))


@pytest.mark.parametrize("sign", [1, -1])
def test_faint_speech_is_no_silence(tmp_path: Path, sign: int) -> None:
    faint = np.zeros(16_000)
    faint[100] = sign * 5 / 32768
    path = write_wav(tmp_path / "faint.wav", faint, 16_000)
    assert torch.equal(load_speech(path), load_audio(path))


def test_encoders_save_and_load(tmp_path: Path) -> None:
    torch.manual_seed(0)
    whisper = WhisperAudioEncoder(
        num_mel_bins=80, d_model=16, encoder_layers=4, encoder_attention_heads=2, encoder_ffn_dim=16
    )
    for encoder in (whisper.eval(), LogMelAudioEncoder(num_mel_bins=20)):
        encoder.save_pretrained(tmp_path / type(encoder).__name__)
        loaded = type(encoder).from_pretrained(tmp_path / type(encoder).__name__).eval()
        waveform = torch.randn(16_000, generator=torch.Generator().manual_seed(0)) * 0.1
        assert torch.equal(encode_audio(loaded, waveform), encode_audio(encoder, waveform))


def test_whisper_groups_are_means_of_layers() -> None:
    torch.manual_seed(0)
    encoder = WhisperAudioEncoder(
        num_mel_bins=80, d_model=16, encoder_layers=8, encoder_attention_heads=2, encoder_ffn_dim=16
    ).eval()
    mel = torch.randn(1, 80, 3000)
    with torch.no_grad():
        groups = encoder(mel).reshape(1, 1500, 5, 16)
        states = encoder.encoder(mel, output_hidden_states=True).hidden_states
    assert len(states) == 9
    torch.testing.assert_close(groups[:, :, 1], (states[2] + states[3]) / 2)
    assert torch.equal(groups[:, :, 4], states[8])
