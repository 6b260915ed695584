import re
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from model.codecs.audio import (
    CONTEXT_STEPS,
    align_audio,
    clip_features,
    latent_window_starts,
    load_audio,
    load_speech,
    num_video_frames,
)
from model.codecs.audio_encoders import AudioEncoder, LogMelAudioEncoder, WhisperAudioEncoder
from tests.worlds.pipelines import write_wav

# Twenty times within 62 s, some at the edges of frames and latents and on both sides of 30 s and 60 s.
CLICK_TIMES_S = [
    *(0.01, 0.03, 0.045, 0.1, 0.199, 0.205, 0.37, 1.008, 2.5, 4.361),
    *(7.77, 12.34, 21.013, 29.97, 29.995, 30.005, 30.05, 44.4, 59.99, 60.01),
]
CLIP_FRAMES = 109


def latent_of(time_s: float) -> int:
    """The latent frame whose pixel frames are on screen at a time, by their definition."""
    frame = int(time_s * 25)
    return next(k for k in range(1000) if frame in (range(4 * k - 3, 4 * k + 1) if k else range(1)))


def windows_of_clip(encoder: AudioEncoder, waveform: Tensor, first_latent: int) -> Tensor:
    """Each latent's own eight steps (its window without the context) of the clip that begins with a latent frame."""
    features = clip_features(encoder, waveform, start_frame=4 * first_latent, num_frames=CLIP_FRAMES)
    return align_audio(features, range(28), window=8, first_step=-CONTEXT_STEPS)


def tiny_whisper(width: int = 32) -> WhisperAudioEncoder:
    """Random weights, four layers: what is tested is where in time things are."""
    torch.manual_seed(0)
    encoder: WhisperAudioEncoder = WhisperAudioEncoder(
        num_mel_bins=80, d_model=width, encoder_layers=4, encoder_attention_heads=2, encoder_ffn_dim=width
    )
    encoder.eval()
    return encoder


def noise(seconds: float, seed: int = 0) -> Tensor:
    return torch.randn(round(seconds * 16_000), generator=torch.Generator().manual_seed(seed)) * 0.05


def test_a_click_lands_in_its_latent_frame() -> None:
    encoder = LogMelAudioEncoder()
    for time_s in CLICK_TIMES_S:
        waveform = torch.zeros(62 * 16_000)
        waveform[round(time_s * 16_000)] = 1.0
        first = max(latent_of(time_s) - 10, 0)
        windows = windows_of_clip(encoder, waveform, first).square().sum(dim=(1, 2))
        assert first + int(windows.argmax()) == latent_of(time_s), time_s


def test_a_click_lands_in_its_latent_frame_through_whisper() -> None:
    encoder = tiny_whisper()
    plain = noise(31)
    for time_s in (0.5, 3.333, 15.0, 29.93, 30.07, 30.5):
        clicked = plain.clone()
        clicked[round(time_s * 16_000)] += 0.3
        first = max(latent_of(time_s) - 10, 0)
        change = windows_of_clip(encoder, clicked, first) - windows_of_clip(encoder, plain, first)
        energy = change[..., :32].square().sum(dim=(1, 2))
        assert first + int(energy.argmax()) == latent_of(time_s), time_s


@pytest.mark.parametrize("fps", [25, 24, Fraction(30_000, 1001)])
@pytest.mark.parametrize("start_s", [5, 20, 40])
def test_a_clip_sounds_the_same_wherever_it_lies(start_s: int, fps: int | Fraction) -> None:
    """What curation keeps of a clip is its sound with a little around it: the same features as in the whole file."""
    waveform = noise(46)
    start_frame = round(start_s * Fraction(fps))
    begin = round(start_frame / Fraction(fps) * 16_000)
    for encoder in (tiny_whisper(), LogMelAudioEncoder(num_mel_bins=8)):
        whole = clip_features(encoder, waveform, start_frame=start_frame, num_frames=CLIP_FRAMES, fps=fps)
        for lead in (8, 29):
            cut = waveform[begin - round(lead / Fraction(fps) * 16_000) :][: 7 * 16_000]
            alone = clip_features(encoder, cut, start_frame=lead, num_frames=CLIP_FRAMES, fps=fps)
            assert torch.equal(alone, whole)


