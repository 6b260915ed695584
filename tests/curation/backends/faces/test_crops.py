from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from bench.metrics.syncnet.track import crop
from curation.backends.faces.crops import crop_face
from curation.backends.lips.syncnet.windows import BORDER, CONTEXT
from curation.clip.observations import Box, FaceBox, FaceTrack
from curation.clip.schema import Clip, Media, Pool, Shot
from curation.media import probe, sample_frames
from tests.worlds.moving_mouth import write_video

WIDTH, HEIGHT, FACE_PX = 640, 360, 80


def centre_at(time_s: float) -> tuple[float, float]:
    return 150 + 60 * time_s, 180 + 10 * time_s


@pytest.fixture(scope="module")
def panning(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A white disc that drifts at 60 px/s over grey."""

    def draw(index: int) -> npt.NDArray[np.uint8]:
        image = np.full((HEIGHT, WIDTH, 3), 90, np.uint8)
        x, y = centre_at(index / 25)
        cv2.circle(image, (round(x), round(y)), FACE_PX // 2, (255, 255, 255), -1)
        return image

    return write_video(tmp_path_factory.mktemp("crops") / "pan.mp4", [draw(i) for i in range(100)], None)


def clip_and_track(path: Path, first_s: float) -> tuple[Clip, FaceTrack]:
    times = tuple(float(time) for time in np.arange(first_s, 4.0, 0.5))
    boxes = []
    for time_s in times:
        x, y = centre_at(time_s)
        boxes.append(
            Box(
                x0=(x - FACE_PX / 2) / WIDTH,
                y0=(y - FACE_PX / 2) / HEIGHT,
                x1=(x + FACE_PX / 2) / WIDTH,
                y1=(y + FACE_PX / 2) / HEIGHT,
            )
        )
    track = FaceTrack(times_s=times, faces=tuple(FaceBox(box=box, confidence=1.0) for box in boxes))
    media = Media(path=str(path), info=probe(str(path)))
    clip = Clip(
        key="pan-0000",
        source=str(path),
        media=media,
        pool=Pool.HUMAN,
        shot=Shot(start_s=0.0, end_s=4.0),
        start_s=0.0,
        end_s=4.0,
        tracks=(track,),
    )
    return clip, track


def test_crop_follows_the_face_and_keeps_its_size(panning: Path) -> None:
    clip, track = clip_and_track(panning, 0.0)
    crops = crop_face(clip, track, fps=25, size=96, margin=1.6)
    assert crops.images.shape == (100, 96, 96, 3)
    assert not crops.damaged.any()
    for image in crops.images[10:-15]:
        ys, xs = np.nonzero(image[:, :, 0] > 170)
        assert abs(xs.mean() - 47.5) < 2.5
        assert abs(ys.mean() - 47.5) < 2.5
        assert np.ptp(xs) + 1 == pytest.approx(60, abs=4)


def test_face_that_comes_in_late_starts_half_a_second_before_its_keyframe(panning: Path) -> None:
    clip, track = clip_and_track(panning, 2.0)
    crops = crop_face(clip, track, fps=25, size=96, margin=1.6)
    assert crops.first_frame == 38
    assert len(crops.images) == 62


def test_crop_reaches_lower_and_beyond_the_picture_as_syncnet_s_pipeline_cuts_it(panning: Path) -> None:
    clip, track = clip_and_track(panning, 0.0)
    low = replace(
        track,
        faces=tuple(
            replace(face, box=replace(face.box, y0=face.box.y0 + 0.3, y1=face.box.y1 + 0.3)) for face in track.faces
        ),
    )
    crops = crop_face(clip, low, fps=25, size=224, margin=1 + CONTEXT, lower=CONTEXT / 2, border=BORDER)
    for index, frame in enumerate(sample_frames(str(panning), 0.0, 4.0, fps=25)):
        x, y = centre_at(index / 25)
        published = crop(frame.image, x, y + 0.3 * HEIGHT, FACE_PX / 2)
        # The smoothed track stands still at the ends of the clip.
        if 10 <= index < 85:
            assert np.abs(crops.images[index].astype(int) - published.astype(int)).mean() < 6
    assert (crops.images[50][-10:] == BORDER).all()
