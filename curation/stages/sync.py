"""Lip sync: drop the sound of clips whose lips and speech persistently disagree (paper, Sec. 4.1)."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np

from curation.backends.faces.crops import track_in_picture
from curation.backends.lips.scorer import (
    MARGIN_S,
    MAX_SHIFT_FRAMES,
    SYNC_RATE_HZ,
    SyncEvidence,
    no_evidence,
    pool_evidence,
)
from curation.backends.models import NO_MODELS, ModelsConfig
from curation.backends.registry import SPEECH_DETECTORS, SYNC_SCORERS
from curation.backends.speech.detector import HeardSound
from curation.clip.schema import AudioType, Clip, Decision, Pool, Score, Shot, Source, Verdict
from curation.media import read_audio

STAGE = "sync"


@dataclass(frozen=True, kw_only=True, slots=True)
class SyncConfig:
    """When lips and sound count as belonging together."""

    backend: str = "mouth_motion"
    """Scorer of lips against sound."""
    speech_backend: str = "periodicity"
    """Detector of speech."""
    max_offset_frames: int = 6
    """Offsets up to this many frames at 25 fps are in sync; LatentSync's data filter."""
    min_confidence: float = 0.25
    """Confidence (best minus median agreement) from which there is a peak, over `confidence_frames` of evidence; the
    scale is the backend's. Measured on spans of 8 s of the real footage of `bench.studies.curation_sync`: 11 % of 80
    pairs with foreign sound reach it, half of them at a tolerated offset; 60 % of the 20 true pairs reach it, all at a
    tolerated offset."""
    confidence_frames: int = 200
    """8 s. Chance peaks shrink with the square root of the evidence, and the confidence that is asked for shrinks with
    them; 0 keeps it fixed, as for SyncNet's confidence of 3."""
    max_chance_agreement: float = 0.12
    """Agreement within the tolerated offset that chance reaches; below it, after `persistent_frames`, lips and sound
    have nothing to do with each other. Over 8 s of real footage 2 of 20 true pairs, 73 % of shifted pairs and 69 % of
    foreign pairs stay below it; over 16 s none of 5 true pairs does."""
    persistent_frames: int = 150
    """6 s of face. With less evidence and no peak the verdict is `unsure`."""
    min_mouth_speed: float = 0.025
    """Face widths a second. A speaker's lower face moves at 0.06 to 0.13, a closed mouth at 0.014 to 0.024,
    a photograph at 0 (measured on the labelled clips)."""
    min_speech_fraction: float = 0.1
    """Share of a shot's time with a voice, below which nobody is heard."""
    silence_db: float = -60.0
    """A track whose loudest 0.1 s stays below this carries nothing (a muted track: about -90; the quietest
    real one measured, a street from afar: -40)."""
    drop_without_speech: bool = True
    """Whether a shot in which nobody is heard loses its sound: Soul-1M has talking, singing and no audio only."""

    def __post_init__(self) -> None:
        if not 0 <= self.max_offset_frames < MAX_SHIFT_FRAMES:
            raise ValueError(f"max_offset_frames must be 0 to {MAX_SHIFT_FRAMES - 1}, got {self.max_offset_frames}")
        if self.min_confidence <= 0:
            raise ValueError(f"min_confidence must be positive, got {self.min_confidence}")
        if self.confidence_frames < 0 or self.persistent_frames < 1:
            raise ValueError("confidence_frames must not be negative and persistent_frames must be positive")
        if not 0 <= self.min_speech_fraction <= 1:
            raise ValueError(f"min_speech_fraction must be within [0, 1], got {self.min_speech_fraction}")


@dataclass(frozen=True, slots=True)
class Judgement:
    """A verdict with the rule and the numbers behind it."""

    verdict: Verdict
    rule: str
    value: float
    threshold: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Speech:
    """How much speech is heard in a clip or a shot."""

    fraction: float
    """Share of the time with a voice."""
    clear: bool
    """Whether most of it is talk without music."""


