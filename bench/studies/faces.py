"""RetinaFace beside dlib's detector on the labelled clips: faces, boxes, time, and batches against single pictures.

    SOUL_SHARED=../shared python -m bench.studies.faces --weights models/retinaface.pth

dlib's faces are the reference: on these clips it finds no false ones, and misses some that are small or turned away.
"Extra" faces of RetinaFace are therefore either; they are counted apart on clips whose label says that nobody is seen.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from pathlib import Path

from infra.command_line import run_alone


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What the command takes."""
    parser.add_argument("--weights", required=True, metavar="FILE", help="public RetinaFace weights")
    parser.add_argument("--release", default="auto", help="of which release they are (default: told from the weights)")
    parser.add_argument("--device", default="auto", help="where RetinaFace runs (default: a GPU where there is one)")
    parser.add_argument("--per-second", type=float, default=1.0, metavar="N", help="pictures a second (default: 1)")
    parser.add_argument(
        "--confidences",
        type=float,
        nargs="+",
        default=[0.5, 0.8, 0.9, 0.95],
        metavar="C",
        help="confidences from which a face counts (default: 0.5 0.8 0.9 0.95)",
    )


if __name__ == "__main__":
    sys.exit(run_alone("bench.studies.faces", __doc__, add_arguments))  # ahead of the imports that take seconds

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from curation.backends.faces.dlib_hog import DlibHog
from curation.backends.faces.retinaface.config import RetinaFaceConfig
from curation.backends.faces.retinaface.detector import RetinaFace
from curation.clip.observations import FaceBox
from curation.media import MediaError, sample_frames
from infra.config import ConfigError

Picture = npt.NDArray[np.uint8]

SHORT_EDGE_PX = 480
"""That of keyframes."""
MOST_SECONDS = 20.0
"""Of a clip."""
SAME_FACE_IOU = 0.3
BATCH = 32
COMPARED = 64
"""Pictures that are looked at alone and together."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Looked:
    """One picture, and the faces that the two detectors see in it."""

    nobody: bool
    """The label says that no person's face is seen in its clip."""
    dlib: tuple[FaceBox, ...]
    retinaface: tuple[FaceBox, ...]
    size: tuple[int, int]
    """Width and height."""


def keyframes(clips: Path, per_second: float) -> Iterator[tuple[bool, Picture]]:
    """Pictures of all labelled clips that can be decoded, each with whether nobody's face is seen in its clip."""
    for entry in json.loads((clips / "labels.json").read_text()):
        end_s = min(float(entry["duration_s"] or 0.0), MOST_SECONDS)
        nobody = entry["people"].split()[0] == "0" or "chin down" in entry["people"]
        try:
            frames = sample_frames(str(clips / entry["file"]), 0.0, end_s, fps=per_second, short_edge=SHORT_EDGE_PX)
            pictures = [frame.image for frame in frames]
        except MediaError:
            continue
        yield from ((nobody, picture) for picture in pictures)


def pairs(looked: Looked, min_confidence: float) -> tuple[list[tuple[FaceBox, FaceBox]], int, int]:
    """Faces that both see, how many only dlib sees, and how many only RetinaFace sees."""
    left = [face for face in looked.retinaface if face.confidence >= min_confidence]
    found = []
    for known in looked.dlib:
        best = max(left, key=lambda face: face.box.iou(known.box), default=None)
        if best is not None and best.box.iou(known.box) >= SAME_FACE_IOU:
            found.append((known, best))
            left.remove(best)
    return found, len(looked.dlib) - len(found), len(left)


def box_figures(found: Sequence[tuple[FaceBox, FaceBox]], sizes: Sequence[tuple[int, int]]) -> str:
    """How RetinaFace's squares lie to dlib's."""
    overlap = [one.box.iou(other.box) for one, other in found]
    size = [other.box.height / one.box.height for one, other in found]
    lower = [(other.box.centre[1] - one.box.centre[1]) / one.box.height for one, other in found]
    aside = [
        (other.box.centre[0] - one.box.centre[0]) * width / (one.box.height * height)
        for (one, other), (width, height) in zip(found, sizes, strict=True)
    ]
    spread = [np.percentile(values, [5, 50, 95]).round(2).tolist() for values in (overlap, size, lower, aside)]
    return (
        f"boxes beside dlib's (5, 50, 95 of 100): overlap {spread[0]}, size {spread[1]}, "
        f"lower by {spread[2]} and right by {spread[3]} sides"
    )


