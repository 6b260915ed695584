"""The pipeline with its own stages and rules on measurements that are drawn by the names of clips: thousands of clips
a minute, on all sides of every threshold. The same clip measures the same whatever the thresholds are.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from curation.backends.caption.captioner import CaptionError, Described
from curation.backends.lips.scorer import MAX_SHIFT_FRAMES, SyncEvidence, no_evidence
from curation.backends.pose.estimator import Pose, TrackedPerson
from curation.backends.quality.scorer import QualityScore, UnscoredError
from curation.backends.speech.detector import HeardSound
from curation.backends.text.detector import TextBox
from curation.clip.caption import CameraMovement, Caption, MovementDirection
from curation.clip.claims import Claim
from curation.clip.motion import CameraMotion, SubjectMotion
from curation.clip.observations import Box, FaceBox, Keyframe
from curation.clip.schema import AudioType, Clip, Media, Payload, Pool, Shot, Source, VideoInfo
from curation.pipeline import CurationConfig
from curation.rules.rule import decide_source
from curation.shards.run_directory import RunDirectory, ShardsConfig, ShardWriter
from curation.shards.settings import remember_settings
from curation.stage import ClipStage, EachClip, Stage
from curation.stages.caption import CaptionStage
from curation.stages.consistency import ConsistencyFilter
from curation.stages.defects import ASKED, MEASURED, DefectFilter
from curation.stages.faces import FacesFilter
from curation.stages.format import FormatFilter
from curation.stages.pose import PoseStage
from curation.stages.quality import QualityFilter
from curation.stages.resolution import ResolutionFilter
from curation.stages.subtitles import SubtitleFilter
from curation.stages.sync import Examined, SyncFilter
from infra.config import build

KEYFRAMES = 8


def config_with(**thresholds: Any) -> CurationConfig:
    """The settings of the scripted pipeline, with some thresholds by their dotted names."""
    nested: dict[str, Any] = {"stages": {"defects": {"second_backend": "qwen_vl"}}}
    for name, value in thresholds.items():
        _, stage, field = name.split(".")
        nested["stages"].setdefault(stage, {})[field] = value
    return build(CurationConfig, nested, "test")


BASE = config_with()


def drawn(key: str, topic: str) -> np.random.Generator:
    """The numbers that belong to a clip and a topic."""
    return np.random.default_rng(zlib.crc32(f"{key}|{topic}".encode()))


def pictures() -> tuple[bytes, ...]:
    """JPEGs of noise that tell by their brightness which keyframe they are; what text would stand on has changed."""
    noise = [drawn("noise", str(k)).integers(-20, 21, (72, 128, 1)).repeat(3, axis=2) for k in range(KEYFRAMES)]
    images = [(30 + 25 * k + each - round(float(each.mean()))).astype(np.uint8) for k, each in enumerate(noise)]
    return tuple(cv2.imencode(".jpg", image)[1].tobytes() for image in images)


PICTURES = pictures()


def source_of(number: int) -> Source:
    """A source of a name of its own, of any size, rate, range and pool."""
    uri = f"/in/{number:05d}.mp4"
    rng = drawn(uri, "source")
    info = VideoInfo(
        width=int(rng.choice([1280, 1920, 1080])),
        height=int(rng.choice([400, 500, 720, 1080], p=[0.1, 0.2, 0.4, 0.3])),
        fps=float(rng.choice([0.0, 10.0, 14.0, 25.0, 30.0], p=[0.05, 0.1, 0.15, 0.4, 0.3])),
        duration_s=45.0, codec="h264", pixel_format="yuv420p", rotation_deg=0, sample_aspect_ratio=1.0,
        audio_codec="aac" if rng.random() < 0.85 else None, audio_rate_hz=16000, audio_channels=1,
        field_order="tt" if rng.random() < 0.1 else "progressive", color_matrix="bt709",
        color_transfer=str(rng.choice(["bt709", "smpte2084", "log"], p=[0.85, 0.1, 0.05])),
    )  # fmt: skip
    pool = Pool.GENERAL if rng.random() < 0.15 else Pool.HUMAN
    return Source(uri=uri, pool=pool, media=Media(path=uri, info=info))


class Reader:
    """Finds text of drawn widths on the keyframes of the clip that it is told of."""

    key = ""

    def detect(self, images: Sequence[npt.NDArray[np.uint8]]) -> list[tuple[TextBox, ...]]:
        """A line in the caption's place on most keyframes of some clips, and a sign in the middle of others."""
        return [self._lines(round((float(image.mean()) - 30) / 25)) for image in images]

    def _lines(self, number: int) -> tuple[TextBox, ...]:
        if drawn(self.key, "text").random() < 0.4:
            return ()
        rng = drawn(self.key, f"text {number}")
        width = float(rng.uniform(0.05, 0.5)) if rng.random() < 0.8 else 0.0
        y0 = 0.85 if drawn(self.key, "row").random() < 0.7 else 0.45
        box = Box(x0=0.5 - width / 2, y0=y0, x1=0.5 + width / 2, y1=y0 + 0.06)
        return (TextBox(box=box, confidence=1.0, angle_deg=0.0),) if width else ()


