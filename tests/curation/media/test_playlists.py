"""A list of other files under a video's name is unreadable, and nothing that it names is read."""

from __future__ import annotations

from pathlib import Path

import pytest
import s3fs

from curation.clip.schema import Source
from curation.media.playlists import HEAD_BYTES, names_other_files
from curation.runner import StageRunner
from curation.sources.headers import header_duration
from tests.worlds.videos import write_video

LISTS = {
    "hls": "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:1.0,\nsegment.ts\n#EXT-X-ENDLIST\n",
    "hls behind a mark": "\ufeff\n#EXTM3U\n#EXTINF:1.0,\nsegment.ts\n",
    "concat": "ffconcat version 1.0\nfile other.mp4\n",
    "sdp": "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video 5004 RTP/AVP 96\n",
    "dash": '<?xml version="1.0"?>\n<!-- a film -->\n<MPD type="static" mediaPresentationDuration="PT1S" '
    'profiles="urn:mpeg:dash:profile:isoff-on-demand:2011"><Period><AdaptationSet mimeType="video/mp4">'
    '<Representation id="1" bandwidth="9"><BaseURL>other.mp4</BaseURL></Representation></AdaptationSet></Period></MPD>',
    "pls": "[playlist]\nFile1=other.mp4\n",
}


@pytest.mark.parametrize("name", ["talk.mp4", "talk.m3u8", "talk.ts", "talk"])
@pytest.mark.parametrize("kind", LISTS)
def test_lists_stay_unreadable_under_any_name(tmp_path: Path, kind: str, name: str) -> None:
    write_video(tmp_path / "other.mp4", size=(64, 64), seconds=0.2)
    write_video(tmp_path / "segment.ts", size=(64, 64), seconds=0.2, container="mpegts")
    (tmp_path / name).write_text(LISTS[kind])
    assert header_duration(str(tmp_path / name)) is None
    source = StageRunner([], raise_bugs=True).run(Source(uri=str(tmp_path / name)))
    assert source.media is None
    assert source.failure is not None
    assert (source.failure.stage, source.failure.rule) == ("probe", "unreadable")
    assert header_duration(str(tmp_path / "other.mp4")) == pytest.approx(0.2)


@pytest.mark.parametrize("kind", LISTS)
def test_lists_in_a_bucket_too(object_store: str, tmp_path: Path, kind: str) -> None:
    store = s3fs.S3FileSystem()
    store.mkdirs("playlists", exist_ok=True)
    store.put_file(str(write_video(tmp_path / "other.mp4", size=(64, 64), seconds=0.2)), "playlists/other.mp4")
    store.pipe_file("playlists/talk.mp4", LISTS[kind].encode())
    assert header_duration("s3://playlists/other.mp4") == pytest.approx(0.2)
    assert header_duration("s3://playlists/talk.mp4") is None
    source = StageRunner([], raise_bugs=True).run(Source(uri="s3://playlists/talk.mp4"))
    assert source.failure is not None
    assert source.failure.rule == "unreadable"


@pytest.mark.parametrize(
    ("name", "codec", "container"),
    [
        ("a.mp4", "libx264", None),
        ("a.mkv", "libx264", None),
        ("a.ts", "libx264", "mpegts"),
        ("a.avi", "mpeg4", None),
        ("a.webm", "libvpx", None),
        ("a.flv", "libx264", None),
        ("a.h264", "libx264", "h264"),
    ],
)
def test_videos_are_no_lists(tmp_path: Path, name: str, codec: str, container: str | None) -> None:
    path = write_video(tmp_path / name, size=(64, 64), seconds=0.4, codec=codec, container=container)
    assert not names_other_files(path.read_bytes()[:HEAD_BYTES])
