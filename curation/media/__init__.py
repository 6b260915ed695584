"""Reading and writing video and sound: everything that touches a media file goes through here (PyAV).

From the ground up: `streams` chooses picture and sound; `orientation` and `colour` say what stored numbers mean;
`facts` finds out once what holds for a whole file; `rendering` makes frames progressive and BT.709; `timeline` gives
every frame of a span with its time; stages ask `frames` and `audio`; `cut` writes clips, `exported` checks them.
"""

from curation.media.audio import read_audio
from curation.media.cut import Cut, CutVideo, cut_clips
from curation.media.duration import duration_s
from curation.media.errors import MediaError
from curation.media.exported import Difference, check_sound, check_video
from curation.media.frames import Frame, RawFrame, frame_times, iter_frames, iter_raw_frames, sample_frames
from curation.media.probe import probe
from curation.media.timeline import file_end_s

__all__ = [
    "Cut",
    "CutVideo",
    "Difference",
    "Frame",
    "MediaError",
    "RawFrame",
    "check_sound",
    "check_video",
    "cut_clips",
    "duration_s",
    "file_end_s",
    "frame_times",
    "iter_frames",
    "iter_raw_frames",
    "probe",
    "read_audio",
    "sample_frames",
]
