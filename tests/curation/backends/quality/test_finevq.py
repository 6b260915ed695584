"""Clips scored by FineVQ's server: what is sent, and what becomes of each answer."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator
from dataclasses import replace

import av
import pytest

from curation.backends.quality.finevq.config import FineVqConfig
from curation.backends.quality.finevq.scorer import FineVqScorer
from curation.backends.quality.scorer import UnscoredError
from curation.backends.settings import decisive
from curation.clip.observations import Box
from curation.clip.schema import Clip
from curation.stages.quality import QualityConfig, QualityFilter
from infra.jobs.machine_fault import MachineFaultError
from infra.served import patience
from tests.worlds.clip_from_video import clip_from_video
from tests.worlds.drawn_scenes import landscape, panned
from tests.worlds.moving_mouth import FPS, write_video
from tests.worlds.served_models import Answer, Asked, serving


class Served:
    def __init__(self) -> None:
        self.answers: list[Answer] = [Answer({"score": 61.5})]
        self.videos: list[bytes] = []

    def __call__(self, asked: Asked) -> Answer:
        if asked.path == "/health":
            return Answer({"model": "FineVQ_score (abc)"})
        self.videos.append(base64.b64decode(asked.body["video"]))
        return self.answers[min(len(self.videos), len(self.answers)) - 1]


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[str, Served]]:
    monkeypatch.setattr(patience, "FIRST_PAUSE_S", 0.01)
    found = Served()
    with serving(found) as url:
        yield url, found


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Clip:
    path = tmp_path_factory.mktemp("videos") / "a.mp4"
    write_video(path, panned(landscape(1)), None)
    return clip_from_video(str(path))


def frames_of(mp4: bytes) -> list[av.VideoFrame]:
    with av.open(io.BytesIO(mp4)) as container:
        return list(container.decode(video=0))


def test_the_server_gets_the_frames_of_the_span_and_the_crop(served: tuple[str, Served], clip: Clip) -> None:
    url, found = served
    part = replace(
        clip, start_s=clip.start_s + 4 / FPS, end_s=clip.start_s + 14 / FPS, crop=Box(x0=0.0, y0=0.0, x1=0.5, y1=1.0)
    )
    assert FineVqScorer(FineVqConfig(url=url)).score(part).score == 61.5
    frames = frames_of(found.videos[0])
    assert len(frames) == 10
    assert frames[0].width == pytest.approx(part.width, abs=1)


def test_a_score_above_the_scale_counts_as_its_end(served: tuple[str, Served], clip: Clip) -> None:
    url, found = served
    found.answers = [Answer({"score": 104.0})]
    assert FineVqScorer(FineVqConfig(url=url)).score(clip).score == 100.0


def test_a_clip_that_cannot_be_scored_is_rejected_for_it(served: tuple[str, Served], clip: Clip) -> None:
    url, found = served
    found.answers = [Answer({"error": "the video cannot be read"})]
    scorer = FineVqScorer(FineVqConfig(url=url))
    with pytest.raises(UnscoredError, match="no_score: the video cannot be read"):
        scorer.score(clip)
    with pytest.raises(UnscoredError, match="no_frames"):
        scorer.score(replace(clip, start_s=clip.end_s + 100, end_s=clip.end_s + 101))
    stage = QualityFilter(QualityConfig())
    stage.scorer = scorer
    rejection = stage(clip).rejection
    assert rejection is not None
    assert (rejection.stage, rejection.rule) == ("quality", "no_score")


def test_a_server_that_is_away_is_waited_for(served: tuple[str, Served], clip: Clip) -> None:
    url, found = served
    found.answers = [Answer({}, 503), Answer({}, 500), Answer({"score": 40})]
    assert FineVqScorer(FineVqConfig(url=url)).score(clip).score == 40.0


def test_a_server_that_stays_away_or_refuses_judges_no_clip(served: tuple[str, Served], clip: Clip) -> None:
    url, found = served
    found.answers = [Answer({"error": {"message": "takes pictures of 448 pixels"}}, 400)]
    with pytest.raises(MachineFaultError, match="answered 400 takes pictures of 448 pixels"):
        FineVqScorer(FineVqConfig(url=url)).score(clip)
    with pytest.raises(MachineFaultError, match="no answer for 0 s"):
        FineVqScorer(FineVqConfig(url="http://127.0.0.1:9", patience_s=0)).score(clip)


def test_what_is_missing_and_what_is_found(served: tuple[str, Served]) -> None:
    url, _ = served
    config = FineVqConfig(url=url, model="FineVQ_score (abc)")
    assert config.missing() == []
    assert config.found() == f"FineVQ_score (abc) at {url}"
    (line,) = replace(config, model="other").missing()
    assert line == f"FineVQ at {url} runs FineVQ_score (abc), not other"
    (line,) = replace(config, url="http://127.0.0.1:9").missing()
    assert line.startswith("no FineVQ at http://127.0.0.1:9: the server cannot be reached")


def test_only_what_changes_a_score_counts_as_a_setting() -> None:
    names = {"model", "num_frames", "side_px", "motion_frames"}
    assert set(decisive(FineVqConfig())) == names
    with pytest.raises(ValueError, match="at least 32"):
        FineVqConfig(motion_frames=16)
    with pytest.raises(ValueError, match="patience_s"):
        FineVqConfig(patience_s=-1)
