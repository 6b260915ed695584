import os
import struct
from itertools import count
from pathlib import Path

import numpy as np
import pytest
import soundfile

from model.codecs.audio import load_audio, load_speech
from model.media.sound import SoundTrack, mixing_matrix
from tests.worlds.media_table import SECONDS, Track, write_media


def test_mixes_are_ffmpegs_and_cannot_clip() -> None:
    for layout, channels in (("stereo", 2), ("2.1", 3), ("quad", 4), ("5.1", 6), ("7.1", 8), ("6 channels", 6)):
        for wanted in (1, 2):
            matrix = mixing_matrix(layout, channels, wanted)
            assert matrix.shape == (wanted, channels)
            assert np.abs(matrix).sum(axis=1) == pytest.approx(1, abs=1e-3)
    surround = mixing_matrix("5.1", 6, 2)
    centre, side = 0.5**0.5 / (1 + 2 * 0.5**0.5), 1 / (1 + 2 * 0.5**0.5)
    np.testing.assert_allclose(surround[0], [side, 0, centre, 0, centre, 0], atol=1e-4)
    np.testing.assert_allclose(mixing_matrix("mono", 1, 2), [[1], [1]])


@pytest.mark.parametrize("layout", ["9 channels", "ambisonic 1"])
def test_layouts_without_a_mix_are_averaged(layout: str) -> None:
    channels = 9 if layout[0] == "9" else 4
    np.testing.assert_allclose(mixing_matrix(layout, channels, 1), np.full((1, channels), 1 / channels))


def test_nine_channels_are_read(tmp_path: Path) -> None:
    samples = np.zeros((16_000, 9))
    samples[:, 4] = 0.9 * np.sin(np.arange(16_000))
    soundfile.write(tmp_path / "nine.wav", samples, 16_000)
    assert float(load_speech(tmp_path / "nine.wav").abs().max()) == pytest.approx(0.1, abs=1e-3)


def test_speech_in_antiphase_is_not_silence(tmp_path: Path) -> None:
    tone = 0.5 * np.sin(np.arange(16_000))
    soundfile.write(tmp_path / "out.wav", np.stack([tone, -0.99 * tone], axis=1), 16_000)
    np.testing.assert_allclose(load_speech(tmp_path / "out.wav").numpy(), tone, atol=1e-4)


def test_values_that_are_no_numbers_are_silence(tmp_path: Path) -> None:
    samples = np.full(1000, 0.5)
    samples[[10, 20, 30]] = np.nan, np.inf, 5
    soundfile.write(tmp_path / "float.wav", samples, 16_000, subtype="FLOAT")
    heard = load_audio(tmp_path / "float.wav").numpy()
    assert heard[[9, 10, 20, 30]].tolist() == [0.5, 0, 0, 1]


def test_a_rate_that_cannot_be_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "slow.wav"
    soundfile.write(path, np.full(1000, 0.5), 16_000)
    content = bytearray(path.read_bytes())
    content[24:28] = struct.pack("<I", 1)
    path.write_bytes(content)
    with pytest.raises(ValueError, match="claims 1 samples a second"):
        SoundTrack.open(path)


@pytest.mark.parametrize("name", ["list.m3u8", "list.wav", "list.txt"])
def test_playlists_are_not_followed(tmp_path: Path, name: str) -> None:
    speech = write_media(tmp_path / "speech.ts", Track(), pictures=False)
    hls = f"#EXTM3U\n#EXT-X-TARGETDURATION:3\n#EXTINF:3,\n{speech.name}\n#EXT-X-ENDLIST\n"
    for content in (hls, f"ffconcat version 1.0\nfile {speech.name}\n", "v=0\nm=audio 5004 RTP/AVP 0\n"):
        (tmp_path / name).write_text(content)
        with pytest.raises(ValueError, match="cannot be read as audio"):
            load_audio(tmp_path / name)


