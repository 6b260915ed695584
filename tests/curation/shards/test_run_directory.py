from __future__ import annotations

import hashlib
import io
import json
import tarfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import webdataset as wds

from curation.clip.observations import FrameStats
from curation.clip.schema import Clip, Decision, Media, Payload, Pool, Shot, Source
from curation.media import probe
from curation.shards.clip_rows import DecidedBy, sample_json
from curation.shards.run_directory import RunDirectory, ShardsConfig, ShardWriter
from curation.stages.export import Export, ExportConfig
from infra.config import ConfigError
from infra.storage.commits import CommitDirectory, TakenOverError, staged_tar
from tests.worlds.videos import write_video

DECIDED_BY = DecidedBy(config_hash="hash", backends={})


@pytest.fixture(scope="module")
def media(tmp_path_factory: pytest.TempPathFactory) -> Media:
    path = write_video(tmp_path_factory.mktemp("media") / "a.mkv", seconds=1, audio_seconds=1, audio_codec="pcm_s16le")
    return Media(path=str(path), info=probe(str(path)))


def clip_of(source: Source, index: int, *, size: int = 100) -> Clip:
    assert source.media is not None
    clip = Clip(
        key=source.clip_key(index),
        source=source.uri,
        media=source.media,
        pool=source.pool,
        shot=Shot(start_s=0, end_s=1),
        start_s=0.0,
        end_s=1.0,
    )
    payload = Payload(
        mp4=b"v" * size, wav=None, num_frames=25, num_audio_samples=0, audio_rate_hz=0, stream_copied=False
    )
    return replace(clip, payload=payload)


def source_with(media: Media, name: str, clips: int, *, size: int = 100, rejected: int = 0) -> Source:
    source = Source(uri=name, media=media)
    kept = [clip_of(source, index, size=size) for index in range(clips)]
    lost = [
        replace(clip_of(source, clips + index), payload=None).reject("faces", "no_face", 0.0, 0.5)
        for index in range(rejected)
    ]
    return replace(source, clips=tuple(kept + lost))


def with_sound(source: Source, wav: bytes) -> Source:
    clips = (replace(c, payload=replace(c.payload, wav=wav)) if c.payload else c for c in source.clips)
    return replace(source, clips=tuple(clips))


def writer(run: Path | str, session: str = "one", sizes: dict[str, Any] | None = None) -> ShardWriter:
    RunDirectory(str(run)).open_session(session)
    return ShardWriter(str(run), ShardsConfig(**(sizes or {})), DECIDED_BY, session)


def test_every_source_is_in_exactly_one_shard(tmp_path: Path, media: Media) -> None:
    sources = [
        source_with(media, "a.mp4", 2, rejected=1),
        source_with(media, "b.mp4", 0, rejected=2),
        replace(Source(uri="small.mp4", media=media), rejection=Decision(stage="resolution", rule="short_edge")),
        Source(uri="broken.mp4").fail("probe", "unreadable", "no moov"),
    ]
    names = writer(tmp_path).write(sources)
    assert len(names) == 1
    directory = RunDirectory(str(tmp_path))
    table = directory.index().to_pylist()
    assert len(table) == 3 + 2 + 1 + 1
    assert sum(row["kept"] for row in table) == 2
    assert directory.committed() == {source.key for source in sources}
    broken = next(row for row in table if row["source"] == "broken.mp4")
    assert (broken["reject_stage"], broken["kept"], broken["key"]) == ("probe", False, sources[3].key)
    quarantined = json.loads((tmp_path / "quarantine" / f"{sources[3].key}.json").read_text())
    assert quarantined == {
        "source": "broken.mp4",
        "segment": 0,
        "stage": "probe",
        "rule": "unreadable",
        "detail": "no moov",
    }


def test_nothing_kept_means_no_tar(tmp_path: Path, media: Media) -> None:
    (name,) = writer(tmp_path).write([source_with(media, "a.mp4", 0, rejected=1)])
    assert not (tmp_path / "shards" / f"{name}.tar").exists()
    assert (tmp_path / "shards" / f"{name}.parquet").exists()


