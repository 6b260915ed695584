import os
import re
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from curation.backends.lips.scorer import (
    MAX_SHIFT_FRAMES,
    SyncEvidence,
    no_evidence,
    pool_evidence,
)
from curation.backends.speech.detector import HeardSound
from curation.clip.observations import Box, FaceBox, FaceTrack
from curation.clip.schema import AudioType, Clip, Decision, Pool, Source, Verdict
from curation.pipeline import CurationConfig, build_stages
from curation.runner import StageRunner
from curation.stages.sync import (
    Judgement,
    Speech,
    SyncConfig,
    SyncFilter,
    same_face,
    summarise_speech,
    tell_audio_type,
    without_audio,
)
from tests.worlds import videos
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
    assert {clip.scores["sync_pooled_offset_frames"] for clip in done.clips} <= {-2.0, -1.0, 0.0, 1.0, 2.0}
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
    (curve, found), (expected_curve, expected) = (
        (scores.pop("sync_curve"), scores) for scores in (dict(alone.scores), dict(one.scores))
    )
    assert curve == pytest.approx(expected_curve, abs=1e-3)
    assert found == pytest.approx(expected, abs=1e-3)


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
    judgement = stage.sound.judge(evidence_of({offset: 0.9}, 200), Speech(fraction=1.0, clear=True))
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
    assert stage.sound.judge(evidence, Speech(fraction=1.0, clear=clear)).verdict is verdict


def test_where_nobody_is_heard_there_is_no_speech(stage: SyncFilter) -> None:
    in_sync = evidence_of({0: 0.9}, 200)
    below = stage.sound.judge(in_sync, Speech(fraction=0.099, clear=True))
    assert (below.verdict, below.value, below.threshold) == (Verdict.NO_SPEECH, 0.099, 0.1)
    assert stage.sound.judge(in_sync, Speech(fraction=0.1, clear=True)).verdict is Verdict.IN_SYNC


def test_still_lips_are_a_mismatch_unless_they_follow_the_voice(stage: SyncFilter) -> None:
    speech = Speech(fraction=1.0, clear=True)
    still = stage.sound.judge(evidence_of({0: 0.2}, 100, speed=0.024), speech)
    assert (still.verdict, still.rule) == (Verdict.MISMATCH, "still_lips")
    assert stage.sound.judge(evidence_of({0: 0.2}, 100, speed=0.025), speech).verdict is Verdict.UNSURE
    assert stage.sound.judge(evidence_of({0: 0.2}, 100, speed=None), speech).verdict is Verdict.UNSURE
    assert stage.sound.judge(evidence_of({0: 0.9}, 100, speed=0.0), speech).verdict is Verdict.IN_SYNC


def test_short_clips_need_a_higher_peak() -> None:
    stage = SyncFilter(SyncConfig(min_confidence=0.2, confidence_frames=200))
    assert stage.sound.confidence_bar(50) == pytest.approx(0.4)
    assert SyncFilter(SyncConfig(confidence_frames=0)).sound.confidence_bar(50) == 0.25


def test_bad_configuration_is_named() -> None:
    with pytest.raises(ValueError, match="known: mouth_motion"):
        SyncFilter(SyncConfig(backend="lipsync9000"))
    with pytest.raises(ValueError, match="known: periodicity, silero"):
        SyncFilter(SyncConfig(speech_backend="vad"))