@dataclass(frozen=True, slots=True)
class Examined:
    """What was seen and heard of one clip."""

    evidence: SyncEvidence
    sound: HeardSound
    silent: bool = False
    """Whether the lips were not looked at, because nothing is heard."""

    def scores(self) -> dict[str, Score]:
        """All of it, as it is stored."""
        evidence, sound = self.evidence, self.sound
        return {
            "sync_curve": None if self.silent else tuple(map(float, evidence.curve)),
            "sync_num_frames": evidence.num_frames,
            "sync_mouth_speed": evidence.mouth_speed,
            "speech_fraction": sound.speech_fraction,
            "audio_level_db": sound.level_db,
            "sound_type": sound.audio_type.value,
            "sound_confidence": sound.confidence,
            "sound_held_fraction": sound.held_fraction,
        }

    @classmethod
    def of(cls, scores: Mapping[str, Any]) -> Self | None:
        """What is stored of a clip; None where its sound has not been examined."""
        if scores["speech_fraction"] is None:
            return None
        evidence = no_evidence()
        if scores["sync_curve"] is not None:
            evidence = SyncEvidence(
                curve=np.asarray(scores["sync_curve"], np.float32),
                num_frames=int(scores["sync_num_frames"]),
                mouth_speed=scores["sync_mouth_speed"],
            )
        sound = HeardSound(
            level_db=scores["audio_level_db"],
            speech_fraction=scores["speech_fraction"],
            audio_type=AudioType(scores["sound_type"]),
            confidence=scores["sound_confidence"],
            held_fraction=scores["sound_held_fraction"],
        )
        return cls(evidence, sound, silent=scores["sync_curve"] is None)


EXAMINED_SCORES = (
    *("sync_curve", "sync_num_frames", "sync_mouth_speed", "speech_fraction", "audio_level_db"),
    *("sound_type", "sound_confidence", "sound_held_fraction"),
)
"""The scores from which the sound of clips is judged."""


@dataclass(frozen=True, slots=True)
class SoundDecision:
    """What becomes of one clip's sound."""

    audio_type: AudioType
    type_confidence: float
    drop: Decision | None
    """None where the sound is kept."""


class SoundJudge:
    """The rules about sound: from what was examined of the clips of a shot to what becomes of each one's sound."""

    def __init__(self, config: SyncConfig) -> None:
        self.config = config

    def is_silent(self, sound: HeardSound) -> bool:
        """Whether the track is silent throughout."""
        return sound.level_db < self.config.silence_db

    def is_open(self, examined: Examined) -> bool:
        """Whether the clip's lips have to be looked at before its shot can be judged."""
        return examined.silent and not self.is_silent(examined.sound)

    def decide(self, examined: Examined, shot: Judgement) -> SoundDecision:
        """What becomes of one clip's sound; the shot's verdict decides."""
        sound = examined.sound
        audio_type, confidence = tell_audio_type(sound, shot.verdict)
        drop = None
        if self.is_silent(sound):
            audio_type = AudioType.NONE
            drop = Decision(stage=STAGE, rule="silent", value=sound.level_db, threshold=self.config.silence_db)
        elif shot.verdict is Verdict.MISMATCH or (
            shot.verdict is Verdict.NO_SPEECH and self.config.drop_without_speech
        ):
            drop = Decision(stage=STAGE, rule=shot.rule, value=float(shot.value), threshold=float(shot.threshold))
        return SoundDecision(audio_type, confidence, drop)

    def judge_shot(self, clips: Mapping[str, Examined]) -> tuple[Judgement, SyncEvidence]:
        """The verdict on a shot's clips together, given by their keys, and their evidence as one."""
        # Sums depend on their order, and the order of rows is not always that of the clips.
        members = [clips[key] for key in sorted(clips)]
        # A clip that is silent under these settings would not have been looked at.
        evidence = pool_evidence([no_evidence() if self.is_silent(x.sound) else x.evidence for x in members])
        return self.judge(evidence, summarise_speech([x.sound for x in members])), evidence

    def judge_alone(self, examined: Examined) -> Judgement:
        """The verdict on one clip by itself, which captions go by."""
        silent = self.is_silent(examined.sound)
        return self.judge(no_evidence() if silent else examined.evidence, summarise_speech([examined.sound]))

    def judge(self, evidence: SyncEvidence, speech: Speech) -> Judgement:
        """The verdict on evidence of one clip or of a shot's clips together."""
        config = self.config
        if speech.fraction < config.min_speech_fraction:
            return Judgement(Verdict.NO_SPEECH, "no_speech", speech.fraction, config.min_speech_fraction)
        if evidence.num_frames == 0:
            return Judgement(Verdict.UNSURE, "no_face", 0, 1)
        judgement = self.judge_curve(evidence, clear_talk=speech.clear)
        speed = evidence.mouth_speed
        still = speed is not None and speed < config.min_mouth_speed
        if still and judgement.verdict is not Verdict.IN_SYNC:
            return Judgement(Verdict.MISMATCH, "still_lips", float(speed or 0.0), config.min_mouth_speed)
        return judgement

    def judge_curve(self, evidence: SyncEvidence, *, clear_talk: bool) -> Judgement:
        """The verdict on lips that move while somebody is heard."""
        config = self.config
        bar, confidence = self.confidence_bar(evidence.num_frames), evidence.confidence
        if confidence >= bar:
            if abs(evidence.offset_frames) <= config.max_offset_frames:
                return Judgement(Verdict.IN_SYNC, "peak", confidence, bar)
            return Judgement(Verdict.MISMATCH, "offset", evidence.offset_frames, config.max_offset_frames)
        agreement = evidence.agreement(config.max_offset_frames)
        # Music hides the voice that the lips follow, so only clear talk can be contradicted by its absence.
        persistent = evidence.num_frames >= config.persistent_frames and clear_talk
        if persistent and agreement < config.max_chance_agreement:
            return Judgement(Verdict.MISMATCH, "no_agreement", agreement, config.max_chance_agreement)
        return Judgement(Verdict.UNSURE, "no_peak", confidence, bar)

    def confidence_bar(self, num_frames: int) -> float:
        """The confidence that a peak over `num_frames` needs."""
        if not self.config.confidence_frames:
            return self.config.min_confidence
        return self.config.min_confidence * math.sqrt(self.config.confidence_frames / num_frames)


