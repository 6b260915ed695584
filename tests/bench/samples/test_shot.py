from __future__ import annotations

from pathlib import Path

import pytest

from bench.samples.samples import Sample, read_samples
from bench.samples.shot import measure_shot, shot_type


def test_shot_types_follow_the_figure_of_eight_heads() -> None:
    assert [shot_type(heads).value for heads in (1.5, 4.0, 7.5)] == ["portrait", "upper_body", "full_body"]


def test_no_image_has_no_shot() -> None:
    assert measure_shot(Sample(id="0001_human_talk_en_male", prompt="")) is None


@pytest.mark.clips
def test_shots_of_public_samples(shared: Path) -> None:
    samples = read_samples(shared / "soul-bench" / "samples")
    assert measure_shot(samples["0041_human_talk_en_male"]) == "portrait"
    assert measure_shot(samples["0036_human_talk_en_male"]) == "upper_body"