@pytest.mark.parametrize(("limits", "shards"), [({"max_samples": 4}, 3), ({"max_bytes": 40_000}, 3), ({}, 1)])
def test_shards_are_bounded_and_sources_whole(
    tmp_path: Path, media: Media, limits: dict[str, int], shards: int
) -> None:
    sources = [source_with(media, f"{index}.mp4", 2, size=5000) for index in range(5)]
    names = writer(tmp_path, sizes=limits).write(sources)
    assert len(names) == shards
    for name in names:
        with tarfile.open(tmp_path / "shards" / f"{name}.tar") as tar:
            assert len(tar.getnames()) <= 2 * limits.get("max_samples", 10)


@pytest.mark.parametrize(
    ("limits", "groups"),
    [
        ({"max_samples": 4}, ["ab", "cd"]),
        ({"max_samples": 3}, ["a", "b", "c", "d"]),
        ({"max_bytes": 4 * (100 + 30 + 4096)}, ["ab", "cd"]),
        ({"max_bytes": 4 * (100 + 30 + 4096) - 1}, ["a", "b", "c", "d"]),
        ({"max_samples": 1}, ["a", "b", "c", "d"]),
    ],
)
def test_a_shard_is_filled_to_its_bound_and_no_further(
    tmp_path: Path, media: Media, limits: dict[str, int], groups: list[str]
) -> None:
    sources = [with_sound(source_with(media, name, 2), b"w" * 30) for name in "abcd"]
    names = writer(tmp_path, sizes=limits).write(sources)
    shards = [CommitDirectory(str(tmp_path / "shards")).rows_of(name)["source"].to_pylist() for name in names]
    assert ["".join(dict.fromkeys(shard)) for shard in shards] == groups


def test_a_shard_is_named_after_its_sources_whatever_their_order(tmp_path: Path, media: Media) -> None:
    sources = [source_with(media, name, 1) for name in ("b.mp4", "a.mp4")]
    names = {*writer(tmp_path).write(sources), *writer(tmp_path).write(sources[::-1])}
    digest = hashlib.sha256(f"{sources[1].key}|{sources[0].key}".encode()).hexdigest()
    assert names == {f"soul-{digest[:16]}"}


def test_the_tar_holds_the_kept_clips_of_active_sources(tmp_path: Path, media: Media) -> None:
    talk = with_sound(source_with(media, "täst.mp4", 2, rejected=1), b"sound")
    void = source_with(media, "void.mp4", 1).fail("export", "undecodable", "späť")
    unexported = source_with(media, "late.mp4", 1)
    unexported = replace(unexported, clips=tuple(replace(clip, payload=None) for clip in unexported.clips))
    silent = source_with(media, "silent.mp4", 1)
    (name,) = writer(f"{tmp_path}/").write([talk, void, unexported, silent])
    keys = [clip.key for clip in (*talk.clips[:2], *silent.clips)]
    with tarfile.open(tmp_path / "shards" / f"{name}.tar") as tar:
        assert tar.getnames() == [
            *(f"{key}.{extension}" for key in keys[:2] for extension in ("mp4", "wav", "json")),
            *(f"{keys[2]}.{extension}" for extension in ("mp4", "json")),
        ]
    directory = RunDirectory(f"{tmp_path}/")
    assert directory.run == str(tmp_path)
    assert (directory.shards, directory.quarantine) == (f"{tmp_path}/shards", f"{tmp_path}/quarantine")
    sample = directory.sample(name, keys[1])
    assert list(sample) == ["mp4", "wav", "json"]
    assert (sample["mp4"], sample["wav"]) == (b"v" * 100, b"sound")
    assert sample["json"].decode() == json.dumps(sample_json(talk, talk.clips[1], DECIDED_BY), ensure_ascii=False)
    assert {row["config_hash"] for row in directory.index().to_pylist()} == {"hash"}
    assert directory.sample(name, "another") == {}
    assert directory.sample("soul-absent", keys[1]) == sample, "its shard may have been merged since"
    assert directory.sample("soul-absent", "another") == {}
    quarantined = (tmp_path / "quarantine" / f"{void.key}.json").read_text(encoding="utf-8")
    assert quarantined.splitlines() == [
        *("{", ' "source": "void.mp4",', ' "segment": 0,', ' "stage": "export",'),
        *(' "rule": "undecodable",', ' "detail": "späť"', "}"),
    ]


