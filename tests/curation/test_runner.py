from __future__ import annotations

import errno
import os
from dataclasses import replace
from pathlib import Path

import pytest
import s3fs

from curation.clip.schema import Source
from curation.media import MediaError
from curation.runner import StageRunner
from curation.sources.headers import header_duration
from curation.stages.resolution import ResolutionConfig, ResolutionFilter
from infra.jobs.machine_fault import MachineFaultError
from tests.worlds.unprivileged import run_as_nobody
from tests.worlds.videos import write_video


def fails_to_read(source: Source) -> Source:
    raise MediaError("undecodable", "frame 3")


def has_a_bug(source: Source) -> Source:
    raise ZeroDivisionError("one over nothing")


def test_probing_and_timing(tmp_path: Path) -> None:
    path = str(write_video(tmp_path / "a.mp4", seconds=0.2))
    source = StageRunner([("resolution", ResolutionFilter(ResolutionConfig()))]).run(Source(uri=path))
    assert source.active
    assert source.media is not None
    assert set(source.stage_seconds) == {"probe", "resolution"}


@pytest.mark.parametrize(("size", "active"), [((480, 640), False), ((482, 640), True), ((640, 480), False)])
def test_short_edge_must_be_above_480(tmp_path: Path, size: tuple[int, int], active: bool) -> None:
    path = str(write_video(tmp_path / "a.mp4", size=size, seconds=0.2))
    source = StageRunner([("resolution", ResolutionFilter(ResolutionConfig()))]).run(Source(uri=path))
    assert source.active is active


def test_slow_video_is_rejected(tmp_path: Path) -> None:
    path = str(write_video(tmp_path / "a.mp4", fps=5, seconds=2))
    source = StageRunner([("resolution", ResolutionFilter(ResolutionConfig()))]).run(Source(uri=path))
    assert source.rejection is not None
    assert (source.rejection.rule, source.rejection.value) == ("frame_rate", 5.0)


def test_media_errors_become_records(tmp_path: Path) -> None:
    path = str(write_video(tmp_path / "a.mp4", seconds=0.2))
    source = StageRunner([("faces", fails_to_read)]).run(Source(uri=path))
    assert source.failure is not None
    assert (source.failure.stage, source.failure.rule, source.failure.detail) == ("faces", "undecodable", "frame 3")


def test_a_bug_is_a_record_with_its_traceback_or_a_traceback(tmp_path: Path) -> None:
    path = str(write_video(tmp_path / "a.mp4", seconds=0.2))
    source = StageRunner([("faces", has_a_bug)]).run(Source(uri=path))
    assert source.failure is not None
    assert source.failure.rule == "internal_error"
    assert "one over nothing" in source.failure.detail
    with pytest.raises(ZeroDivisionError):
        StageRunner([("faces", has_a_bug)], raise_bugs=True).run(Source(uri=path))


def test_what_the_machine_is_to_blame_for_is_no_record(tmp_path: Path) -> None:
    def lost_its_server(source: Source) -> Source:
        raise MachineFaultError("the captioner is away")

    path = str(write_video(tmp_path / "a.mp4", seconds=0.2))
    with pytest.raises(MachineFaultError, match="the captioner is away"):
        StageRunner([("faces", lost_its_server)]).run(Source(uri=path))


def test_the_source_is_shown_after_each_stage(tmp_path: Path) -> None:
    def counts(source: Source) -> Source:
        return replace(source, metadata={"stages": source.metadata.get("stages", 0) + 1})

    seen = list[Source]()
    path = str(write_video(tmp_path / "a.mp4", seconds=0.2))
    StageRunner([("a", counts), ("b", counts), ("c", fails_to_read), ("d", counts)]).run(
        Source(uri=path), after_stage=seen.append
    )
    assert [source.metadata["stages"] for source in seen] == [1, 2, 2]
    assert [source.active for source in seen] == [True, True, False]


def rule_of(uri: str) -> str:
    source = StageRunner([], raise_bugs=True).run(Source(uri=uri))
    assert source.failure is not None
    assert source.failure.stage == "probe"
    return source.failure.rule


def test_what_cannot_be_opened_has_a_rule_each(tmp_path: Path) -> None:
    (tmp_path / "dir.mp4").mkdir()
    (tmp_path / "loop.mp4").symlink_to("loop.mp4")
    (tmp_path / "file.mp4").write_bytes(b"x")
    os.mkfifo(tmp_path / "pipe.mp4")
    assert rule_of("/nowhere/a.mp4") == "missing"
    assert rule_of(f"{tmp_path}/file.mp4/a.mp4") == "missing"
    assert rule_of(f"{tmp_path}/dir.mp4") == "not_a_file"
    assert rule_of(f"{tmp_path}/pipe.mp4") == "not_a_file"
    assert rule_of(f"{tmp_path}/loop.mp4") == "unreadable"
    assert rule_of(f"{tmp_path}/{'n' * 300}.mp4") == "unreadable"


def test_a_file_that_may_not_be_read(tmp_path: Path) -> None:
    write_video(tmp_path / "a.mp4", seconds=0.2).chmod(0)
    (tmp_path / "shut").mkdir()
    write_video(tmp_path / "shut" / "b.mp4", seconds=0.2)
    (tmp_path / "shut").chmod(0)
    told = run_as_nobody(tmp_path, f"""
        from curation.sources.headers import header_duration
        from curation.runner import StageRunner
        from curation.clip.schema import Source
        for name in ("a.mp4", "shut/b.mp4"):
            uri = {str(tmp_path)!r} + "/" + name
            print(header_duration(uri), StageRunner([]).run(Source(uri=uri)).failure.rule)
    """)  # fmt: skip
    assert told.stdout.splitlines() == ["None no_permission"] * 2, told.stderr


def test_one_bad_key_is_a_record(object_store: str, tmp_path: Path) -> None:
    store = s3fs.S3FileSystem()
    store.mkdirs("badkeys", exist_ok=True)
    store.put_file(str(write_video(tmp_path / "a.mp4", seconds=0.2)), "badkeys/a::b [c].mp4")
    store.call_s3("put_object", Bucket="badkeys", Key="folder/", Body=b"")
    assert StageRunner([], raise_bugs=True).run(Source(uri="s3://badkeys/a::b [c].mp4")).failure is None
    assert rule_of("s3://badkeys/gone.mp4") == "missing"
    assert rule_of("s3://no-such-bucket/gone.mp4") == "missing"
    for uri in ("s3://badkeys", "s3://badkeys/", "s3://", "s3://bad bucket::name/a.mp4", "s3://badkeys/folder/"):
        assert rule_of(uri) in ("missing", "unreadable", "empty_file"), uri
        assert header_duration(uri) is None


def test_a_full_disk_is_no_videos_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_space(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("infra.storage.files.fetch", no_space)
    with pytest.raises(OSError, match="No space left"):
        StageRunner([]).run(Source(uri="s3://badkeys/full.mp4"))


def test_a_source_that_failed_when_it_was_listed_passes_untouched() -> None:
    failed = Source(uri="/x.mp4").fail("probe", "name_not_utf8", "rename it")
    assert StageRunner([("faces", has_a_bug)], raise_bugs=True).run(failed) is failed
