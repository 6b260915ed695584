import threading
from pathlib import Path

import av
import numpy as np
import pytest

from model.generation.make_video import VideoInputs, make_video
from model.generation.request import Sampling
from model.media.video import VideoWriter
from tests.worlds.pipelines import noise, picture, small_pipeline, write_wav


def inputs_in(folder: Path) -> VideoInputs:
    speech = noise(1.5)
    return VideoInputs(image=picture(), audio=write_wav(folder / "a.wav", speech), waveform=speech, prompt="")


def num_frames_of(path: Path) -> int:
    with av.open(str(path)) as container:
        return len(list(container.decode(video=0)))


def sound_of(path: Path) -> list[tuple[int | None, bytes]]:
    """Time and content of the sound."""
    with av.open(str(path)) as container:
        return [(packet.pts, bytes(packet)) for packet in container.demux(audio=0)]


def test_the_same_pictures_and_sound_with_and_without_overlap(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Compared as the encoder gets them: what x264's threads make of a picture differs now and then."""
    pipeline, done = small_pipeline(clip_latents=5), []
    written: dict[bool, list[bytes]] = {False: [], True: []}
    write = VideoWriter.write
    for overlap in (False, True):

        def noted(writer: VideoWriter, frames: np.ndarray, pictures: list[bytes] = written[overlap]) -> None:
            pictures.append(frames.tobytes())
            write(writer, frames)

        monkeypatch.setattr(VideoWriter, "write", noted)
        made = make_video(
            pipeline,
            inputs_in(tmp_path),
            Sampling(),
            tmp_path / f"{overlap}.mp4",
            overlap=overlap,
            on_frames=lambda frames: done.append((frames, threading.current_thread())),
        )
        assert (made.num_frames, made.fps, made.height, made.width) == (38, 25, 64, 64)
    assert written[False] == written[True] != []
    assert sound_of(tmp_path / "False.mp4") == sound_of(tmp_path / "True.mp4") != []
    assert done == [(frames, threading.main_thread()) for frames in (17, 25, 33, 38)] * 2


@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError])
def test_what_was_made_before_an_error_is_kept(tmp_path: Path, error: type[BaseException]) -> None:
    def stop(frames: int) -> None:
        if frames == 25:
            raise error

    threads = threading.active_count()
    with pytest.raises(error):
        make_video(
            small_pipeline(clip_latents=5), inputs_in(tmp_path), Sampling(), tmp_path / "out.mp4", on_frames=stop
        )
    assert threading.active_count() == threads
    assert num_frames_of(tmp_path / "out.part.mp4") == 25
    assert not (tmp_path / "out.mp4").exists()