class SyncFilter:
    """Score every clip once, judge every shot by all its clips, drop the sound on persistent mismatch.

    "No speech" and "unsure" are verdicts of their own: too little evidence never costs a clip its sound.
    """

    def __init__(self, config: SyncConfig, models: ModelsConfig = NO_MODELS) -> None:
        self.sound = SoundJudge(config)
        self.scorer = SYNC_SCORERS.build(config.backend, models)
        self.speech = SPEECH_DETECTORS.build(config.speech_backend, models)

    def __call__(self, source: Source) -> Source:
        """Scores, verdicts and audio decisions on all kept clips of the human pool."""
        examined = self._examine_each(source.clips)
        shots: dict[tuple[Shot, bool], dict[str, Examined]] = defaultdict(dict)
        for clip in source.clips:
            if clip.key in examined:
                shots[_group(clip)][clip.key] = examined[clip.key]
        for other in source.others:
            before = Examined.of(other.scores)
            assert before is not None, "only those are given along"
            shots[other.shot, other.is_crop].setdefault(other.key, before)
        judged = {group: self.sound.judge_shot(members) for group, members in shots.items()}

        def decided(clip: Clip) -> Clip:
            if not clip.kept:
                return clip
            if clip.key not in examined:
                return without_audio(clip)
            return self.decide(clip, examined[clip.key], *judged[_group(clip)])

        return replace(source, clips=tuple(decided(clip) for clip in source.clips))

    def _examine_each(self, clips: Sequence[Clip]) -> dict[str, Examined]:
        """What was found on each clip whose sound may be kept, by its key."""
        examined: dict[str, Examined] = {}
        seen: dict[str, Clip] = {}
        for clip in clips:
            if not clip.kept or clip.pool is Pool.GENERAL or not clip.has_audio:
                continue
            parent = seen.get(clip.parent_key or "")
            if parent is not None and same_face(parent, clip):
                examined[clip.key] = examined[parent.key]  # the same pixels and the same sound
            else:
                examined[clip.key] = self.examine(clip)
            seen[clip.key] = clip
        return examined

    def examine(self, clip: Clip) -> Examined:
        """Listen to one clip and, unless it is silent, look at its lips."""
        samples, _ = read_audio(
            clip.media.path, clip.start_s - MARGIN_S, clip.end_s + MARGIN_S, sample_rate_hz=SYNC_RATE_HZ
        )
        margin = round(MARGIN_S * SYNC_RATE_HZ)
        sound = self.speech.listen(samples[margin:-margin, 0])
        if self.sound.is_silent(sound):
            return Examined(no_evidence(), sound, silent=True)
        return Examined(self.scorer.score(clip, samples[:, 0]), sound)

    def decide(self, clip: Clip, examined: Examined, shot: Judgement, shot_evidence: SyncEvidence) -> Clip:
        """Store one clip's scores, and what follows from them and the verdict on its shot."""
        evidence, near = examined.evidence, self.sound.config.max_offset_frames
        own = self.sound.judge_alone(examined)
        decision = self.sound.decide(examined, shot)
        clip = replace(clip, audio_type=decision.audio_type).with_scores(
            **examined.scores(),
            sync_offset_frames=evidence.offset_frames if evidence.num_frames else None,
            sync_confidence=evidence.confidence,
            sync_agreement=evidence.agreement(near),
            sync_verdict=own.verdict.value,
            sync_pooled_offset_frames=shot_evidence.offset_frames if shot_evidence.num_frames else None,
            sync_pooled_confidence=shot_evidence.confidence,
            sync_pooled_agreement=shot_evidence.agreement(near),
            sync_pooled_verdict=shot.verdict.value,
            sync_pooled_rule=shot.rule,
            sync_pooled_num_frames=shot_evidence.num_frames,
            audio_type_confidence=decision.type_confidence,
        )
        drop = decision.drop
        return clip if drop is None else clip.drop_audio(drop.stage, drop.rule, drop.value, drop.threshold)


