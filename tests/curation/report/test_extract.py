"""Taking a clip's files out of the shards."""

import io
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from curation.media import iter_frames
from curation.report.extract import extract
from curation.shards.run_directory import RunDirectory
from infra.config import ConfigError
from tests.worlds.synthetic_run import write_playable_run


def small_mp4() -> bytes:
    sink = io.BytesIO()
    with av.open(sink, "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 96, "yuv420p"
        for level in (60, 120, 180):
            frame = av.VideoFrame.from_ndarray(np.full((96, 64, 3), level, np.uint8), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return sink.getvalue()


@pytest.fixture
def run(tmp_path: Path) -> str:
    return write_playable_run(str(tmp_path / "run"), small_mp4(), b"RIFFwave")


def test_a_clip_comes_out_as_it_lies_in_its_shard(run: str, tmp_path: Path) -> None:
    paths = {path.suffix: path for path in extract(run, tmp_path / "out")}
    assert paths.keys() == {".mp4", ".wav", ".json", ".png"}
    assert len({path.stem for path in paths.values()}) == 1
    assert paths[".mp4"].read_bytes() == small_mp4()
    picture = cv2.imread(str(paths[".png"]))
    assert picture is not None
    assert np.array_equal(picture, next(iter_frames(str(paths[".mp4"]))).image)


def test_a_clip_that_was_not_kept_is_one_clear_line(run: str, tmp_path: Path) -> None:
    rejected = next(row["key"] for row in RunDirectory(run).index().to_pylist() if not row["kept"])
    with pytest.raises(ConfigError, match=f"has no kept clip '{rejected}'"):
        extract(run, tmp_path / "out", rejected)
