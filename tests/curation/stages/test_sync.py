import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from curation.backends.lips.scorer import (
    MAX_SHIFT_FRAMES,
    SyncEvidence,
)
from curation.clip.observations import Box, FaceBox, FaceTrack
from curation.clip.schema import AudioType, Clip, Pool, Source, Verdict
from curation.pipeline import StagesConfig, build_stages
from curation.runner import StageRunner
from curation.stages.sync import Speech, SyncConfig, SyncFilter
from tests.worlds.moving_mouth import frames, source_of, syllables, voice, with_sound, write_video

SECONDS = 10.0
SHARED = Path(os.environ.get("SOUL_SHARED", "../shared"))


@pytest.fixture(scope="module")
def talk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten seconds whose mouth follows its voice exactly."""
    envelope = syllables(SECONDS, seed=1)
    path = tmp_path_factory.mktemp("sync") / "talk.mp4"
    return write_video(path, frames(envelope, SECONDS), voice(envelope))


@pytest.fixture(scope="module")
def stage() -> SyncFilter:
    return SyncFilter(SyncConfig())


def drop_rules(source: Source) -> list[str | None]:
    return [clip.audio_drop.rule if clip.audio_drop else None for clip in source.clips]


def remux(path: Path, tmp_path: Path, seed: int | None, late_frames: float = 0.0) -> Path:
    """The talking mouth of `talk` with the voice of another speech, a later one, or none (silence)."""
    samples = voice(syllables(SECONDS, seed=seed), late_frames) if seed else np.zeros(160_000, np.int16)
    return with_sound(path, tmp_path / "remuxed.mp4", samples)


def track_in(crop: Box, track: FaceTrack) -> FaceTrack:
    """`track`, in fractions of the picture, in fractions of `crop`."""
    faces = [
        Box(
            x0=(face.box.x0 - crop.x0) / crop.width,
            y0=(face.box.y0 - crop.y0) / crop.height,
            x1=(face.box.x1 - crop.x0) / crop.width,
            y1=(face.box.y1 - crop.y0) / crop.height,
        )
        for face in track.faces
    ]
    return replace(track, faces=tuple(FaceBox(box=box, confidence=2.0) for box in faces))


def evidence_of(peak: dict[int, float], num_frames: int = 100, speed: float | None = 0.1) -> SyncEvidence:
    curve = np.zeros(2 * MAX_SHIFT_FRAMES + 1, np.float32)
    for shift, value in peak.items():
        curve[MAX_SHIFT_FRAMES + shift] = value
    return SyncEvidence(curve=curve, num_frames=num_frames, mouth_speed=speed)


def test_mouth_that_follows_its_voice_keeps_it(talk: Path, stage: SyncFilter) -> None:
    done = stage(source_of(talk, clip_s=5.0))
    assert drop_rules(done) == [None, None]
    assert {clip.scores["sync_pooled_verdict"] for clip in done.clips} == {Verdict.IN_SYNC.value}
    assert all(abs(float(clip.scores["sync_pooled_offset_frames"] or 0)) <= 2 for clip in done.clips)
    assert all(clip.has_audio for clip in done.clips)


def test_late_voice_is_dropped_by_its_offset(talk: Path, stage: SyncFilter, tmp_path: Path) -> None:
    done = stage(source_of(remux(talk, tmp_path, seed=1, late_frames=10), clip_s=5.0))
    assert drop_rules(done) == ["offset", "offset"]
    assert done.clips[0].audio_drop is not None
    assert done.clips[0].audio_drop.value == pytest.approx(10, abs=1)
    assert all(clip.kept for clip in done.clips)


def test_voice_over_a_closed_mouth_is_dropped(stage: SyncFilter, tmp_path: Path) -> None:
    envelope = syllables(5.0, seed=1)
    path = write_video(tmp_path / "still.mp4", frames(None, 5.0), voice(envelope))
    assert drop_rules(stage(source_of(path, clip_s=5.0))) == ["still_lips"]


def test_silent_track_is_dropped_as_silent(talk: Path, stage: SyncFilter, tmp_path: Path) -> None:
    done = stage(source_of(remux(talk, tmp_path, seed=None), clip_s=5.0))
    assert drop_rules(done) == ["silent", "silent"]
    assert {clip.scores["sync_verdict"] for clip in done.clips} == {Verdict.NO_SPEECH.value}
    assert {clip.audio_type for clip in done.clips} == {AudioType.NONE}


def test_missing_stream_and_general_pool_say_why(talk: Path, stage: SyncFilter, tmp_path: Path) -> None:
    mute = write_video(tmp_path / "mute.mp4", frames(None, 1.0), None)
    assert drop_rules(stage(source_of(mute, clip_s=1.0))) == ["no_audio_stream"]
    general = stage(source_of(talk, clip_s=5.0, pool=Pool.GENERAL))
    assert drop_rules(general) == ["general_pool", "general_pool"]
    assert all("sync_verdict" not in clip.scores for clip in general.clips)
    assert {clip.audio_type for clip in general.clips} == {AudioType.NONE}


def test_rejected_clips_are_not_looked_at(talk: Path, stage: SyncFilter) -> None:
    source = source_of(talk, clip_s=5.0)
    source = replace(source, clips=(source.clips[0].reject("quality", "blur"), source.clips[1]))
    assert not stage(source).clips[0].scores


def test_crop_shares_its_parents_evidence(talk: Path, stage: SyncFilter) -> None:
    parent = source_of(talk, clip_s=5.0).clips[0]
    crop = Box(x0=0.2, y0=0.0, x1=0.7, y1=0.6)
    child = replace(
        parent,
        key=parent.key + "c",
        parent_key=parent.key,
        crop=crop,
        tracks=(track_in(crop, parent.tracks[0]),),
    )
    source = replace(source_of(talk, clip_s=5.0), clips=(parent, child))
    one, other = stage(source).clips
    assert dict(one.scores) == dict(other.scores)
    assert one.scores["sync_pooled_num_frames"] == 125
    # Without its parent the crop is looked at by itself, and finds the same face in the whole picture.
    alone = stage(replace(source, clips=(child,))).clips[0]
    assert dict(alone.scores) == pytest.approx(dict(one.scores), abs=1e-3)


def test_clip_without_a_face_is_unsure_and_keeps_its_sound(talk: Path, stage: SyncFilter) -> None:
    source = source_of(talk, clip_s=5.0)
    faceless = replace(source, clips=tuple(replace(clip, tracks=()) for clip in source.clips))
    done = stage(faceless)
    assert drop_rules(done) == [None, None]
    assert done.clips[0].scores["sync_pooled_rule"] == "no_face"


def test_one_bad_clip_does_not_cost_a_shot_its_sound(talk: Path) -> None:
    stage = SyncFilter(SyncConfig())
    curves = iter([evidence_of({0: 0.6}), evidence_of({12: 0.45})])

    class Scripted:
        def score(self, clip: Clip, samples: object) -> SyncEvidence:
            return next(curves)

    stage.scorer = Scripted()
    done = stage(source_of(talk, clip_s=5.0))
    assert [clip.scores["sync_verdict"] for clip in done.clips] == ["in_sync", "mismatch"]
    assert drop_rules(done) == [None, None]


@pytest.mark.parametrize(
    ("offset", "verdict", "rule"),
    [
        (-7, Verdict.MISMATCH, "offset"),
        (-6, Verdict.IN_SYNC, "peak"),
        (6, Verdict.IN_SYNC, "peak"),
        (7, Verdict.MISMATCH, "offset"),
    ],
)
def test_sound_that_is_early_is_as_wrong_as_sound_that_is_late(
    stage: SyncFilter, offset: int, verdict: Verdict, rule: str
) -> None:
    judgement = stage.judge(evidence_of({offset: 0.9}, 200), Speech(fraction=1.0, clear=True))
    assert (judgement.verdict, judgement.rule) == (verdict, rule)


@pytest.mark.parametrize(
    ("num_frames", "clear", "agreement", "verdict"),
    [
        (150, True, 0.119, Verdict.MISMATCH),
        (149, True, 0.119, Verdict.UNSURE),
        (150, False, 0.119, Verdict.UNSURE),
        (150, True, 0.121, Verdict.UNSURE),
    ],
)
def test_only_long_clear_talk_is_contradicted_by_no_peak(
    stage: SyncFilter, num_frames: int, clear: bool, agreement: float, verdict: Verdict
) -> None:
    evidence = evidence_of({0: agreement}, num_frames)
    assert stage.judge(evidence, Speech(fraction=1.0, clear=clear)).verdict is verdict


def test_where_nobody_is_heard_there_is_no_speech(stage: SyncFilter) -> None:
    in_sync = evidence_of({0: 0.9}, 200)
    below = stage.judge(in_sync, Speech(fraction=0.099, clear=True))
    assert (below.verdict, below.value, below.threshold) == (Verdict.NO_SPEECH, 0.099, 0.1)
    assert stage.judge(in_sync, Speech(fraction=0.1, clear=True)).verdict is Verdict.IN_SYNC


def test_still_lips_are_a_mismatch_unless_they_follow_the_voice(stage: SyncFilter) -> None:
    speech = Speech(fraction=1.0, clear=True)
    still = stage.judge(evidence_of({0: 0.2}, 100, speed=0.024), speech)
    assert (still.verdict, still.rule) == (Verdict.MISMATCH, "still_lips")
    assert stage.judge(evidence_of({0: 0.2}, 100, speed=0.025), speech).verdict is Verdict.UNSURE
    assert stage.judge(evidence_of({0: 0.2}, 100, speed=None), speech).verdict is Verdict.UNSURE
    assert stage.judge(evidence_of({0: 0.9}, 100, speed=0.0), speech).verdict is Verdict.IN_SYNC


def test_short_clips_need_a_higher_peak() -> None:
    stage = SyncFilter(SyncConfig(min_confidence=0.2, confidence_frames=200))
    assert stage.confidence_bar(50) == pytest.approx(0.4)
    assert SyncFilter(SyncConfig(confidence_frames=0)).confidence_bar(50) == 0.25


def test_bad_configuration_is_named() -> None:
    with pytest.raises(ValueError, match="max_offset_frames"):
        SyncConfig(max_offset_frames=15)
    with pytest.raises(ValueError, match="known: mouth_motion"):
        SyncFilter(SyncConfig(backend="lipsync9000"))
    with pytest.raises(ValueError, match="known: periodicity"):
        SyncFilter(SyncConfig(speech_backend="vad"))


@pytest.mark.clips
@pytest.mark.slow
@pytest.mark.skipif(not (SHARED / "clips" / "video").is_dir(), reason="no labelled clips (SOUL_SHARED)")
@pytest.mark.parametrize(
    ("name", "drop"),
    [
        ("video-retalking-1.mp4", None),
        ("video-retalking-2.mp4", None),
        ("video-retalking-5.mp4", None),
        ("sadtalker-wda_katiehill_000.mp4", None),
        ("liveportrait-d10.mp4", None),
        ("derived-res_482.mp4", None),
        ("derived-vp9_opus.webm", None),
        ("derived-desync_audio_late_600ms.mp4", "mismatch"),
        ("derived-still_image_speech.mp4", "mismatch"),
        ("liveportrait-s18.mp4", "mismatch"),
        ("derived-muted_track.mp4", "no_speech"),
        ("liveportrait-s32.mp4", "no_speech"),
        ("liveportrait-d13.mp4", "no_audio_stream"),
    ],
)
def test_labelled_clips(name: str, drop: str | None) -> None:
    stages = build_stages(StagesConfig(), ("scenes", "split", "faces", "sync"))
    done = StageRunner(stages, raise_bugs=True).run(Source(uri=str(SHARED / "clips" / "video" / name)))
    kept = [clip for clip in done.clips if clip.kept]
    verdicts = {clip.scores.get("sync_pooled_verdict", "no_audio_stream") for clip in kept}
    assert kept
    assert all((clip.audio_drop is None) == (drop is None) for clip in kept), drop_rules(done)
    assert drop is None or verdicts == {drop}