def same_face(parent: Clip, crop: Clip) -> bool:
    """Whether the largest face of a cropped clip is the largest face of its parent."""
    if not parent.tracks or not crop.tracks:
        return not parent.tracks and not crop.tracks
    one, other = (track_in_picture(clip, clip.tracks[0]) for clip in (parent, crop))
    shared = dict(zip(one.times_s, one.faces, strict=True))
    return any(
        time_s in shared and shared[time_s].box.iou(face.box) > 0.5
        for time_s, face in zip(other.times_s, other.faces, strict=True)
    )


def _group(clip: Clip) -> tuple[Shot, bool]:
    """The same for clips that are judged together: those of one shot, its crops apart, which may show another face."""
    return clip.shot, clip.parent_key is not None


def without_audio(clip: Clip) -> Clip:
    """Say in the record why a clip has no sound: general pool (paper: audio all zero) or nothing recorded."""
    clip = replace(clip, audio_type=AudioType.NONE)
    if clip.media.info.audio_codec is None:
        rule = "undecodable_audio" if clip.media.info.audio_undecodable else "no_audio_stream"
        return clip.drop_audio(STAGE, rule)
    if clip.pool is Pool.GENERAL:
        return clip.drop_audio(STAGE, "general_pool")
    return clip


def summarise_speech(sounds: Sequence[HeardSound]) -> Speech:
    """The speech of one shot's clips together."""
    talk = [sound.audio_type is AudioType.TALKING for sound in sounds]
    return Speech(
        fraction=math.fsum(sound.speech_fraction for sound in sounds) / len(sounds),
        clear=sum(talk) * 2 > len(talk),
    )


def tell_audio_type(sound: HeardSound, verdict: Verdict) -> tuple[AudioType, float]:
    """The audio type, told from sound and lips together, and the confidence in it.

    Sound that the lips follow comes from the person seen. Where it is not clearly talk (no pauses, held notes), it is
    song or speech over music: `singing` if notes are held, else `unknown`. Sound without a voice is `none`.
    """
    if sound.audio_type is not AudioType.UNKNOWN:
        return sound.audio_type, sound.confidence
    if verdict is Verdict.IN_SYNC and sound.held_fraction >= 0.5:
        return AudioType.SINGING, sound.confidence * sound.held_fraction
    return AudioType.UNKNOWN, sound.confidence
