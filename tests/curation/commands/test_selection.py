"""`plan` and `run` take up what `--limit`, `--shuffle` and `--slice` choose, and say what they leave out."""

from __future__ import annotations

from pathlib import Path

import pytest

from curation.__main__ import main
from curation.shards.run_directory import RunDirectory
from tests.worlds.videos import write_video


@pytest.fixture(scope="module")
def bucket(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bucket")
    content = write_video(folder / "0.mp4", size=(320, 240), seconds=0.2).read_bytes()
    for number in range(1, 6):
        (folder / f"{number}.mp4").write_bytes(content)
    return folder


def test_a_limit_goes_on_where_the_run_before_it_ended(
    bucket: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = str(tmp_path / "run")
    words = [str(bucket), "--run", run, "--limit", "4", "--shuffle"]
    assert main(["run", *words, "--engine", "inline"]) == 0
    told = capsys.readouterr().out
    assert f"6 sources in {bucket}: 4 units to do, 0 done; 0.0 min of video; 2 more sources are left out" in told
    assert len(RunDirectory(run).committed()) == 4
    assert main(["run", *words, "--engine", "inline"]) == 0
    assert f"6 sources in {bucket}: 2 units to do, 4 done" in capsys.readouterr().out
    assert len(RunDirectory(run).committed()) == 6
    rows = RunDirectory(run).index(["num_segments", "size", "stamp"])
    assert rows["num_segments"].to_pylist() == [1] * 6


def test_slices_are_told(bucket: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    counts = []
    for index in (1, 2):
        assert main(["plan", str(bucket), "--run", str(tmp_path / "run"), "--slice", f"{index}/2"]) == 0
        told = next(line for line in capsys.readouterr().out.splitlines() if " sources in " in line)
        number = int(told.split()[0])
        assert f"({6 - number} more are of other slices)" in told
        counts.append(number)
    assert sum(counts) == 6
    assert len(list((tmp_path / "run" / "plan").iterdir())) == 2, "the headers of each slice"


@pytest.mark.parametrize("option", [["--limit", "0"], ["--limit", "many"], ["--slice", "0/3"], ["--slice", "4/3"],
                                    ["--slice", "2"], ["--slice", "a/b"], ["--slice", "1/0"]])  # fmt: skip
def test_what_chooses_nothing_is_one_line(
    bucket: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], option: list[str]
) -> None:
    assert main(["plan", str(bucket), "--run", str(tmp_path / "run"), *option]) == 2
    said = capsys.readouterr().err
    assert said.startswith(f"soul: {option[0]}: '{option[1]}' is no")
    assert said.count("\n") == 1
