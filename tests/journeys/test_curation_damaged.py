"""Inputs that are damaged or odd in more than two hundred ways: none stops a run, each has its reason."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from curation.clip.schema import Pool, Source
from curation.job import CurationJob
from curation.pipeline import CurationConfig
from curation.planning import plan_units
from curation.shards.run_directory import RunDirectory
from curation.sources import list_sources
from infra.config import build
from infra.jobs.engine import run_inline, run_on_ray
from tests.worlds.videos import write_video

Engine = Callable[[Sequence[Source], CurationJob, Callable[[object], None]], None]


def variants(folder: Path, whole: Path, every: int) -> Iterator[Path]:
    """Write damaged and odd files, one in `every` of the damaged ones."""
    good = whole.read_bytes()
    rng = random.Random(7)
    for percent in range(1, 100, every):
        yield save(folder / f"cut_off_{percent:02d}.mp4", good[: len(good) * percent // 100])
    for number in range(0, 60, every):
        broken = bytearray(good)
        for _ in range(1 + number):
            broken[rng.randrange(len(broken))] ^= 1 << rng.randrange(8)
        yield save(folder / f"flipped_{number:02d}.mp4", bytes(broken))
    for number in range(0, 40, every):
        start, length = rng.randrange(len(good)), rng.randrange(100, 40_000)
        yield save(folder / f"zeroed_{number:02d}.mp4", good[:start] + bytes(length) + good[start + length :])
    yield save(folder / "empty.mp4", b"")
    yield save(folder / "text.mp4", b"This is a letter, not a film.\n" * 100)
    yield save(folder / "film.xyz", good)
    yield save(folder / "no_extension", good)
    yield from odd(folder)


def odd(folder: Path) -> Iterator[Path]:
    """Whole files of unusual make."""
    big = (640, 496)
    yield write_video(folder / "sound_longer.mp4", size=big, seconds=0.5, audio_seconds=2)
    yield write_video(folder / "sound_shorter.mp4", size=big, seconds=0.8, audio_seconds=0.2)
    yield write_video(folder / "half_a_second.mp4", size=big, seconds=0.5)
    yield write_video(folder / "one_frame.mp4", size=big, seconds=0.04)
    yield write_video(folder / "ten_bit_hevc.mp4", size=big, seconds=0.5, codec="libx265", pixel_format="yuv420p10le")
    yield write_video(folder / "fps_120.mp4", size=big, seconds=0.5, fps=120)
    yield write_video(folder / "vfr.mp4", size=big, times_s=[0.0, 0.04, 0.2, 0.21, 0.5, 0.9, 1.0])
    for rotation in (90, 180, 270):
        yield write_video(folder / f"rotated_{rotation}.mp4", size=big, seconds=0.2, rotation_deg=rotation)
    for width, height in ((641, 497), (643, 500), (500, 643), (999, 487)):
        name = folder / f"odd_{width}x{height}.mkv"
        yield write_video(name, size=(width, height), seconds=0.2, codec="ffv1", pixel_format="bgr0")
    yield sound_only(folder / "sound_only.mp4")


def sound_only(path: Path) -> Path:
    import av  # noqa: PLC0415

    from tests.worlds.videos import tone  # noqa: PLC0415

    with av.open(str(path), "w") as output:
        stream = output.add_stream("aac", rate=16000)
        stream.layout = "mono"
        frame = av.AudioFrame.from_ndarray(tone(0.064, 16000)[None], format="s16", layout="mono")
        frame.sample_rate = 16000
        output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    return path


def save(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


def run_all(files: Sequence[Path], run: Path, config: CurationConfig, pool: Pool, engine: Engine) -> Counter[str]:
    plan = plan_units(list_sources(str(files[0].parent), pool), set(), config.planning)
    assert len(plan.units) == len(files)
    engine(plan.units, CurationJob(run=str(run), config=config), lambda _: None)
    rows = RunDirectory(str(run)).index().to_pylist()
    assert {row["source"] for row in rows} == {str(path) for path in files}
    lost = [row for row in rows if not row["kept"]]
    assert all(row["reject_stage"] and row["reject_rule"] for row in lost)
    assert not [row["source"] for row in lost if row["reject_rule"] == "internal_error"]
    whole = {
        (row["key"], f"{row['reject_stage']}/{row['reject_rule']}") for row in lost if row["source_key"] == row["key"]
    }
    quarantined = {path.stem for path in (run / "quarantine").iterdir()}
    turned_down = {key for key, reason in whole if reason.partition("/")[0] in {"format", "resolution"}}
    turned_down |= {key for key, reason in whole if reason == "scenes/combed"}
    assert quarantined == {key for key, _ in whole} - turned_down
    return Counter("kept" if row["kept"] else f"{row['reject_stage']}/{row['reject_rule']}" for row in rows)


def test_damaged_and_odd_inputs(tmp_path: Path) -> None:
    """Half a second without people, which the general pool takes: every stage sees what is left of it."""
    (tmp_path / "bucket").mkdir()
    whole = write_video(tmp_path / "whole.mp4", size=(640, 496), seconds=0.6, audio_seconds=0.6)
    files = list(variants(tmp_path / "bucket", whole, every=33))
    stages = {"split": {"min_clip_s": 0.4}, "quality": {"min_score": 0.0}, "defects": {"max_still_s": 9.0}}
    config = build(CurationConfig, {"stages": stages}, "test")
    outcomes = run_all(files, tmp_path / "run", config, Pool.GENERAL, run_inline)
    assert outcomes["kept"] >= 2, outcomes  # the two renamed films
    assert outcomes["probe/no_video_stream"] >= 1
    assert outcomes["probe/empty_file"] == 1


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_two_hundred_damaged_inputs(ray_cluster: None, short_samples: Path, tmp_path: Path) -> None:
    (tmp_path / "bucket").mkdir()
    files = list(variants(tmp_path / "bucket", short_samples / "rotated.mp4", every=1))
    outcomes = run_all(files, tmp_path / "run", CurationConfig(), Pool.HUMAN, run_on_ray)
    print(sum(outcomes.values()), outcomes)
    assert sum(outcomes.values()) >= 200
    assert outcomes["kept"] >= 2  # the two renamed films
