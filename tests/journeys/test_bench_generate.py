"""Videos of samples: a killed run goes on to the same videos, and actors on Ray make the same."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest

from bench.generation.job import GenerationJob
from bench.generation.request import Request, plan_requests
from bench.samples.samples import read_samples
from infra.jobs.workers import Workers
from model.generation.request import Sampling
from model.pretrained.model_parts import ModelParts
from tests.worlds.fresh_process import FreshPython, answer_of
from tests.worlds.generation_samples import ONE, TWO, generate, pixels, write_samples
from tests.worlds.pipelines import small_pipeline


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("trained") / "model"
    small_pipeline().save_pretrained(directory)
    return directory


@pytest.fixture(scope="module")
def samples(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_samples(tmp_path_factory.mktemp("prepared") / "samples")


@pytest.fixture(scope="module")
def videos(model: Path, samples: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Made undisturbed."""
    out = tmp_path_factory.mktemp("made") / "videos"
    assert generate(model, samples, out) == 0
    return out


def test_a_killed_run_goes_on_where_it_was(model: Path, samples: Path, videos: Path, tmp_path: Path) -> None:
    out = tmp_path / "killed"
    words = ["-m", "bench", "generate", "--model", model, "--samples", samples, "--out", out]
    process = FreshPython(*map(str, words))
    deadline = time.monotonic() + 120
    while not list(out.glob("*.part.mp4")) and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.002)
    process.kill()
    assert generate(model, samples, out) == 0
    for id_ in (ONE, TWO):
        assert np.abs(pixels(out, id_) - pixels(videos, id_)).mean() < 2
    assert not list(out.glob("*.part.mp4"))


@pytest.mark.slow
def test_what_ends_a_run_on_ray_is_one_line(
    samples: Path, tmp_path: Path, ray_cluster: None, capsys: pytest.CaptureFixture[str]
) -> None:
    status = generate("tiny", samples, tmp_path / "videos", "--threshold", "1", "--ray", "--workers", "1")
    assert status == 1
    last = capsys.readouterr().err.splitlines()[-1]
    assert "needs a codebook" in last
    assert last.startswith("soul: the run stopped")


def make_in_this_process(job: GenerationJob, request: Request) -> Request:
    return job.worker(job.stages, debug=False).run(request, lambda: None)


def test_a_process_that_is_sent_job_and_request_makes_the_same_video(
    model: Path, samples: Path, videos: Path, tmp_path: Path
) -> None:
    """As an actor is sent them; the engine's own tests have the actors."""
    job = GenerationJob(parts=ModelParts(model=str(model)), sampling=Sampling(), workers=Workers())
    (request,) = plan_requests([read_samples(samples)[ONE]], tmp_path, job.parts, job.sampling).to_make
    made = answer_of(make_in_this_process, job, request)
    assert (made.num_clips, made.problem) == (1, None)
    assert np.abs(pixels(tmp_path, ONE) - pixels(videos, ONE)).mean() < 2


@pytest.mark.slow
def test_actors_on_ray_make_the_same_videos(
    model: Path, samples: Path, videos: Path, tmp_path: Path, ray_cluster: None
) -> None:
    out = tmp_path / "ray"
    assert generate(model, samples, out, "--ray", "--workers", "1") == 0
    for id_ in (ONE, TWO):
        assert np.abs(pixels(out, id_) - pixels(videos, id_)).mean() < 2
