"""Reading and writing video and sound: everything that touches a media file goes through here (PyAV)."""

from curation.media.audio import read_audio
from curation.media.cut import Cut, CutVideo, cut_clips
from curation.media.frames import Frame, RawFrame, frame_times, iter_frames, iter_raw_frames, sample_frames
from curation.media.probe import MediaError, probe

__all__ = [
    "Cut",
    "CutVideo",
    "Frame",
    "MediaError",
    "RawFrame",
    "cut_clips",
    "frame_times",
    "iter_frames",
    "iter_raw_frames",
    "probe",
    "read_audio",
    "sample_frames",
]
