"""How well curation tells lips that match a sound from lips that do not; and the fit of the map that it uses.

    SOUL_SHARED=../shared python -m bench.studies.curation_sync            # areas under the ROC curve
    SOUL_SHARED=../shared python -m bench.studies.curation_sync --fit      # fit the map again, then measure

Spans of 8 s are scored as the stage does it: two clips of 4 s, evidence pooled. Every span is one true pair. It
gives ten negatives with its own sound shifted by 0.4 to 1.5 s either way, and one with each other recording. The score
is the best agreement within the tolerated offset, by which the stage decides.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from infra.command_line import run_alone


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What the command takes."""
    parser.add_argument("--fit", action="store_true", help="fit the map again and write it into the package")


if __name__ == "__main__":
    sys.exit(run_alone("bench.studies.curation_sync", __doc__, add_arguments))  # ahead of the imports that take seconds

import numpy as np
import numpy.typing as npt

from bench.metrics.talking_clips import whole_shot
from curation.backends.faces.crops import crop_face
from curation.backends.lips.fit import fit_map
from curation.backends.lips.mouth_features import CROP_MARGIN, CROP_SIZE, measure_mouth
from curation.backends.lips.mouth_motion import MAP_FILE, MouthMotionScorer, level_features
from curation.backends.lips.scorer import MAX_SHIFT_FRAMES, SYNC_FPS, SYNC_RATE_HZ, SyncEvidence, pool_evidence
from curation.backends.lips.sound_features import band_levels
from curation.media import read_audio
from curation.stages.sync import SyncConfig
from infra.config import ConfigError

CLIP_FRAMES = 100
"""4 s, the paper's shortest sub-clip."""
HOP_FRAMES = 50
GENERATED_LAG_FRAMES = 1
"""Compared with real lips, generated ones lag their sound by about a frame. A map fitted without this measures real
footage at -1 on average, and the drawn mouth of the tests at -2, whose true offset is 0."""
SHIFTS_FRAMES = (10, 15, 20, 28, 37)
"""0.4 to 1.5 s."""

LABELLED = ("liveportrait-d10.mp4", "sadtalker-wda_katiehill_000.mp4")
"""Real footage of at least 8 s whose label says that lips and sound likely agree."""
UNLABELLED = (
    ("latentsync-demo1_video.mp4", 0.0, None),
    ("latentsync-demo3_video.mp4", 0.0, None),
    ("data-juicer-video3.mp4", 4.33, 28.06),
)
"""Real footage of at least 8 s of visible speech whose sync nobody has verified (file, start, end)."""


Features = npt.NDArray[np.float32]


@dataclass(frozen=True, kw_only=True, slots=True)
class Recording:
    """One shot of one talking person, cut into 4 s clips every 2 s."""

    name: str
    material: str
    speech: str
    """Which speech is heard; recordings of the same speech are not each other's negatives."""
    mouths: tuple[Features, ...]
    """Mouth features of each clip, `(CLIP_FRAMES, C)`."""
    levels: Features
    """Band levels of the shot's sound, `(frames, 24)`."""

    def sound(self, clip: int, shift_frames: int = 0) -> Features:
        """Sound features for clip number `clip`, with `MAX_SHIFT_FRAMES` more on each side, taken `shift_frames` later
        (the sound wraps around at its ends)."""
        first = clip * HOP_FRAMES + shift_frames - MAX_SHIFT_FRAMES
        return level_features(np.roll(self.levels, -first, axis=0)[: CLIP_FRAMES + 2 * MAX_SHIFT_FRAMES])

    def pairs(self) -> list[tuple[Features, Features]]:
        """Mouth and sound features of every second clip, which do not overlap, for the fit."""
        inside = slice(MAX_SHIFT_FRAMES, MAX_SHIFT_FRAMES + CLIP_FRAMES)
        return [
            (self.mouths[clip], self.sound(clip, GENERATED_LAG_FRAMES)[inside])
            for clip in range(0, len(self.mouths), 2)
        ]


@dataclass(frozen=True, kw_only=True, slots=True)
class Pairs:
    """Evidence of true and false pairs of one material."""

    true: list[SyncEvidence]
    shifted: list[SyncEvidence]
    other: list[SyncEvidence]


def find_material(shared: Path) -> Iterator[tuple[str, str, Path, float, float | None]]:
    """`(material, speech, file, start, end)` of everything that is measured."""
    for name in LABELLED:
        yield "real, labelled in sync", name, shared / "clips" / "video" / name, 0.0, None
    for name, start_s, end_s in UNLABELLED:
        yield "real, sync not labelled", name, shared / "clips" / "video" / name, start_s, end_s
    for path in sorted((shared / "soul-bench" / "videos").glob("*/*.mp4")):
        yield "generated", path.stem.split("_")[0], path, 0.0, None


