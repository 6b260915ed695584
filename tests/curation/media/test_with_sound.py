from __future__ import annotations

import io

import av
import numpy as np
import pytest
import soundfile

from curation.media.errors import MediaError
from curation.media.with_sound import with_sound
from tests.worlds.curated_shards import click, flat, video


def packets(mp4: bytes) -> list[tuple[int | None, bytes]]:
    with av.open(io.BytesIO(mp4)) as container:
        return [(packet.pts, bytes(packet)) for packet in container.demux(video=0) if packet.dts is not None]


@pytest.mark.parametrize("channels", [1, 2])
def test_the_picture_is_copied_and_not_a_sample_of_the_sound_is_changed_or_moved(channels: int) -> None:
    mp4, wav = video(flat(90), 50), click(0.7, 2.0, channels=channels)
    both = with_sound(mp4, wav)
    assert packets(both) == packets(mp4)
    expected, rate_hz = soundfile.read(io.BytesIO(wav), dtype="int16", always_2d=True)
    with av.open(io.BytesIO(both)) as container:
        sound = container.streams.audio[0]
        assert (sound.rate, sound.start_time, sound.codec.name) == (rate_hz, 0, "flac")
        heard = np.concatenate([frame.to_ndarray().reshape(-1, channels) for frame in container.decode(sound)])
    np.testing.assert_array_equal(heard, expected)


@pytest.mark.parametrize("broken", ["picture", "sound"])
def test_what_cannot_be_read_is_an_error_of_media(broken: str) -> None:
    parts = {"picture": video(flat(90), 10), "sound": click(0.1, 0.4)} | {broken: b"nothing that plays"}
    with pytest.raises(MediaError, match="do not go together"):
        with_sound(parts["picture"], parts["sound"])