def largest_difference(one: Sequence[tuple[FaceBox, ...]], other: Sequence[tuple[FaceBox, ...]]) -> float | None:
    """Of confidences, box corners and landmarks in fractions of the picture; None where the numbers of faces differ."""
    if [len(faces) for faces in one] != [len(faces) for faces in other]:
        return None
    largest = 0.0
    for faces, others in zip(one, other, strict=True):
        for a, b in zip(faces, others, strict=True):
            values = [(x.confidence, x.box.x0, x.box.y0, x.box.x1, x.box.y1, *np.ravel(x.landmarks)) for x in (a, b)]
            largest = max(largest, float(np.abs(np.subtract(*values)).max()))
    return largest


def run(options: argparse.Namespace) -> None:
    """Look at all pictures with both, and tell."""
    clips = Path(os.environ.get("SOUL_SHARED", "../shared")) / "clips"
    if not (clips / "labels.json").is_file():
        raise ConfigError("no labelled clips: set SOUL_SHARED")
    config = RetinaFaceConfig(
        weights=options.weights,
        release=options.release,
        device=options.device,
        batch_size=BATCH,
        min_confidence=min(options.confidences),
    )
    retinaface, dlib = RetinaFace(config), DlibHog()
    nobody, pictures = zip(*keyframes(clips, options.per_second), strict=True)
    retinaface.detect(pictures[:1])
    started = time.perf_counter()
    by_retinaface = retinaface.detect(pictures)
    batched_s = time.perf_counter() - started
    started = time.perf_counter()
    by_dlib = dlib.detect(pictures)
    dlib_s = time.perf_counter() - started
    print(f"{len(pictures)} pictures; weights of {retinaface.release.source} on {retinaface.device}")
    print(f"seconds: dlib {dlib_s:.1f}, RetinaFace {batched_s:.1f}")
    looked = [
        Looked(nobody=none, dlib=one, retinaface=other, size=(picture.shape[1], picture.shape[0]))
        for none, picture, one, other in zip(nobody, pictures, by_dlib, by_retinaface, strict=True)
    ]
    print("confidence  both  only dlib  only RetinaFace  of those where nobody is seen")
    for confidence in options.confidences:
        seen = [pairs(each, confidence) for each in looked]
        false = sum(extra for each, (_, _, extra) in zip(looked, seen, strict=True) if each.nobody)
        both, missed, extra = (sum(values) for values in zip(*((len(f), m, e) for f, m, e in seen), strict=True))
        print(f"{confidence:10.2f}  {both:4d}  {missed:9d}  {extra:15d}  {false:29d}")
    found = [(pair, each.size) for each in looked for pair in pairs(each, min(options.confidences))[0]]
    print(box_figures([pair for pair, _ in found], [size for _, size in found]))
    compare_batches(retinaface, pictures[:: max(1, len(pictures) // COMPARED)][:COMPARED])


def compare_batches(retinaface: RetinaFace, pictures: Sequence[Picture]) -> None:
    """Tell whether pictures give alone what they give together."""
    batches = [pictures[first : first + BATCH] for first in range(0, len(pictures), BATCH)]
    together = [faces for batch in batches for faces in retinaface.detect_batch(batch)]
    started = time.perf_counter()
    alone = [retinaface.detect([picture])[0] for picture in pictures]
    seconds = time.perf_counter() - started
    difference = largest_difference(together, alone)
    said = "other faces" if difference is None else f"the same faces, values at most {difference:.1e} apart"
    print(f"{len(pictures)} pictures alone in {seconds:.1f} s, and {BATCH} at a time: {said}")