def record(material: str, speech: str, path: Path, start_s: float, end_s: float | None) -> Recording:
    """Measure the mouth in every 4 s clip of one shot."""
    shot = whole_shot(path, start_s, end_s)
    samples, _ = read_audio(str(path), shot.start_s, shot.end_s, sample_rate_hz=SYNC_RATE_HZ)
    crops = crop_face(shot, shot.tracks[0], fps=SYNC_FPS, size=CROP_SIZE, margin=CROP_MARGIN)
    heard = samples[crops.first_frame * SYNC_RATE_HZ // SYNC_FPS :, 0]
    levels = band_levels(heard, len(crops.images), rate_hz=SYNC_RATE_HZ, fps=SYNC_FPS)
    starts = range(0, len(crops.images) - CLIP_FRAMES + 1, HOP_FRAMES)
    return Recording(
        name=f"{path.parent.name}/{path.stem}",
        material=material,
        speech=speech,
        mouths=tuple(measure_mouth(crops.images[first : first + CLIP_FRAMES]).features for first in starts),
        levels=levels,
    )


def compare(scorer: MouthMotionScorer, recordings: Sequence[Recording], sounds: Sequence[Recording]) -> Pairs:
    """True pairs, shifted pairs and pairs with the first 8 s of every other speech in `sounds`."""
    pairs = Pairs(true=[], shifted=[], other=[])
    sound_maps = {other.speech: [scorer.map_sound(other.sound(clip)) for clip in (0, 2)] for other in sounds}
    for recording in recordings:
        lips = [scorer.map_lips(mouth) for mouth in recording.mouths]

        def curve(clip: int, sound: Features, lips: Sequence[Features] = lips) -> SyncEvidence:
            return SyncEvidence(curve=scorer.compare(lips[clip], sound), num_frames=CLIP_FRAMES)

        def shifted(clip: int, shift: int, recording: Recording = recording) -> SyncEvidence:
            return curve(clip, scorer.map_sound(recording.sound(clip, shift)))

        by_shift = {
            shift: [shifted(clip, shift) for clip in range(len(lips))]
            for shift in (0, *(sign * frames for frames in SHIFTS_FRAMES for sign in (-1, 1)))
        }
        for first in range(len(lips) - 2):
            for shift, curves in by_shift.items():
                group = pairs.shifted if shift else pairs.true
                group.append(pool_evidence([curves[first], curves[first + 2]]))
            for speech, (one, two) in sound_maps.items():
                if speech != recording.speech:
                    pairs.other.append(pool_evidence([curve(first, one), curve(first + 2, two)]))
    return pairs


def area_under_roc(true: Sequence[float], false: Sequence[float]) -> float:
    """Probability that a true pair scores above a false one, ties counting half."""
    one, other = np.array(true)[:, None], np.array(false)[None]
    return float((one > other).mean() + (one == other).mean() / 2)


def report(title: str, pairs: Pairs) -> dict[str, float]:
    """Print one material's areas and return them."""
    tolerance = SyncConfig().max_offset_frames
    true, shifted, other = (
        [evidence.agreement(tolerance) for evidence in group] for group in (pairs.true, pairs.shifted, pairs.other)
    )
    areas = {"shifted": area_under_roc(true, shifted)}
    line = f"{title:34s} {len(true):4d} true | shifted 0.4-1.5 s {areas['shifted']:.3f} ({len(shifted)} pairs)"
    if other:
        areas["other"] = area_under_roc(true, other)
        line += f" | another's audio {areas['other']:.3f} ({len(other)} pairs)"
    print(line, flush=True)
    return areas


def measure(shared: Path) -> list[Recording]:
    """Every recording of the material; prints the time that measuring took."""
    recordings, started, num_clips = [], time.perf_counter(), 0
    for item in find_material(shared):
        recordings.append(record(*item))
        num_clips += len(recordings[-1].mouths)
        print(f"\r{len(recordings)} recordings, {num_clips} clips", end="", file=sys.stderr)
    seconds = time.perf_counter() - started
    print(f"\n{seconds:.0f} s: {seconds / num_clips:.2f} s a 4 s clip, faces included", file=sys.stderr)
    return recordings


def evaluate(recordings: Sequence[Recording]) -> dict[str, dict[str, float]]:
    """Areas by material.

    Real footage is scored by the frozen map, which was fitted on none of it; generated videos by maps that are fitted
    without the speech in question.
    """
    areas = {}
    scorer = MouthMotionScorer()
    real = [recording for recording in recordings if recording.material != "generated"]
    for material in dict.fromkeys(recording.material for recording in real):
        areas[material] = report(material, compare(scorer, [r for r in real if r.material == material], real))
    areas["real"] = report("real, both", compare(scorer, real, real))
    generated = [recording for recording in recordings if recording.material == "generated"]
    held_out = Pairs(true=[], shifted=[], other=[])
    for speech in sorted({recording.speech for recording in generated}):
        fitted = MouthMotionScorer(fit_map([pair for r in generated if r.speech != speech for pair in r.pairs()]))
        sounds = list({recording.speech: recording for recording in generated}.values())
        pairs = compare(fitted, [r for r in generated if r.speech == speech], sounds)
        held_out.true.extend(pairs.true)
        held_out.shifted.extend(pairs.shifted)
        held_out.other.extend(pairs.other)
    if generated:
        areas["generated"] = report("generated, speech left out of the fit", held_out)
    return areas


def run(options: argparse.Namespace) -> None:
    """Fit where that is asked for, and print the table.

    Raises:
        ConfigError: there are no clips.
    """
    shared = Path(os.environ.get("SOUL_SHARED", "../shared"))
    if not (shared / "clips" / "video").is_dir():
        raise ConfigError(
            f"no clips under {shared}: set SOUL_SHARED to the directory that holds clips/ and soul-bench/"
        )
    recordings = measure(shared)
    if options.fit:
        fit_map([pair for r in recordings if r.material == "generated" for pair in r.pairs()]).save(MAP_FILE)
    evaluate(recordings)