def test_an_extension_begins_at_the_first_dot(tmp_path: Path) -> None:
    directory = RunDirectory(str(tmp_path))
    with staged_tar(f"{directory.shards}/soul-a.tar") as tar:
        tar.add("key.left.wav", b"sound")
    assert directory.sample("soul-a", "key") == {"left.wav": b"sound"}


def test_writing_again_replaces(tmp_path: Path, media: Media) -> None:
    sources = [source_with(media, "a.mp4", 1)]
    assert writer(tmp_path).write(sources) == writer(tmp_path).write(sources)
    assert RunDirectory(str(tmp_path)).index().num_rows == 1


def test_opening_removes_what_was_never_committed(tmp_path: Path, media: Media) -> None:
    (name,) = writer(tmp_path).write([source_with(media, "a.mp4", 1)])
    shards = tmp_path / "shards"
    (shards / "soul-orphan.tar").write_bytes(b"x")
    (shards / ".soul-abc.tmp").write_bytes(b"x")
    assert RunDirectory(str(tmp_path)).open_session("two") == 2
    assert sorted(path.name for path in shards.iterdir()) == ["_session", f"{name}.parquet", f"{name}.tar"]


def test_a_run_that_was_taken_over_commits_nothing(tmp_path: Path, media: Media) -> None:
    old = writer(tmp_path, "old")
    RunDirectory(str(tmp_path)).open_session("new")
    with pytest.raises(TakenOverError):
        old.write([source_with(media, "a.mp4", 1)])
    assert RunDirectory(str(tmp_path)).committed() == set()


def test_a_unit_in_two_shards_is_noticed(tmp_path: Path, media: Media) -> None:
    one, two = source_with(media, "a.mp4", 1), source_with(media, "b.mp4", 1)
    writer(tmp_path).write([one])
    writer(tmp_path).write([one, two])
    with pytest.raises(
        ConfigError, match=rf"^{tmp_path}/shards: some sources are in more than one shard; start a new run directory$"
    ):
        RunDirectory(str(tmp_path)).committed()


def stats_of(frames: range) -> FrameStats:
    nothing = np.zeros(len(frames), np.float32)
    return FrameStats(times_s=np.array(frames) / 25, luma_mean=nothing, luma_std=nothing, change=nothing)


def test_samples_stream_through_plain_webdataset(tmp_path: Path, media: Media) -> None:
    source = Source(uri="täst file.v2.mp4", media=media, pool=Pool.HUMAN, metadata={"licence": "CC0"})
    clip = replace(clip_of(source, 0), start_s=0.2, end_s=0.84, payload=None, stats=stats_of(range(5, 21)))
    clip = clip.with_scores(sharpness=3)
    source = Export(ExportConfig())(replace(source, clips=(clip,)))
    writer(tmp_path).write([source])
    (tar,) = (tmp_path / "shards").glob("*.tar")
    (sample,) = list(wds.WebDataset(str(tar), shardshuffle=False, empty_check=False))
    assert "." not in sample["__key__"]
    assert len(sample["__key__"]) <= 128
    record = json.loads(sample["json"])
    assert (record["num_frames"], record["scores"], record["metadata"]) == (16, {"sharpness": 3.0}, {"licence": "CC0"})
    samples, rate = soundfile.read(io.BytesIO(sample["wav"]), dtype="int16")
    assert len(samples) == round(0.64 * rate) == record["audio"]["num_samples"]
    assert RunDirectory(str(tmp_path)).sample(tar.stem, sample["__key__"]).keys() == {"mp4", "wav", "json"}


@pytest.mark.parametrize("name", ["sources_per_shard", "max_samples", "max_bytes"])
def test_sizes_must_be_positive(name: str) -> None:
    with pytest.raises(ValueError, match=r"^sources_per_shard, max_samples and max_bytes must be at least 1$"):
        ShardsConfig(**dict[str, Any]({name: 0}))
    assert getattr(ShardsConfig(**dict[str, Any]({name: 1})), name) == 1
