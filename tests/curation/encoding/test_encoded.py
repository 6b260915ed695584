"""Encoded shards: what is written comes back, by index and by plain WebDataset."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import s3fs
import torch
import webdataset as wds

from curation.encoding.encoded import (
    BadSampleError,
    EncodedClip,
    EncodedDirectory,
    EncodedSample,
    EncodedShardWriter,
    Encoding,
    Skipped,
    codebook_vectors,
)
from infra.config import ConfigError
from tests.worlds.small_disk import resize, small_disk

ENCODING = Encoding(
    stage="720p", area=4096, fps=25, clip_frames=9, latent_channels=4, text_dim=6, text_tokens=16, audio_dim=5,
    encoders="cafe",
)  # fmt: skip


def sample(key: str = "a-0000", *, sound: bool = True) -> EncodedSample:
    torch.manual_seed(len(key))
    return EncodedSample(
        key=key,
        source="/in/ä b.mp4",
        pool="human",
        prompts=("A person talks, „so“.", "A person."),
        fps=25,
        latents=torch.randn(4, 3, 2, 5).half(),
        reference_latents=torch.randn(2, 4, 2, 5).half(),
        text_states=(torch.randn(7, 6).half(), torch.randn(3, 6).half()),
        audio_features=torch.randn(30, 5).half() if sound else None,
        audio_first_step=-2 if sound else 0,
        wav=b"RIFF of " + key.encode() if sound else None,
    )


def clip(key: str = "a-0000", *, sound: bool = True, height: int = 32) -> EncodedClip:
    vectors = np.arange(12, dtype=np.float16).reshape(3, 4)
    return EncodedClip(sample=sample(key, sound=sound), height=height, width=80, codebook_vectors=vectors)


def writer(path: str, session: str = "one") -> EncodedShardWriter:
    directory = EncodedDirectory(path)
    directory.open_session(session)
    return EncodedShardWriter(directory, session)


def assert_equal(one: EncodedSample, other: EncodedSample) -> None:
    for name in ("key", "source", "pool", "prompts", "fps", "audio_first_step"):
        assert getattr(one, name) == getattr(other, name)
    assert torch.equal(one.latents, other.latents)
    assert torch.equal(one.reference_latents, other.reference_latents)
    assert all(torch.equal(a, b) for a, b in zip(one.text_states, other.text_states, strict=True))
    assert (one.audio_features is None) == (other.audio_features is None)
    if one.audio_features is not None and other.audio_features is not None:
        assert torch.equal(one.audio_features, other.audio_features)


@pytest.mark.parametrize("sound", [True, False])
def test_a_sample_survives_its_bytes(sound: bool) -> None:
    assert_equal(EncodedSample.from_bytes(sample(sound=sound).to_bytes()), sample(sound=sound))


def test_an_empty_prompt_without_tokens_survives() -> None:
    empty = replace(sample(), prompts=("",), text_states=(torch.zeros(0, 6).half(),))
    assert EncodedSample.from_bytes(empty.to_bytes()).text_states[0].shape == (0, 6)


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: b"",
        lambda data: data[:20],
        lambda data: data[:-1],
        lambda data: b"\xff" * 8 + data[8:],
        lambda data: data.replace(b'"prompts"', b'"promptz"'),
        lambda data: data.replace(b"text_states.1", b"text_states.7"),
        lambda data: bytes(len(data)),
        lambda data: np.random.default_rng(0).bytes(len(data)),
    ],
)
def test_a_damaged_sample_is_told(damage: Callable[[bytes], bytes]) -> None:
    with pytest.raises(BadSampleError):
        EncodedSample.from_bytes(damage(sample().to_bytes()))


@pytest.mark.parametrize("where", ["local", "s3"])
def test_every_sample_is_found_by_its_row(where: str, tmp_path: Path, object_store: str) -> None:
    if where == "s3":
        s3fs.S3FileSystem().mkdirs("encoded", exist_ok=True)
    path = str(tmp_path) if where == "local" else "s3://encoded/run/720p"
    keys = ["a-0000", "b" * 128, "c" * 101]
    clips = [clip(keys[0]), clip(keys[1], sound=False, height=64), clip(keys[2])]
    skipped = Skipped(key="d", source="/in/d.mp4", pool="human", reason="too_short: 3 frames")
    rows = writer(path).write("soul-1", [clips[0], skipped, *clips[1:]])
    directory = EncodedDirectory(path)
    index = {row["key"]: row for row in directory.index().to_pylist()}
    assert [row["key"] for row in rows] == [keys[0], "d", *keys[1:]]
    assert (index["d"]["encoded"], index["d"]["reason"]) == (False, "too_short: 3 frames")
    assert {index[key]["bucket"] for key in keys} == {"9x32x80", "9x64x80"}
    for made in clips:
        row = index[made.sample.key]
        assert_equal(EncodedSample.from_bytes(directory.read(row["tar"], row["offset"], row["size"])), made.sample)
        if made.sample.wav is not None:
            assert directory.read(row["tar"], row["wav_offset"], row["wav_size"]) == made.sample.wav
        else:
            assert row["wav_offset"] is None
        assert codebook_vectors(row, 4).tolist() == made.codebook_vectors.tolist()
    row = index[keys[2]]
    with pytest.raises(OSError, match="shorter"):
        directory.read(row["tar"], row["offset"], 10**7)


def damaged(path: Path, *, at: int, size: int, seed: int) -> bytes:
    """Overwrite some of a file with noise; returns what it was."""
    data = path.read_bytes()
    noise = np.random.default_rng(seed).bytes(size)
    path.write_bytes(data[:at] + noise + data[at + size :])
    return data


def readable(directory: EncodedDirectory, *, checked: bool = True) -> set[tuple[str, str]]:
    """Key and kind of everything of the index that is read without complaint."""
    found = set()
    for row in directory.index().to_pylist():
        hashes = (row["sha256"], row["wav_sha256"]) if checked else (None, None)
        try:
            EncodedSample.from_bytes(directory.read(row["tar"], row["offset"], row["size"], hashes[0]))
            found.add((row["key"], "sample"))
        except BadSampleError:
            pass
        try:
            directory.read(row["tar"], row["wav_offset"], row["wav_size"], hashes[1])
            found.add((row["key"], "wav"))
        except BadSampleError:
            pass
    return found


def long_clip(key: str) -> EncodedClip:
    """Of 37 KB, with sound of 3 KB."""
    generator = torch.Generator().manual_seed(len(key))
    latents = torch.randn(4, 25, 10, 16, generator=generator).half()
    made = replace(sample(key), latents=latents, wav=np.random.default_rng(len(key)).bytes(3000))
    return replace(clip(), sample=made)


def test_a_damaged_sector_anywhere_in_a_shard_is_found(tmp_path: Path) -> None:
    rows = writer(str(tmp_path)).write("soul-1", [long_clip("k" * length) for length in range(1, 11)])
    directory, tar = EncodedDirectory(str(tmp_path)), tmp_path / rows[0]["tar"]
    everything = readable(directory)
    assert len(everything) == 20
    extents = {(row["key"], "sample"): (row["offset"], row["size"]) for row in rows}
    extents |= {(row["key"], "wav"): (row["wav_offset"], row["wav_size"]) for row in rows}
    end = max(offset + size for offset, size in extents.values())
    found, passed_without = 0, 0
    for number, at in enumerate(np.random.default_rng(0).integers(0, end - 4096, 100).tolist()):
        data = damaged(tar, at=at, size=4096, seed=number)
        hit = {name for name, (offset, size) in extents.items() if offset < at + 4096 and at < offset + size}
        assert everything - readable(directory) == hit, "what lies there, and nothing else"
        found += bool(hit)
        passed_without += readable(directory, checked=False) == everything
        tar.write_bytes(data)
    assert found == 100
    assert passed_without > 80, "tensors of noise are tensors, but for a header that is hit"


@pytest.mark.parametrize("place", ["first", "middle", "last"])
def test_a_single_bit_is_found(tmp_path: Path, place: str) -> None:
    (row,) = writer(str(tmp_path)).write("soul-1", [long_clip("k")])
    tar = tmp_path / row["tar"]
    data = bytearray(tar.read_bytes())
    data[row["offset"] + {"first": 0, "middle": row["size"] // 2, "last": row["size"] - 1}[place]] ^= 1
    tar.write_bytes(data)
    with pytest.raises(BadSampleError, match=f"damaged: its {row['size']} bytes at {row['offset']} of {tar} are not"):
        EncodedDirectory(str(tmp_path)).read(row["tar"], row["offset"], row["size"], row["sha256"])


def test_a_damaged_empty_prompt_is_told(tmp_path: Path) -> None:
    directory = EncodedDirectory(str(tmp_path))
    directory.describe(ENCODING, torch.ones(2, 6))
    path = tmp_path / "unconditional.safetensors"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    with pytest.raises(ConfigError, match=f"{path} is not what was written"):
        directory.unconditional()
    path.unlink()
    with pytest.raises(ConfigError, match=f"{path} cannot be read"):
        directory.unconditional()


def test_what_was_described_before_hashes_were_kept_is_still_read(tmp_path: Path) -> None:
    directory = EncodedDirectory(str(tmp_path))
    directory.describe(ENCODING, torch.ones(2, 6))
    about = json.loads((tmp_path / "encoding.json").read_text())
    for name in ("model", "settings", "unconditional_sha256"):
        del about[name]
    (tmp_path / "encoding.json").write_text(json.dumps(about))
    directory.describe(replace(ENCODING, model="tiny"), torch.ones(2, 6))
    assert torch.equal(directory.unconditional(), torch.ones(2, 6).half())


def test_a_full_disk_is_named_and_leaves_nothing(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", 64) as disk:
        with pytest.raises(OSError, match="No space left on device") as full:
            writer(str(disk)).write("soul-1", (long_clip("k" * length) for length in range(1, 11)))
        assert full.value.filename == f"{disk}/97x32x80/soul-1.tar"
        assert [path.name for path in disk.rglob("*") if path.is_file()] == ["_session"]
        resize(disk, 4096)
        assert len(writer(str(disk)).write("soul-1", (long_clip("k" * length) for length in range(1, 11)))) == 10


def test_tars_stream_through_plain_webdataset(tmp_path: Path) -> None:
    keys = ["a-0000", "b" * 128, "c-0001"]
    writer(str(tmp_path)).write("soul-1", [clip(key, sound=key != "c-0001") for key in keys])
    streamed = list(wds.WebDataset(str(tmp_path / "9x32x80" / "soul-1.tar"), shardshuffle=False))
    assert [item["__key__"] for item in streamed] == keys
    for item in streamed:
        assert_equal(
            EncodedSample.from_bytes(item["safetensors"]), sample(item["__key__"], sound=item["__key__"] != "c-0001")
        )
        assert json.loads(item["json"])["prompts"] == ["A person talks, „so“.", "A person."]
        assert ("wav" in item) == (item["__key__"] != "c-0001")


def test_an_attempt_that_died_leaves_no_tar_of_its_own(tmp_path: Path) -> None:
    once = writer(str(tmp_path))
    once.stage("soul-1", [clip("a"), clip("b", height=64)])
    once.write("soul-1", [clip("a")])
    assert [path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*.tar")] == ["9x32x80/soul-1.tar"]


def test_a_shard_without_kept_clips_is_a_commit_without_rows(tmp_path: Path) -> None:
    assert writer(str(tmp_path)).write("soul-1", []) == []
    assert EncodedDirectory(str(tmp_path)).names() == ["soul-1"]
    assert EncodedDirectory(str(tmp_path)).index().num_rows == 0


def test_the_directory_says_what_its_samples_share(tmp_path: Path) -> None:
    directory = EncodedDirectory(str(tmp_path / "720p"))
    with pytest.raises(ConfigError, match="make encode"):
        directory.encoding()
    directory.describe(ENCODING, torch.ones(2, 6))
    directory.describe(ENCODING, torch.ones(2, 6))
    assert directory.encoding() == ENCODING
    assert torch.equal(directory.unconditional(), torch.ones(2, 6).half())
    now = replace(ENCODING, encoders="beef", model="/models/b", area=9216, fps=24)
    with pytest.raises(ConfigError) as refused:
        directory.describe(now, torch.ones(2, 6))
    assert str(refused.value).startswith(
        f"{directory.path} was encoded otherwise: model unknown (encoders cafe), now /models/b (encoders beef); "
        "area 4096, now 9216; fps 25, now 24. Encode into another run directory"
    )
    (tmp_path / "720p" / "encoding.json").write_text("{")
    with pytest.raises(ConfigError, match="cannot be read"):
        directory.encoding()
