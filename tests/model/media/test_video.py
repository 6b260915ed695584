import re
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
import torch

from model.codecs.audio import load_audio
from model.media.video import VideoWriter, add_sound
from tests.worlds.media_table import SOUND_FILES, SoundFile
from tests.worlds.pipelines import write_wav


def frames_of(path: Path) -> list[np.ndarray]:
    with av.open(str(path)) as container:
        return [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]


def sound_of(path: Path) -> np.ndarray:
    with av.open(str(path)) as container:
        return np.concatenate([frame.to_ndarray() for frame in container.decode(audio=0)], axis=1)


def grey_frames(count: int) -> np.ndarray:
    """(T, 32, 64, 3): frame i has level 5·i modulo 200."""
    levels = (np.arange(count) * 5 % 200).astype(np.uint8)
    return np.broadcast_to(levels[:, None, None, None], (count, 32, 64, 3))


@pytest.mark.parametrize("rate_hz", [16_000, 22_050, 44_100, 48_000])
def test_sound_is_muxed_sample_exactly(tmp_path: Path, rate_hz: int) -> None:
    num_samples, at = 2 * rate_hz + 123, rate_hz + 321
    waveform = 0.01 * np.sin(np.arange(num_samples) * 0.1)
    waveform[at] = 0.9
    speech = write_wav(tmp_path / "speech.wav", waveform, rate_hz)
    num_frames = -(-num_samples * 25 // rate_hz)
    with VideoWriter(tmp_path / "out.mp4", height=32, width=64, fps=25, audio=speech) as writer:
        for start in range(0, num_frames, 20):
            writer.write(grey_frames(num_frames)[start : start + 20])

    with av.open(str(tmp_path / "out.mp4")) as container:
        stream = container.streams.audio[0]
        assert stream.duration * stream.time_base == Fraction(num_samples, rate_hz)
        assert stream.start_time == 0
    sound = sound_of(tmp_path / "out.mp4")
    assert int(np.abs(sound[0]).argmax()) == at
    # AAC comes in packets of 1,024 samples: the last one is padded with silence.
    assert num_samples <= sound.shape[1] < num_samples + 1024


def test_a_colon_in_a_name_is_no_protocol(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("a:b").mkdir()
    write_wav(tmp_path / "10:30.wav", np.full(16_000, 0.5), 16_000)
    with VideoWriter("12:00.mp4", height=32, width=64, fps=25, audio="10:30.wav") as writer:
        writer.write(grey_frames(25))
    add_sound(Path("12:00.mp4"), Path("10:30.wav"), Path("a:b/both.mp4"))
    assert len(frames_of(tmp_path / "a:b/both.mp4")) == 25


def test_frames_come_back_in_number_order_and_colour(tmp_path: Path) -> None:
    frames = grey_frames(60).copy()
    frames[30:] = (200, 60, 30)
    with VideoWriter(tmp_path / "out.mp4", height=32, width=64, fps=25) as writer:
        writer.write(frames)
    back = frames_of(tmp_path / "out.mp4")
    assert len(back) == 60
    assert max(np.abs(a.astype(int) - b).max() for a, b in zip(back, frames, strict=True)) <= 4
    with av.open(str(tmp_path / "out.mp4")) as container:
        assert container.streams.video[0].average_rate == 25
        assert not container.streams.audio


def test_the_part_can_be_watched_while_it_is_written(tmp_path: Path) -> None:
    speech = write_wav(tmp_path / "speech.wav", torch.rand(16_000 * 8) * 0.1)
    writer = VideoWriter(tmp_path / "out.mp4", height=32, width=64, fps=25, audio=speech)
    writer.write(grey_frames(150))
    assert len(frames_of(tmp_path / "out.part.mp4")) >= 50
    assert not (tmp_path / "out.mp4").exists()
    writer.write(grey_frames(50))
    writer.close()
    assert len(frames_of(tmp_path / "out.mp4")) == 200
    assert sorted(p.name for p in tmp_path.iterdir()) == ["out.mp4", "speech.wav"]


def test_an_error_keeps_the_part_and_makes_no_file(tmp_path: Path) -> None:
    def fail_while_writing() -> None:
        with VideoWriter(tmp_path / "out.mp4", height=32, width=64, fps=25) as writer:
            writer.write(grey_frames(60))
            raise RuntimeError("out of memory")

    with pytest.raises(RuntimeError, match="out of memory"):
        fail_while_writing()
    assert not (tmp_path / "out.mp4").exists()
    assert len(frames_of(tmp_path / "out.part.mp4")) == 60


@pytest.mark.parametrize(("num_bytes", "file"), [(3_000, "out.part.mp4"), (0, "out.tmp.mp4")])
def test_a_full_disk_is_named_with_its_file(tmp_path: Path, num_bytes: int, file: str) -> None:
    # A limit of the size of files stands for the disk. The finished file is a little larger than nothing, too.
    script = f"""
import resource, signal
import numpy as np
from model.media import video
def limit(num_bytes):
    resource.setrlimit(resource.RLIMIT_FSIZE, (num_bytes, resource.RLIM_INFINITY))
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
frames = np.random.default_rng(0).integers(0, 256, (100, 32, 64, 3), dtype=np.uint8)
remux = video._remux
def remux_on_a_full_disk(source, target):
    limit({num_bytes})
    remux(source, target)
video._remux = remux_on_a_full_disk
try:
    with video.VideoWriter({str(tmp_path / "out.mp4")!r}, height=32, width=64, fps=25) as writer:
        limit({num_bytes} or resource.RLIM_INFINITY)
        writer.write(frames)
except OSError as error:
    print(error)
"""
    told = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert re.fullmatch(rf"\[Errno 27\] File too large: '.*/{re.escape(file)}'\n", told.stdout)
    assert [path.name for path in tmp_path.iterdir()] == ["out.part.mp4"]


def test_sound_ends_with_the_video(tmp_path: Path) -> None:
    speech = write_wav(tmp_path / "speech.wav", torch.rand(16_000 * 5) * 0.1)
    with VideoWriter(tmp_path / "out.mp4", height=32, width=64, fps=25, audio=speech) as writer:
        writer.write(grey_frames(50))
    with av.open(str(tmp_path / "out.mp4")) as container:
        stream = container.streams.audio[0]
        assert stream.duration * stream.time_base == 2


def test_bad_paths_give_one_clear_line(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"\.mp4"):
        VideoWriter(tmp_path / "out.avi", height=32, width=64, fps=25)
    (tmp_path / "text.wav").write_text("hello")
    with pytest.raises(ValueError, match="cannot be read as audio"):
        VideoWriter(tmp_path / "out.mp4", height=32, width=64, fps=25, audio=tmp_path / "text.wav")


def test_sound_is_laid_under_pictures_that_stay_as_they_are(tmp_path: Path) -> None:
    waveform = np.zeros(2 * 16_000)
    waveform[8_000] = 0.9
    speech = write_wav(tmp_path / "speech.wav", waveform)
    with VideoWriter(tmp_path / "silent.mp4", height=32, width=64, fps=25) as writer:
        writer.write(grey_frames(40))
    add_sound(tmp_path / "silent.mp4", speech, tmp_path / "out.mp4")
    silent, sounding = frames_of(tmp_path / "silent.mp4"), frames_of(tmp_path / "out.mp4")
    assert len(sounding) == 40
    assert all(np.array_equal(a, b) for a, b in zip(silent, sounding, strict=True))
    assert int(np.abs(sound_of(tmp_path / "out.mp4")[0]).argmax()) == 8_000
    with av.open(str(tmp_path / "out.mp4")) as container:
        stream = container.streams.audio[0]
        assert stream.duration * stream.time_base == Fraction(40, 25), "no longer than the pictures"
    with pytest.raises(ValueError, match=r"speech\.wav cannot be read as a video"):
        add_sound(speech, speech, tmp_path / "none.mp4")


HEARD = [sound for sound in SOUND_FILES if not sound.refused]
QUICK = {
    *("aac in mp4", "aac in flv", "pcm in mkv", "8 bits in avi", "opus in webm", "commentary first"),
    *("no decoder for the first", "rubbish in the first", "5.1, speech in the centre", "stereo, one side"),
    *("antiphase", "late", "changes its rate", "joined mp3s"),
}
"""One of each kind; `tests.test_same_sound` has the reader hear every one."""


@pytest.mark.parametrize(
    "sound",
    [pytest.param(each, id=each.name, marks=[] if each.name in QUICK else [pytest.mark.slow]) for each in HEARD],
)
def test_the_track_of_the_video_is_what_the_network_hears(sound: SoundFile, tmp_path: Path) -> None:
    path = sound.make(tmp_path)
    wanted = load_audio(path).numpy()
    num_frames = -(-len(wanted) * 25 // 16_000)
    with VideoWriter(tmp_path / "out.mp4", height=32, width=64, fps=25, audio=path) as writer:
        for start in range(0, num_frames, 20):
            writer.write(grey_frames(num_frames)[start : start + 20])
    written = load_audio(tmp_path / "out.mp4").numpy()
    assert len(wanted) <= len(written) < len(wanted) + 0.1 * 16_000
    # Of two channels that are as loud as each other either may be taken.
    sign = np.sign(np.dot(written[: len(wanted)], wanted))
    difference = (sign * written[: len(wanted)] - wanted)[1600:-1600]
    # One sample at 16 kHz too early or late would leave −15 dB of a tone of 440 Hz.
    assert 10 * np.log10(np.mean(difference**2) / np.mean(wanted**2)) < (-20 if sound.num_joins else -30)