def test_only_the_clip_and_its_context_are_heard() -> None:
    encoder, waveform = tiny_whisper(), noise(12)
    before, after = 5 * 16_000 - CONTEXT_STEPS * 320, (5 * 25 + CLIP_FRAMES) * 640 + CONTEXT_STEPS * 320
    heard = clip_features(encoder, waveform, start_frame=125, num_frames=CLIP_FRAMES)
    assert heard.shape == (218 + 2 * CONTEXT_STEPS, 160)
    for where in (slice(0, before), slice(after, None)):
        changed = waveform.clone()
        changed[where] = 0.3
        assert torch.equal(clip_features(encoder, changed, start_frame=125, num_frames=CLIP_FRAMES), heard)
    for sample in (before, after - 1):
        changed = waveform.clone()
        changed[sample] += 1.0
        assert not torch.equal(clip_features(encoder, changed, start_frame=125, num_frames=CLIP_FRAMES), heard)


def test_features_are_zeros_where_there_is_no_sound() -> None:
    encoder, waveform = tiny_whisper(), noise(1.01)
    features = clip_features(encoder, waveform, start_frame=0, num_frames=CLIP_FRAMES)
    sounds = features.any(dim=1)
    assert sounds.tolist() == [False] * CONTEXT_STEPS + [True] * 51 + [False] * (218 - 51 + CONTEXT_STEPS)
    for start_frame in (400, -400):
        silent = clip_features(encoder, waveform, start_frame=start_frame, num_frames=CLIP_FRAMES)
        assert silent.shape == features.shape
        assert not silent.any()


def test_a_clip_longer_than_whispers_window_is_refused() -> None:
    encoder = LogMelAudioEncoder(num_mel_bins=4)
    longest = 750 - CONTEXT_STEPS
    assert len(clip_features(encoder, noise(30), start_frame=0, num_frames=longest)) == 1500
    with pytest.raises(ValueError, match=r"^a clip of 739 frames is longer than the audio encoder's window of 30 s$"):
        clip_features(encoder, noise(30), start_frame=0, num_frames=longest + 1)


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


@pytest.mark.parametrize("shape", [(0,), (2, 5)])
def test_a_waveform_that_is_none_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=rf"^a waveform is \(N,\) with N > 0, got {re.escape(str(shape))}$"):
        clip_features(LogMelAudioEncoder(num_mel_bins=4), torch.zeros(shape), start_frame=0, num_frames=5)


def test_silence_is_exactly_zero() -> None:
    assert LogMelAudioEncoder().encode(torch.zeros(16_000)).abs().sum() == 0


def test_frame_count_is_the_speech_rounded_up() -> None:
    assert num_video_frames(16_000, 25) == 25
    assert num_video_frames(16_001, 25) == 26
    assert num_video_frames(1, 25) == 1
    assert num_video_frames(60 * 16_000, 25) == 1500
    assert num_video_frames(1001 * 16, Fraction(30_000, 1001)) == 30
    assert num_video_frames(1001 * 16 + 1, Fraction(30_000, 1001)) == 31


@pytest.mark.parametrize(("samples", "steps"), [(1, 1), (320, 1), (321, 2), (16_000, 50)])
def test_encoders_give_a_step_for_every_twenty_milliseconds_begun(samples: int, steps: int) -> None:
    for encoder in (tiny_whisper(16), LogMelAudioEncoder(num_mel_bins=4)):
        assert encoder.encode(noise(1)[:samples]).shape == (steps, encoder.audio_dim)


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
    for encoder in (tiny_whisper(16), LogMelAudioEncoder(num_mel_bins=20)):
        encoder.save_pretrained(tmp_path / type(encoder).__name__)
        loaded = type(encoder).from_pretrained(tmp_path / type(encoder).__name__).eval()
        waveform = torch.randn(16_000, generator=torch.Generator().manual_seed(0)) * 0.1
        assert torch.equal(loaded.encode(waveform), encoder.encode(waveform))


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
