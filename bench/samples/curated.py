"""`python -m bench samples`: Soul-Bench samples out of a curated run's clips.

A clip gives the portrait (its first frame), the sound and the prompt (its caption). The clip itself goes into
`real/`: evaluated as one more method, it shows what each metric gives for real video.
"""

from __future__ import annotations

import argparse
import json
import tarfile
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import av
import cv2
from rich.console import Console

from bench.samples.samples import ID, Tell, untold
from curation.clip.schema import AudioType
from curation.encoding.encoded import held_out_order
from curation.media import MediaError, iter_frames
from curation.shards.clip_table import open_run, read_clips
from curation.shards.run_directory import RunDirectory
from infra.jobs.machine_fault import machine_fault
from infra.storage.files import write_atomically
from infra.storage.out_directory import prepare, working_in
from model.media.video import add_sound

COLUMNS = ("key", "source", "parent_key", "audio_kept", "audio_type", "shard")
REAL = "real"
"""Folder of the clips themselves."""
UNKNOWN_LANGUAGE = "xx"
"""In an id; curation does not tell languages apart."""


def run(options: argparse.Namespace) -> None:
    """Write what is missing.

    Raises:
        ValueError: no curated run, or it has no clip with sound.
    """
    tell = Console(stderr=True, markup=False, highlight=False, soft_wrap=True).print
    prepare(options.out)
    with working_in(options.out):
        ids = make_samples(options.run, options.out, options.most, tell, options.decisions)
    print(f"{len(ids)} samples of {options.run} in {options.out}, their clips in {options.out / REAL}")


def make_samples(
    run: str, out: Path, most: int | None = None, tell: Tell = untold, decisions: str | None = None
) -> list[str]:
    """Write samples of a run's clips, and the clips; returns the ids, of earlier runs too, up to `most`.

    Args:
        run: a curated run directory or URI.
        out: directory of samples, made if need be.
        most: how many at most; None for all.
        tell: given a line for every clip that no sample can be made of.
        decisions: the version of the run that says what is kept; None for the run's own index.

    Raises:
        ValueError: no curated run, it has no such version or no clip with sound, or `out` holds samples of something
            else.
    """
    directory = open_run(run, decisions)
    rows = [row for row in read_clips(directory, COLUMNS).to_pylist() if row["audio_kept"] and not row["parent_key"]]
    if not rows:
        raise ValueError(f"{run} has no kept clip with sound")
    known = _known(out)
    (out / REAL).mkdir(parents=True, exist_ok=True)
    ids: list[str] = []
    for row in in_order(rows):
        if len(ids) == most:
            break
        id_ = known.get(row["key"])
        if id_ is None:
            number = 1 + max((int(other.partition("_")[0]) for other in known.values()), default=0)
            mode = "sing" if row["audio_type"] == AudioType.SINGING else "talk"
            id_ = f"{number:04d}_human_{mode}_{UNKNOWN_LANGUAGE}_unknown"
            try:
                _write(directory, row, out, id_)
            except (MediaError, av.FFmpegError, tarfile.TarError, ValueError) as error:
                if machine_fault(error) is not None:
                    raise
                for path in (*out.glob(f"{id_}.*"), *(out / REAL).glob(f"*{id_}.mp4")):
                    path.unlink(missing_ok=True)
                tell(f"left out: clip {row['key']} in shard {row['shard']} is damaged ({error})")
                continue
            known[row["key"]] = id_
        ids.append(id_)
    return ids


def in_order(rows: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The first clip of every source, then the second of every source, and so on; sources in their held-out order."""
    place = {source: index for index, source in enumerate(held_out_order(row["source"] for row in rows))}
    seen: Counter[str] = Counter()
    ranked = []
    for row in sorted(rows, key=lambda row: str(row["key"])):
        ranked.append((seen[row["source"]], place[row["source"]], row))
        seen[row["source"]] += 1
    return [row for _, _, row in sorted(ranked, key=lambda entry: entry[:2])]


def _known(out: Path) -> dict[str, str]:
    """Clip → id, for the samples that are there."""
    known = {}
    for path in sorted(out.glob("*.json")):
        try:
            key = json.loads(path.read_text(encoding="utf-8"))["clip"]
        except (ValueError, KeyError, TypeError):
            key = None
        if not isinstance(key, str) or ID.fullmatch(path.stem) is None:
            raise ValueError(f"{path} was not made by this command: give another --out")
        known[key] = path.stem
    return known


def _write(directory: RunDirectory, row: Mapping[str, Any], out: Path, id_: str) -> None:
    """Write a sample's files. The JSON is written last: without it the sample does not count as there."""
    files = directory.sample(row["shard"], row["key"])
    lacking = sorted({"mp4", "wav", "json"} - files.keys())
    if lacking:
        raise ValueError(f"it lacks {' and '.join(lacking)}")
    record = json.loads(files["json"])
    wav, silent = out / f"{id_}.wav", out / REAL / f".{id_}.mp4"
    write_atomically(str(wav), files["wav"])
    write_atomically(str(silent), files["mp4"])
    first = next(iter_frames(str(silent)), None)
    if first is None:
        raise MediaError("undecodable", "it has no frame")
    _, png = cv2.imencode(".png", first.image)
    write_atomically(str(out / f"{id_}.png"), png.tobytes())
    add_sound(silent, wav, out / REAL / f"{id_}.mp4")
    silent.unlink()
    caption = record["caption"] or {}
    sample = {
        "en_prompt": caption.get("detailed") or "A person talks to the camera.",
        "cn_prompt": "",
        "message": "",
        "clip": row["key"],
        "source": row["source"],
    }
    text = json.dumps(sample, indent=1, ensure_ascii=False) + "\n"
    write_atomically(str(out / f"{id_}.json"), text.encode())
