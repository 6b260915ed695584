"""What is no video is told why."""

from __future__ import annotations

from pathlib import Path

import av
import pytest

from curation.media import (
    MediaError,
    duration_s,
    probe,
    read_audio,
)
from tests.worlds.videos import tone, write_video


def test_a_colon_in_a_name_is_no_protocol(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("10:30.mp4", "file:x.mp4"):
        write_video(tmp_path / name, seconds=1.0)
        assert probe(name).duration_s == duration_s(name) == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("name", "content", "rule"),
    [("empty.mp4", b"", "empty_file"), ("noise.mp4", bytes(range(256)) * 40, "unreadable")],
)
def test_unreadable_files_have_a_reason(tmp_path: Path, name: str, content: bytes, rule: str) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(MediaError) as error:
        probe(str(path))
    assert error.value.rule == rule


def test_missing_and_soundless(tmp_path: Path) -> None:
    with pytest.raises(MediaError, match="missing"):
        probe(str(tmp_path / "none.mp4"))
    silent = str(write_video(tmp_path / "a.mp4", seconds=0.2))
    assert probe(silent).audio_codec is None
    with pytest.raises(ValueError, match="no audio"):
        read_audio(silent, 0, 0.1)


def test_sound_alone_is_no_video(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    with av.open(str(path), "w") as output:
        stream = output.add_stream("pcm_s16le", rate=16000)
        stream.layout = "mono"
        frame = av.AudioFrame.from_ndarray(tone(1, 16000)[None], format="s16", layout="mono")
        frame.sample_rate = 16000
        output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    with pytest.raises(MediaError, match="no_video_stream"):
        probe(str(path))
