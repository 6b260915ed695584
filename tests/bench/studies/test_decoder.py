"""The decoder study from end to end, at a size that shows that it runs."""

import json
from pathlib import Path

import pytest

from bench.studies.decoder import main


@pytest.mark.slow
def test_the_study_measures_what_it_trained(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sizes = ["--videos", "6", "--vae-steps", "20", "--steps", "20", "--held-out", "1"]
    assert main(["--run", str(tmp_path), *sizes]) == 0
    result = json.loads((tmp_path / "bench/decoder.json").read_text())
    assert result["full_size"]["parameters"] == [555049228, 34965580]
    assert result["small"]["parameters"][0] > 3 * result["small"]["parameters"][1]
    pixel = [line["pixel_loss"] for line in result["log"]]
    assert pixel[-1] < pixel[0]
    assert result["log"][-1]["validation_psnr"] > 0
    assert result["held_out"]["student against teacher"]["psnr"] > 0
    assert (tmp_path / "bench/decoder.png").stat().st_size > 1000
    assert "student against teacher" in capsys.readouterr().out
