"""Reading and writing video and sound: everything that touches a media file goes through here (PyAV)."""

from curation.media.audio import read_audio
from curation.media.cut import cut_clip
from curation.media.frames import Frame, iter_frames, sample_frames
from curation.media.probe import MediaError, probe

__all__ = ["Frame", "MediaError", "cut_clip", "iter_frames", "probe", "read_audio", "sample_frames"]
