from pathlib import Path

from bench.speed.generation import make_video, packets_of
from tests.worlds.pipelines import asked, noise, small_pipeline


def test_both_ways_make_the_same_file_and_stages_add_up_where_nothing_overlaps(tmp_path: Path) -> None:
    pipeline, request = small_pipeline(clip_latents=5), asked(audio=noise(1.0), height=64, width=64)
    apart, together = (
        make_video(pipeline, request, tmp_path / f"{overlap}.mp4", overlap=overlap) for overlap in (False, True)
    )
    assert packets_of(tmp_path / "False.mp4") == packets_of(tmp_path / "True.mp4") != []
    stages = (apart.denoise_s, apart.decode_s, apart.write_s)
    assert min(stages) > 0
    assert sum(stages) <= apart.all_s
    assert together.all_s > 0
