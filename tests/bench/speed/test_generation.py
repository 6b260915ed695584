from pathlib import Path

from bench.speed.generation import digest_of, make_video
from tests.worlds.pipelines import asked, noise, small_pipeline


def test_both_ways_make_the_same_frames_and_stages_add_up_where_nothing_overlaps(tmp_path: Path) -> None:
    pipeline, request = small_pipeline(clip_latents=5), asked(audio=noise(1.0), height=64, width=64)
    apart, together = (
        make_video(pipeline, request, tmp_path / f"{overlap}.mp4", overlap=overlap) for overlap in (False, True)
    )
    assert digest_of(pipeline, request, overlap=False) == digest_of(pipeline, request, overlap=True)
    stages = (apart.denoise_s, apart.decode_s, apart.write_s)
    assert min(stages) > 0
    assert sum(stages) <= apart.all_s
    assert together.all_s > 0