FRAMES = "confidence_frames must not be negative and persistent_frames must be positive"


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"max_offset_frames": -1}, "max_offset_frames must be 0 to 14, got -1"),
        ({"max_offset_frames": 15}, "max_offset_frames must be 0 to 14, got 15"),
        ({"min_confidence": 0.0}, "min_confidence must be positive, got 0.0"),
        ({"confidence_frames": -1}, FRAMES),
        ({"persistent_frames": 0}, FRAMES),
        ({"min_speech_fraction": -0.1}, "min_speech_fraction must be within [0, 1], got -0.1"),
        ({"min_speech_fraction": 1.1}, "min_speech_fraction must be within [0, 1], got 1.1"),
    ],
)
def test_what_no_run_can_use_is_refused(wrong: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        SyncConfig(**wrong)  # type: ignore[arg-type]


def test_the_limits_of_the_configuration_are_allowed() -> None:
    SyncConfig(max_offset_frames=0, confidence_frames=0, persistent_frames=1, min_speech_fraction=0)
    SyncConfig(max_offset_frames=14, min_confidence=0.01, min_speech_fraction=1)


CLEAR = Speech(fraction=1.0, clear=True)


@pytest.mark.parametrize(
    ("evidence", "speech", "judgement"),
    [
        (evidence_of({0: 0.25}, 200), CLEAR, Judgement(Verdict.IN_SYNC, "peak", 0.25, 0.25)),
        (evidence_of({-7: 0.25}, 200), CLEAR, Judgement(Verdict.MISMATCH, "offset", -7, 6)),
        (evidence_of({0: 0.1875}, 100), CLEAR, Judgement(Verdict.UNSURE, "no_peak", 0.1875, 0.25 * 2**0.5)),
        (evidence_of({0: 0.0625}, 150), CLEAR, Judgement(Verdict.MISMATCH, "no_agreement", 0.0625, 0.12)),
        (evidence_of({0: 0.25}, 1, speed=0.0), CLEAR, Judgement(Verdict.MISMATCH, "still_lips", 0.0, 0.025)),
        (evidence_of({}, 1, speed=0.0125), CLEAR, Judgement(Verdict.MISMATCH, "still_lips", 0.0125, 0.025)),
        (no_evidence(), CLEAR, Judgement(Verdict.UNSURE, "no_face", 0, 1)),
        (no_evidence(), Speech(fraction=0.0, clear=True), Judgement(Verdict.NO_SPEECH, "no_speech", 0.0, 0.1)),
    ],
)
def test_a_judgement_names_its_rule_its_number_and_the_limit(
    stage: SyncFilter, evidence: SyncEvidence, speech: Speech, judgement: Judgement
) -> None:
    assert stage.sound.judge(evidence, speech) == judgement


def test_agreement_that_chance_just_reaches_is_no_mismatch() -> None:
    stage = SyncFilter(SyncConfig(max_chance_agreement=0.125))
    assert stage.sound.judge(evidence_of({0: 0.125}, 150), CLEAR).verdict is Verdict.UNSURE


def heard(
    kind: AudioType = AudioType.TALKING,
    *,
    level_db: float = -20.0,
    fraction: float = 0.5,
    confidence: float = 0.75,
    held: float = 0.0,
) -> HeardSound:
    return HeardSound(
        level_db=level_db, speech_fraction=fraction, audio_type=kind, confidence=confidence, held_fraction=held
    )


class Listener:
    """Hears what it is told; keeps how many samples it was given."""

    def __init__(self, sounds: Iterable[HeardSound]) -> None:
        self.sounds = iter(sounds)
        self.num_samples: list[int] = []

    def listen(self, samples: np.ndarray) -> HeardSound:
        self.num_samples.append(len(samples))
        return next(self.sounds)


class Watcher:
    """Sees what it is told; keeps what it was given."""

    def __init__(self, evidence: Iterable[SyncEvidence]) -> None:
        self.evidence = iter(evidence)
        self.seen: list[tuple[str, int]] = []

    def score(self, clip: Clip, samples: np.ndarray) -> SyncEvidence:
        self.seen.append((clip.key, len(samples)))
        return next(self.evidence)


def scripted(
    sounds: list[HeardSound], evidence: list[SyncEvidence], config: SyncConfig | None = None
) -> tuple[SyncFilter, Listener, Watcher]:
    stage, listener, watcher = SyncFilter(config or SyncConfig()), Listener(sounds), Watcher(evidence)
    stage.speech, stage.scorer = listener, watcher
    return stage, listener, watcher


@pytest.fixture(scope="module")
def two_clips(tmp_path_factory: pytest.TempPathFactory) -> Source:
    """Two clips of 2 s of one shot, with a tone at 48 kHz."""
    path = tmp_path_factory.mktemp("tone") / "a.mp4"
    videos.write_video(path, size=(64, 64), fps=5, seconds=4, audio_seconds=4, audio_rate_hz=48_000)
    source = source_of(path, clip_s=2.0)
    assert len(source.clips) == 2
    return source


def test_a_clip_s_record_is_its_own_and_its_shot_s_numbers(two_clips: Source) -> None:
    sounds = [heard(AudioType.UNKNOWN, held=0.5), heard(level_db=-25.0, fraction=0.75, confidence=0.875)]
    evidence = [evidence_of({2: 0.6}, 100, 0.125), evidence_of({-1: 0.4}, 50, 0.0625)]
    stage, listener, watcher = scripted(sounds, evidence)
    done = stage(two_clips)
    pooled = pool_evidence(evidence)
    assert listener.num_samples == [32_000, 32_000]
    assert watcher.seen == [(clip.key, 32_000 + 2 * 9_600) for clip in two_clips.clips]
    kinds = [(AudioType.SINGING, 0.375), (AudioType.TALKING, 0.875)]
    verdicts = ["in_sync", "unsure"]
    for clip, sound, own, kind, verdict in zip(done.clips, sounds, evidence, kinds, verdicts, strict=True):
        assert clip.audio_drop is None
        assert clip.audio_type is kind[0]
        assert dict(clip.scores) == {
            "sync_offset_frames": own.offset_frames,
            "sync_confidence": own.confidence,
            "sync_agreement": own.agreement(6),
            "sync_verdict": verdict,
            "sync_num_frames": own.num_frames,
            "sync_mouth_speed": own.mouth_speed,
            "sync_pooled_offset_frames": 2,
            "sync_pooled_confidence": pooled.confidence,
            "sync_pooled_agreement": pooled.agreement(6),
            "sync_pooled_verdict": "in_sync",
            "sync_pooled_rule": "peak",
            "sync_pooled_num_frames": 150,
            "speech_fraction": sound.speech_fraction,
            "audio_level_db": sound.level_db,
            "audio_type_confidence": kind[1],
            "sync_curve": tuple(own.curve.tolist()),
            "sound_type": sound.audio_type.value,
            "sound_confidence": sound.confidence,
            "sound_held_fraction": sound.held_fraction,
        }


def test_a_mismatch_costs_the_whole_shot_its_sound(two_clips: Source) -> None:
    stage, _, _ = scripted([heard()] * 2, [evidence_of({0: 0.3}, 40), evidence_of({9: 0.9}, 160)])
    done = stage(two_clips)
    assert [clip.scores["sync_verdict"] for clip in done.clips] == ["unsure", "mismatch"]
    assert {clip.audio_drop for clip in done.clips} == {Decision(stage="sync", rule="offset", value=9.0, threshold=6.0)}
    assert {clip.audio_type for clip in done.clips} == {AudioType.TALKING}


@pytest.mark.parametrize("drop", [True, False])
def test_a_shot_in_which_nobody_is_heard_loses_its_sound_where_that_is_asked_for(two_clips: Source, drop: bool) -> None:
    quiet = [heard(AudioType.NONE, fraction=0.0), heard(AudioType.NONE, fraction=0.125)]
    stage, _, _ = scripted(quiet, [no_evidence()] * 2, SyncConfig(drop_without_speech=drop))
    done = stage(two_clips)
    assert [clip.scores["sync_verdict"] for clip in done.clips] == ["no_speech", "unsure"]
    assert {clip.scores["sync_offset_frames"] for clip in done.clips} == {None}
    assert {clip.scores["sync_pooled_offset_frames"] for clip in done.clips} == {None}
    reason = Decision(stage="sync", rule="no_speech", value=0.0625, threshold=0.1)
    assert {clip.audio_drop for clip in done.clips} == {reason if drop else None}


def test_a_silent_clip_is_not_looked_at(two_clips: Source) -> None:
    sounds = [heard(level_db=-60.5), heard(level_db=-60.0)]
    stage, _, watcher = scripted(sounds, [evidence_of({0: 0.9}, 200)])
    silent, quiet = stage(two_clips).clips
    assert watcher.seen == [(quiet.key, 51_200)]
    assert silent.audio_drop == Decision(stage="sync", rule="silent", value=-60.5, threshold=-60.0)
    assert (silent.audio_type, quiet.audio_type) == (AudioType.NONE, AudioType.TALKING)
    assert (silent.scores["sync_num_frames"], silent.scores["sync_pooled_num_frames"]) == (0, 200)
    assert quiet.audio_drop is None


def test_a_crop_of_the_same_face_is_not_examined_again(two_clips: Source) -> None:
    parent = two_clips.clips[0]
    whole_picture = Box(x0=0.0, y0=0.0, x1=1.0, y1=1.0)
    child = replace(parent, key="crop", parent_key=parent.key, crop=whole_picture)
    stage, listener, watcher = scripted([heard()], [evidence_of({0: 0.9}, 200)])
    whole, part = stage(replace(two_clips, clips=(parent, child))).clips
    assert (len(listener.num_samples), len(watcher.seen)) == (1, 1)
    assert part.scores == whole.scores


def test_a_crop_of_another_face_is_judged_apart(two_clips: Source) -> None:
    parent = two_clips.clips[0]
    crop = Box(x0=0.5, y0=0.5, x1=1.0, y1=1.0)
    child = replace(parent, key="crop", parent_key=parent.key, crop=crop)
    stage, _, watcher = scripted([heard()] * 2, [evidence_of({0: 0.9}, 200), evidence_of({9: 0.9}, 200)])
    whole, part = stage(replace(two_clips, clips=(parent, child))).clips
    assert [key for key, _ in watcher.seen] == [parent.key, "crop"]
    assert (whole.audio_drop, part.audio_drop) == (None, Decision(stage="sync", rule="offset", value=9, threshold=6))


def test_only_a_clip_whose_sound_may_be_kept_is_examined(two_clips: Source) -> None:
    rejected = two_clips.clips[0].reject("quality", "low_score")
    dropped = two_clips.clips[1].drop_audio("defects", "clipped")
    heard_last = replace(two_clips.clips[1], key="last")
    stage, _, watcher = scripted([heard()], [evidence_of({0: 0.9}, 200)])
    done = stage(replace(two_clips, clips=(rejected, dropped, heard_last))).clips
    assert [key for key, _ in watcher.seen] == ["last"]
    assert done[:2] == (rejected, replace(dropped, audio_type=AudioType.NONE))
    assert done[2].scores["sync_verdict"] == "in_sync"


def test_the_same_face_overlaps_by_more_than_half_on_a_keyframe_of_both(two_clips: Source) -> None:
    clip = two_clips.clips[0]

    def seen(x1: float, time_s: float = 0.0) -> Clip:
        face = FaceBox(box=Box(x0=0.0, y0=0.0, x1=x1, y1=0.5), confidence=1.0)
        return replace(clip, tracks=(FaceTrack(times_s=(time_s,), faces=(face,)),))

    faceless = replace(clip, tracks=())
    assert same_face(seen(0.5), seen(0.375))
    assert not same_face(seen(0.5), seen(0.25))
    assert not same_face(seen(0.5), seen(0.5, time_s=0.5))
    assert not same_face(seen(0.5), faceless)
    assert not same_face(faceless, seen(0.5))
    assert same_face(faceless, faceless)


def test_a_clip_without_sound_says_why(two_clips: Source) -> None:
    clip = two_clips.clips[0]
    silent_info = replace(clip.media.info, audio_codec=None)
    mute = replace(clip, media=replace(clip.media, info=silent_info))
    broken = replace(clip, media=replace(clip.media, info=replace(silent_info, audio_undecodable=True)))
    for made, rule in (
        (clip, None),
        (mute, "no_audio_stream"),
        (broken, "undecodable_audio"),
        (replace(clip, pool=Pool.GENERAL), "general_pool"),
        (replace(mute, pool=Pool.GENERAL), "no_audio_stream"),
    ):
        drop = Decision(stage="sync", rule=rule) if rule else None
        assert without_audio(made) == replace(made, audio_type=AudioType.NONE, audio_drop=drop)


@pytest.mark.parametrize(
    ("sound", "verdict", "told"),
    [
        (heard(), Verdict.MISMATCH, (AudioType.TALKING, 0.75)),
        (heard(AudioType.NONE, held=1.0), Verdict.IN_SYNC, (AudioType.NONE, 0.75)),
        (heard(AudioType.UNKNOWN, held=0.5), Verdict.IN_SYNC, (AudioType.SINGING, 0.375)),
        (heard(AudioType.UNKNOWN, held=0.49), Verdict.IN_SYNC, (AudioType.UNKNOWN, 0.75)),
        (heard(AudioType.UNKNOWN, held=1.0), Verdict.UNSURE, (AudioType.UNKNOWN, 0.75)),
    ],
)
def test_held_notes_that_the_lips_follow_are_singing(
    sound: HeardSound, verdict: Verdict, told: tuple[AudioType, float]
) -> None:
    assert tell_audio_type(sound, verdict) == told


def test_speech_is_clear_where_most_clips_are_talk() -> None:
    talk, music = heard(), heard(AudioType.UNKNOWN, fraction=1.0)
    assert summarise_speech([talk, talk, music]) == Speech(fraction=2 / 3, clear=True)
    assert summarise_speech([talk, music]) == Speech(fraction=0.75, clear=False)


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
    stages = build_stages(CurationConfig(), ("scenes", "split", "faces", "sync"))
    done = StageRunner(stages, raise_bugs=True).run(Source(uri=str(SHARED / "clips" / "video" / name)))
    kept = [clip for clip in done.clips if clip.kept]
    verdicts = {clip.scores.get("sync_pooled_verdict", "no_audio_stream") for clip in kept}
    assert kept
    assert all((clip.audio_drop is None) == (drop is None) for clip in kept), drop_rules(done)
    assert drop is None or verdicts == {drop}