class Captioner:
    """Claims anything."""

    def caption(self, clip: Clip, labels: Mapping[str, str]) -> Described:
        """What is heard changes what is said, as with the captioner that states what was measured."""
        rng = drawn(clip.key, f"caption {clip.audio_type} {clip.has_audio} {clip.scores.get('sync_verdict')}")
        if rng.random() < 0.03:
            raise CaptionError("nothing valid")
        walks, talks = rng.random() < 0.3, rng.random() < 0.5
        text = f"A person {'walks' if walks else 'stands'}{' and talks' if talks else ''}."
        caption = Caption(
            num_people=int(rng.integers(0, 4)), brief=text, detailed=text,
            camera_movement=CameraMovement(str(rng.choice(list(CameraMovement)))),
            movement_direction=MovementDirection(str(rng.choice(list(MovementDirection)))),
        )  # fmt: skip
        return Described(caption=caption)


def scripted_stages(config: CurationConfig) -> list[tuple[str, Stage]]:
    """The stages in their order."""
    stages = config.stages
    return [
        ("format", FormatFilter(stages.format)),
        ("resolution", ResolutionFilter(stages.resolution)),
        ("scenes", lambda source: _scan(source, config)),
        ("split", _split),
        ("faces", EachClip(FacesFilter(stages.faces))),
        ("quality", EachClip(_quality(config))),
        ("subtitles", EachClip(_subtitles(config))),
        ("defects", EachClip(_defects(config))),
        ("pose", _pose(config)),
        ("motion", EachClip(_measure_motion)),
        ("sync", _sync(config)),
        ("caption", EachClip(_caption(config))),
        ("consistency", EachClip(_consistency(config))),
        ("export", _export),
    ]


def scripted_run(run: str, config: CurationConfig, units: Sequence[Source]) -> None:
    """Take units through the stages and commit them."""
    RunDirectory(run).open_session("scripted")
    remember_settings(run, config.hash, config.deciding)
    stages, done = scripted_stages(config), []
    for unit in units:
        fails = drawn(unit.uri, "fails").random() < 0.03
        source = unit.fail("probe", "unreadable", "no atom") if fails else unit
        for _, stage in stages:
            source = stage(source) if source.active else source
        done.append(source)
    ShardWriter(run, ShardsConfig(max_samples=40), config.decided_by, "scripted").write(done)


def _scan(source: Source, config: CurationConfig) -> Source:
    share = float(drawn(source.key, "combed").choice([0.0, 0.002, 0.004], p=[0.8, 0.1, 0.1]))
    source = decide_source(source.with_scores(scenes_combed_share=share), "scenes", config.stages.scenes.rules)
    return replace(source, shots=tuple(Shot(start_s=15.0 * n, end_s=15.0 * n + 15) for n in range(3)))


def _split(source: Source) -> Source:
    clips = [_clip(source, index) for index in range(9)]
    return replace(source, clips=tuple(clip for clip in clips if source.wanted is None or clip.key in source.wanted))


