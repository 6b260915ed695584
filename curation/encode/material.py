"""Everything that is read of a clip before a network sees it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import TypeVar

from curation.encode.config import EncodeConfig
from curation.encode.pictures import Pixels, choose_window, read_pictures
from curation.encode.references import Group
from curation.encode.shard import ClipFiles, ClipReader, CuratedClip
from curation.encode.sound import Sound, lay_out_sound
from curation.media import MediaError, frame_times
from curation.schema import Pool
from model.audio import load_audio

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True, slots=True)
class Material:
    """A clip as it was read."""

    clip: CuratedClip
    singles: dict[int, Pixels] = field(default_factory=dict, repr=False)
    """Frames that it lends, (H, W, 3) RGB by number; empty when it could not be decoded."""
    window: Pixels | None = field(default=None, repr=False)
    """(F, H, W, 3) RGB; None when the clip cannot be encoded."""
    sound: Sound | None = None
    prompts: tuple[str, ...] = ()
    problem: str = ""
    """Why it cannot be encoded."""


def read_material(
    reader: ClipReader, groups: Sequence[Group], config: EncodeConfig
) -> Iterator[tuple[Group, Material]]:
    """The clips of a shard, group by group."""
    with ThreadPoolExecutor(config.resize_threads) as pool:
        for group in groups:
            with reader.unpack([clip.key for clip in group.clips]) as files:
                for clip in group.clips:
                    yield group, _read(clip, files[clip.key], group, config, pool)


def ahead(items: Iterator[T]) -> Iterator[T]:
    """The same items, each one made in a thread while the one before it is worked on."""
    end = object()
    with ThreadPoolExecutor(1) as pool:
        coming = pool.submit(next, items, end)
        while (item := coming.result()) is not end:
            coming = pool.submit(next, items, end)
            yield item  # type: ignore[misc]


def _read(
    clip: CuratedClip, files: ClipFiles | MediaError, group: Group, config: EncodeConfig, pool: Executor
) -> Material:
    material = Material(clip=clip)
    try:
        if isinstance(files, MediaError):
            raise files
        times_s = frame_times(files.mp4)
        asked = [frame for frame in group.asked_of(clip.key) if frame < len(times_s)]
        material = replace(material, singles={}, prompts=files.prompts)
        try:
            window = choose_window(
                times_s, fps=config.fps, clip_frames=config.clip_frames, min_frames=config.min_frames
            )
            _check(clip, files, group.size, config)
        except MediaError as error:
            singles = read_pictures(files.mp4, times_s, shown=(), singles=asked, size=group.size, pool=pool).singles
            return replace(material, singles=singles, problem=_reason(error))
        pictures = read_pictures(files.mp4, times_s, shown=window.shown, singles=asked, size=group.size, pool=pool)
        sound = _sound(clip, files, window.start, len(window.shown), config)
        return replace(material, singles=pictures.singles, window=pictures.window, sound=sound)
    except MediaError as error:
        return replace(material, problem=_reason(error))


def _check(clip: CuratedClip, files: ClipFiles, size: tuple[int, int], config: EncodeConfig) -> None:
    scale = max(size[0] / clip.height, size[1] / clip.width)
    if scale > config.max_upscale:
        raise MediaError("too_small", f"{clip.width}x{clip.height} would be enlarged {scale:.2f} times")
    if not files.prompts:
        raise MediaError("no_caption", "nothing to condition on")


def _sound(clip: CuratedClip, files: ClipFiles, start: int, num_frames: int, config: EncodeConfig) -> Sound | None:
    if files.wav is None or clip.pool == Pool.GENERAL:
        return None
    try:
        waveform = load_audio(files.wav)
    except ValueError as error:
        # The person's message names a temporary file.
        raise MediaError("bad_sound", str(error).replace(files.wav, f"{clip.key}.wav")) from error
    return lay_out_sound(waveform, start=start, num_frames=num_frames, fps=config.fps)


def _reason(error: MediaError) -> str:
    return " ".join(str(error).split())