def test_a_damaged_packet_is_left_out_and_a_mostly_damaged_file_refused(tmp_path: Path) -> None:
    def damaged(packets: range, rate_hz: int) -> Path:
        number = count()
        track = Track(
            rate_hz=rate_hz,
            damage=lambda content: b"\xff" * len(content) if next(number) in packets else content,
        )
        return write_media(tmp_path / "a.mkv", track)

    heard = load_audio(damaged(range(50, 51), rate_hz=48_000))
    assert len(heard) == pytest.approx(SECONDS * 16_000 + 108 - 1024 / 3, abs=50)
    with pytest.raises(ValueError, match="packets are damaged"):
        load_audio(damaged(range(60, 1000), rate_hz=96_000))


def test_a_change_that_cannot_be_followed_is_told_with_its_time(tmp_path: Path) -> None:
    stereo = Track(codec="libopus", layout="stereo", gains=(1, 1))
    parts = [
        write_media(tmp_path / f"{number}.opus", track, pictures=False)
        for number, track in enumerate((stereo, Track(codec="libopus")))
    ]
    (tmp_path / "joined.opus").write_bytes(b"".join(part.read_bytes() for part in parts))
    with pytest.raises(ValueError, match=r"joined.opus .* its sound changes or is damaged at [23]\.\d s"):
        load_audio(tmp_path / "joined.opus")


@pytest.mark.parametrize("name", ["a.wav", "a.aiff", "a.m4a", "rf64.wav"])
def test_a_second_recording_behind_the_end_is_told_with_its_time(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    if name == "rf64.wav":
        soundfile.write(path, np.zeros(round(SECONDS * 16_000) + 1, np.int16), 16_000, format="RF64", subtype="PCM_U8")
    else:
        codec = {".wav": "pcm_s16le", ".aiff": "pcm_s16be", ".m4a": "aac"}[path.suffix]
        write_media(path, Track(codec=codec), pictures=False)
    assert len(load_audio(path)) == pytest.approx(SECONDS * 16_000, abs=200)
    path.write_bytes(2 * path.read_bytes())
    with pytest.raises(ValueError, match=rf"another recording begins at {SECONDS:.1f} s$"):
        load_audio(path)


def test_what_else_lies_behind_the_end_does_no_harm(tmp_path: Path) -> None:
    speech = write_media(tmp_path / "a.wav", Track(codec="pcm_s16le"), pictures=False)
    for rest in (b"\0" * 100, b"LIST\4\0\0\0INFO", b"RIFF\4\0\0\0AVIX"):
        (tmp_path / "more.wav").write_bytes(speech.read_bytes() + rest)
        assert len(load_audio(tmp_path / "more.wav")) == SECONDS * 16_000


@pytest.mark.parametrize("name", ["10:30.wav", "file:/x.wav", "a:b/x.wav"])
def test_a_colon_is_no_protocol(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.chdir(tmp_path)
    Path(name).parent.mkdir(exist_ok=True)
    soundfile.write(tmp_path / name, np.full(1000, 0.5), 16_000)
    assert len(load_audio(name)) == 1000


def test_what_is_no_file_is_called_so(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path, tmp_path / "pipe"):
        with pytest.raises(ValueError, match=f"^{path} is not a file$"):
            SoundTrack.open(path)


def test_the_shared_cases_are_heard(shared: Path) -> None:
    cases = shared / "cases"
    if not cases.is_dir():
        pytest.skip("no cases")
    seconds = {
        "generate/apac.mov": 4.4,
        "generate/joined.mp3": 4.44,
        "generate/s51.flac": 1.5,
        "generate/stereo_out.wav": 4.4,
        "apac_true.mov": 4.4,
        "rate_change.ts": 4.46,
    }
    for name, wanted in seconds.items():
        assert len(load_speech(cases / name)) / 16_000 == pytest.approx(wanted, abs=0.03), name
    # A sixth of the only channel's 0.9 would be 0.15.
    assert float(load_speech(cases / "generate/s51.flac").abs().max()) > 0.26
