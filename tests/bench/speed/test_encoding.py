from pathlib import Path

import pytest
import torch

from bench.speed.encoding import PRECISIONS, add_arguments, compare
from infra.command_line import run_alone
from tests.worlds.curated_shards import Made, click, curate, flat, source_of, video
from tests.worlds.decoders import small_wan


def test_a_smaller_type_is_near_the_exact_one_and_told() -> None:
    windows = [torch.randint(0, 256, (5, 32, 32, 3), dtype=torch.uint8).numpy() for _ in range(2)]
    exact, same, rounded = compare(small_wan(), windows, torch.device("cpu"))
    assert [row.name for row in (exact, same, rounded)] == [precision.name for precision in PRECISIONS]
    # TF32 is a GPU's.
    assert exact.psnr_db is None
    assert same.psnr_db is None
    assert rounded.psnr_db is not None
    assert 45 < rounded.psnr_db < 80
    assert min(exact.seconds, rounded.seconds) > 0


def test_clips_of_a_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    clips = [Made(mp4=video(flat(90), num), num_frames=num, wav=click(0.1, num / 25)) for num in (40, 10)]
    curate(str(tmp_path / "run"), source_of("a.mp4", clips))
    words = ["--run", str(tmp_path / "run"), "--model", "tiny", "--device", "cpu", "--set", "stages.720p.area=9216"]
    words += ["--set", "min_frames=17", "--set", "clip_frames=33"]
    assert run_alone("bench.speed.encoding", "about", add_arguments, words) == 0
    said = capsys.readouterr().out
    assert said.startswith("1 clips (33x")
    assert [line.split()[0] for line in said.splitlines()[2:]] == ["float32,", "float32", "bfloat16"]
    words[1] = str(tmp_path / "empty")
    assert run_alone("bench.speed.encoding", "about", add_arguments, words) == 2
