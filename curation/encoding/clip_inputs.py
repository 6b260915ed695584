"""Everything that is read of a clip before a network sees it."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from curation.clip.schema import Pool
from curation.encoding.config import EncodeConfig
from curation.encoding.curated_clips import ClipFiles, ClipReader, CuratedClip
from curation.encoding.frames import Pixels, Window, choose_window, read_pictures
from curation.encoding.references import Group
from curation.encoding.waveform import Sound, lay_out_sound
from curation.media import MediaError, frame_times
from model.codecs.audio import load_audio


@dataclass(frozen=True, kw_only=True, slots=True)
class Material:
    """A clip as it was read."""

    clip: CuratedClip
    singles: dict[int, Pixels] = field(default_factory=dict, repr=False)
    """Frames that it lends as references, (H, W, 3) RGB by number; empty when it could not be decoded."""
    window: Pixels | None = field(default=None, repr=False)
    """(F, H, W, 3) RGB; None when the clip cannot be encoded."""
    sound: Sound | None = None
    prompts: tuple[str, ...] = ()
    problem: str = ""
    """Why it cannot be encoded."""


def read_material(reader: ClipReader, groups: Sequence[Group], config: EncodeConfig) -> Generator[Material, None, None]:
    """The clips of a shard, group after group, each in the order of its group."""
    with ThreadPoolExecutor(config.resize_threads) as pool:
        for group in groups:
            with reader.unpack([clip.key for clip in group.clips]) as files:
                for clip in group.clips:
                    yield _read(clip, files[clip.key], group, config, pool)


def _read(
    clip: CuratedClip, files: ClipFiles | MediaError, group: Group, config: EncodeConfig, pool: Executor
) -> Material:
    """The clip's frames, sound and words; one that cannot be encoded still lends its frames if it has any."""
    if isinstance(files, MediaError):
        return Material(clip=clip, problem=str(files))
    window, sound, problem = None, None, ""
    try:
        times_s = frame_times(files.mp4)
        try:
            window, sound = _lay_out(clip, files, times_s, group.size, config)
        except MediaError as error:
            problem = _reason(error, files)
        asked = [frame for frame in group.asked_of(clip.key) if frame < len(times_s)]
        shown = window.shown if window is not None else ()
        pictures = read_pictures(files.mp4, times_s, shown=shown, singles=asked, size=group.size, pool=pool)
    except MediaError as error:
        return Material(clip=clip, problem=_reason(error, files))
    return Material(
        clip=clip,
        singles=pictures.singles,
        window=None if window is None else pictures.window,
        sound=sound,
        prompts=files.prompts,
        problem=problem,
    )


def _lay_out(
    clip: CuratedClip, files: ClipFiles, times_s: Sequence[float], size: tuple[int, int], config: EncodeConfig
) -> tuple[Window, Sound | None]:
    """The window and the sound that are encoded of the clip.

    Raises:
        MediaError: the clip cannot be encoded, and why.
    """
    scale = max(size[0] / clip.height, size[1] / clip.width)
    if scale > config.max_upscale:
        raise MediaError("too_small", f"{clip.width}x{clip.height} would be enlarged {scale:.2f} times")
    if not files.prompts:
        raise MediaError("no_caption", "nothing to condition on")
    window = choose_window(times_s, fps=config.fps, clip_frames=config.clip_frames, min_frames=config.min_frames)
    if files.wav is None or clip.pool == Pool.GENERAL:
        return window, None
    try:
        waveform = load_audio(files.wav)
    except ValueError as error:
        raise MediaError("bad_sound", str(error)) from error
    return window, lay_out_sound(waveform, start=window.start, num_frames=len(window.shown), fps=config.fps)


def _reason(error: MediaError, files: ClipFiles) -> str:
    """The error as one line that names no temporary folder."""
    return " ".join(str(error).replace(f"{Path(files.mp4).parent}/", "").split())