def _clip(source: Source, index: int) -> Clip:
    assert source.media is not None
    key, start_s = source.clip_key(index), 5.0 * index
    clip = Clip(
        key=key, source=source.uri, media=source.media, pool=source.pool, shot=source.shots[index // 3],
        start_s=start_s, end_s=start_s + 4.5, keyframes=_keyframes(key, start_s),
    )  # fmt: skip
    return clip.reject("split", "too_short", 4.5) if drawn(key, "split").random() < 0.05 else clip


def _keyframes(key: str, start_s: float) -> tuple[Keyframe, ...]:
    rng = drawn(key, "faces")
    rate, confidence = rng.choice([0.0, 0.5, 1.0], p=[0.1, 0.3, 0.6]), float(rng.uniform(0.1, 1.2))
    box = Box(x0=0.4, y0=0.2, x1=0.6, y1=0.2 + float(drawn(key, "height").uniform(0.1, 0.5)))
    return tuple(
        Keyframe(
            time_s=start_s + 0.5 * n, jpeg=PICTURES[n],
            faces=(FaceBox(box=box, confidence=confidence),) if rng.random() < rate else (),
        )
        for n in range(KEYFRAMES)
    )  # fmt: skip


def _quality(config: CurationConfig) -> ClipStage:
    def score(clip: Clip) -> QualityScore:
        rng = drawn(clip.key, "quality")
        if rng.random() < 0.03:
            raise UnscoredError("no_keyframes", "nothing to see")
        # As networks give it: in single precision, which must not be compared as such.
        return QualityScore(score=np.float32(round(rng.uniform(30, 100), 1)), parts={})  # type: ignore[arg-type]

    stage = QualityFilter(config.stages.quality)
    stage.scorer = SimpleNamespace(score=score)
    return stage


def _subtitles(config: CurationConfig) -> ClipStage:
    # Made without its detector, which takes seconds to load.
    stage, reader = SubtitleFilter.__new__(SubtitleFilter), Reader()
    stage.config, stage.detector = config.stages.subtitles, reader

    def judge(clip: Clip) -> Clip:
        reader.key = clip.key
        return stage(clip)

    return judge


def _defects(config: CurationConfig) -> ClipStage:
    def found(kinds: Sequence[str]) -> Callable[[Clip], dict[str, float]]:
        def detect(clip: Clip) -> dict[str, float]:
            rng = drawn(clip.key, f"defects {kinds[0]}")
            return {kind: float(rng.choice([0.0, rng.uniform(0, 4.0)], p=[0.95, 0.05])) for kind in kinds}

        return detect

    stage = DefectFilter(config.stages.defects)
    stage.detector = SimpleNamespace(detect=found(MEASURED))
    stage.second = SimpleNamespace(detect=found(ASKED))
    return stage


def _pose(config: CurationConfig) -> Stage:
    def people(clip: Clip) -> tuple[TrackedPerson, ...]:
        heads = float(drawn(clip.key, "pose").uniform(1.0, 8.0))
        size = 0.9 / heads
        pose = Pose(
            box=Box(x0=0.3, y0=0.05, x1=0.7, y1=0.95),
            head=Box(x0=0.5 - size / 4, y0=0.05, x1=0.5 + size / 4, y1=0.05 + size),
            visible_heads=heads,
        )  # fmt: skip
        times_s = tuple(frame.time_s for frame in clip.keyframes)
        return (TrackedPerson(times_s=times_s, poses=(pose,) * len(times_s)),)

    stage = PoseStage(replace(config.stages.pose, min_short_edge_px=60))
    stage.estimator = SimpleNamespace(people=people)
    return stage


def _measure_motion(clip: Clip) -> Clip:
    rng = drawn(clip.key, "motion")
    camera = CameraMotion(**{name: float(rng.normal(0, 0.03)) for name in CameraMotion.__slots__})
    camera = replace(camera, speed_per_s=float(rng.choice([0.0015, 0.01, 0.03])))
    subject = SubjectMotion(
        dx_per_s=float(rng.normal(0, 0.05)), dy_per_s=float(rng.normal(0, 0.05)),
        scale_per_s=float(rng.normal(0, 0.05)),
        travel_heads=float(rng.choice([0.2, 0.8, 1.5, 2.5])), coverage=float(rng.uniform(0.4, 1.0)),
    )  # fmt: skip
    known, seen = rng.random() < 0.8, rng.random() < 0.8
    return clip.with_scores(
        **(camera.scores() if known else CameraMotion.unknown()),
        **(subject.scores() if seen else SubjectMotion.unknown()),
        subject_mouth_change=float(rng.uniform(2, 12)),
    )


def _sync(config: CurationConfig) -> Stage:
    stage = SyncFilter(config.stages.sync)

    def examine(clip: Clip) -> Examined:
        rng = drawn(clip.key, "sync")
        sound = HeardSound(
            level_db=float(rng.choice([-80.0, -55.0, -20.0], p=[0.1, 0.1, 0.8])),
            speech_fraction=float(rng.choice([0.05, 0.15, 0.8], p=[0.2, 0.2, 0.6])),
            audio_type=AudioType(str(rng.choice(["talking", "unknown", "none"]))),
            confidence=float(rng.random()), held_fraction=float(rng.random()),
        )  # fmt: skip
        if stage.sound.is_silent(sound):
            return Examined(no_evidence(), sound, silent=True)
        curve = rng.normal(0, 0.08, 2 * MAX_SHIFT_FRAMES + 1).astype(np.float32)
        curve[MAX_SHIFT_FRAMES + rng.choice([0, 2, 9])] += np.float32(rng.choice([0.0, 0.3, 0.8]))
        speed = None if rng.random() < 0.2 else float(rng.uniform(0.01, 0.1))
        return Examined(SyncEvidence(curve=curve, num_frames=int(rng.choice([0, 60, 112])), mouth_speed=speed), sound)

    stage.examine = examine  # type: ignore[method-assign]
    return stage


def _caption(config: CurationConfig) -> ClipStage:
    stage = CaptionStage(config.stages.caption)
    stage.captioner = Captioner()
    return stage


def _consistency(config: CurationConfig) -> ClipStage:
    def judge(clip: Clip, claims: Sequence[Claim]) -> dict[Claim, float]:
        rng = drawn(clip.key, "claims")
        return {claim: float(rng.uniform(0.1, 1.0)) for claim in claims}

    stage = ConsistencyFilter(config.stages.consistency)
    stage.judge = SimpleNamespace(judge=judge)
    return stage


def _export(source: Source) -> Source:
    def exported(clip: Clip) -> Clip:
        if not clip.kept:
            return clip
        if drawn(clip.key, "export").random() < 0.02:
            return clip.reject("export", "num_frames", 0.0, 112.0)
        wav = b"RIFFwave" if clip.has_audio else None
        payload: Any = Payload(
            mp4=clip.key.encode(), wav=wav, num_frames=112, num_audio_samples=8, audio_rate_hz=16000,
            stream_copied=False,
        )  # fmt: skip
        return replace(clip, payload=payload)

    return replace(source, clips=tuple(map(exported, source.clips)))
