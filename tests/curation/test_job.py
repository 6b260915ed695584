"""Curation's worker with several sources in work at a time, and what a run tells of sources that it leaves."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from threading import Barrier

import pytest

from curation.__main__ import main
from curation.clip.schema import Source
from curation.job import CurationWorker, progress_of
from curation.shards.run_directory import RunDirectory
from curation.stages.resolution import ResolutionFilter
from infra.jobs.machine_fault import MachineFaultError
from tests.worlds.synthetic_run import clip
from tests.worlds.synthetic_run import source as unit
from tests.worlds.videos import add_video, write_video


def test_sources_that_are_in_work_together_give_signs_of_their_own(tmp_path: Path) -> None:
    path = str(write_video(tmp_path / "a.mp4", seconds=0.2))
    together = Barrier(2, timeout=60)

    def cut(source: Source) -> Source:
        together.wait()
        return replace(source, clips=tuple(clip(source, index) for index in range(source.metadata["clips"])))

    def look(source: Source) -> Source:
        together.wait()
        return source

    worker = CurationWorker([("cut", cut), ("look", look)], copies=None, is_last=True, debug=True)
    signs = Counter[int]()

    def run(number: int) -> int:
        def alive() -> None:
            signs[number] += 1

        return len(worker.run(Source(uri=path, segment=number, metadata={"clips": number}), alive).clips)

    with ThreadPoolExecutor(2) as threads:
        assert list(threads.map(run, (2, 5))) == [2, 5]
    assert signs == {2: 2, 5: 5}


def test_crops_are_counted_among_the_clips_and_apart() -> None:
    source = unit("a.mp4", 320, 240, 20.0)
    whole = clip(source, 0)
    found = progress_of(replace(source, clips=(whole, replace(whole, parent_key=whole.key), clip(source, 1))))
    assert (found.clips, found.crops) == (3, 1)


def test_sources_that_nobody_is_to_blame_for_stay_to_be_done_and_the_command_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("a", "away"):
        add_video(tmp_path / "in", f"{name}.mp4", seconds=0.2)
    words = ["run", str(tmp_path / "in"), "--run", str(tmp_path / "run"), "--engine", "inline"]

    def lose_the_server(stage: ResolutionFilter, source: Source) -> Source:
        if "away" in source.uri:
            raise MachineFaultError("captioner: no answer for 600 s")
        return judge(stage, source)

    judge = ResolutionFilter.__call__
    with monkeypatch.context() as patch:
        patch.setattr(ResolutionFilter, "__call__", lose_the_server)
        assert main(words) == 1
    told = capsys.readouterr()
    line = "soul: 1 unit is not done and not judged: captioner: no answer for 600 s; the same command goes on\n"
    assert told.err.endswith(line)
    assert "report  " in told.out
    assert len(RunDirectory(str(tmp_path / "run")).committed()) == 1
    assert main(words) == 0
    assert len(RunDirectory(str(tmp_path / "run")).committed()) == 2
