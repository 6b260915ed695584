"""A run pushed with its card: what arrives is the run, all files go together, and the card counts what is there."""

from __future__ import annotations

from dataclasses import replace
from itertools import count
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import webdataset as wds
from huggingface_hub import DatasetCard

from curation.__main__ import main
from curation.pipeline import CurationConfig
from curation.push.columns import MEANINGS, UNITS, meaning, unit
from curation.report.summary import summarise
from curation.shards.clip_table import COLUMNS
from curation.shards.failed_units import FailedUnits
from curation.shards.run_directory import RunDirectory
from infra.storage.files import list_files, read_bytes
from tests.worlds.merged_run import merge_shards
from tests.worlds.pushing import taking_hub
from tests.worlds.synthetic_run import clip, export, source, sources, write_run

NUMBERS = count()


@pytest.fixture(params=["disk", "store"])
def run(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A made run of several shards, on the disk or in an object store."""
    where = str(tmp_path / "run") if request.param == "disk" else f"memory://runs/{next(NUMBERS)}"
    for number, unit_ in enumerate(sources()):
        write_run(where, [unit_], session=str(number))
    return where


def push(run: str, *words: str) -> int:
    return main(["push", "--run", run, *words])


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_folder_gets_the_shards_as_they_are_and_a_slim_index(run: str, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert push(run, "--to", str(out)) == 0
    tars = list_files(f"{run}/shards", ".tar")
    assert tars
    assert {path.name for path in (out / "shards").glob("*.tar")} == set(tars)
    assert all((out / "shards" / name).read_bytes() == read_bytes(f"{run}/shards/{name}") for name in tars)
    indices = [pq.read_table(path) for path in sorted((out / "shards").glob("*.parquet"))]
    assert len(indices) == len(sources())
    assert len({str(index.schema) for index in indices}) == 1, "loaders of data sets want the same columns in all files"
    assert not {"thumbnail", "shard"} & set(indices[0].column_names)
    assert not (out / "quarantine").exists()
    before = contents(out)
    assert push(run, "--to", str(out)) == 0
    assert contents(out) == before


def test_what_was_pushed_is_a_run_and_a_web_dataset(run: str, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert push(run, "--to", str(out), "--quarantine", "--thumbnails") == 0
    here, there = summarise(str(out)), summarise(run)
    assert here == there
    keys = [
        sample["__key__"]
        for tar in sorted((out / "shards").glob("*.tar"))
        for sample in wds.WebDataset(str(tar), shardshuffle=False)
    ]
    assert len(keys) == there.num_kept
    assert len(list((out / "quarantine").glob("*.json"))) == there.num_failed
    assert any(pq.read_table(path)["thumbnail"].null_count == 0 for path in (out / "shards").glob("*.parquet"))
    assert main(["show", keys[0], "--run", str(out)]) == 0


def test_the_card_counts_what_is_there(run: str, tmp_path: Path) -> None:
    out = tmp_path / "talkers"
    assert push(run, "--to", str(out), "--license", "cc-by-4.0") == 0
    summary, card = summarise(run), DatasetCard.load(out / "README.md")
    about = card.data.to_dict()
    assert (about["license"], about["pretty_name"], about["size_categories"]) == ("cc-by-4.0", "talkers", ["n<1K"])
    for config in about["configs"]:
        assert list(out.glob(config["data_files"])), "what the Hub's viewer is led to is there"
    assert [config["config_name"] for config in about["configs"]] == ["index", "clips"]
    assert f"{summary.num_kept} clips of {summary.num_sources} videos" in card.text
    pools = {line.split(" | ")[0]: line for line in card.text.splitlines() if line.startswith(("| human", "| general"))}
    assert pools["| human"].startswith(f"| human | 4 | {summary.num_audio_kept} |")
    assert pools["| general"].startswith(f"| general | {summary.num_kept - 4} | 0 |")
    for loss in (*summary.source_losses, *summary.clip_losses):
        assert f"{loss.rule} {loss.count}" in card.text
    for name in pq.read_schema(next((out / "shards").glob("*.parquet"))).names:
        assert f"\n| {name} | " in card.text


def test_thresholds_are_told_only_if_they_decided(tmp_path: Path) -> None:
    decided = CurationConfig().hash
    for name, config_hash in (("same", decided), ("other", "c0ffee")):
        write_run(str(tmp_path / name), sources(), config_hash=config_hash)
        out = str(tmp_path / f"{name}-out")
        assert push(str(tmp_path / name), "--to", out, "--profile", profile(tmp_path)) == 0
    same, other = ((tmp_path / f"{name}-out" / "README.md").read_text() for name in ("same", "other"))
    assert "min_score: 50.0" in same
    assert "min_score" not in other
    assert "c0ffee" in other


def profile(folder: Path) -> str:
    """One that leaves everything as it is by default."""
    path = folder / "plain.yaml"
    path.write_text("curation: {}\n")
    return str(path)


def test_a_repository_gets_the_same(run: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert push(run, "--to", str(tmp_path / "talkers")) == 0
    same = contents(tmp_path / "talkers")
    with taking_hub("someone/talkers", monkeypatch, tmp_path, kind="datasets") as hub:
        for _ in range(2):
            assert push(run, "--to", "someone/talkers", "--private") == 0
        assert hub.files.keys() == same.keys()
        assert all(content == same[name] for name, content in hub.files.items() if name != "README.md")
        assert 'load_dataset("someone/talkers", "index"' in hub.files["README.md"].decode()
        large = [name for name in same if name.endswith((".tar", ".parquet"))]
        assert len(hub.received) == len(large), "nothing is sent twice"
        assert hub.private


def test_what_was_merged_or_mended_since_the_last_push_replaces_what_it_was(
    run: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with taking_hub("someone/talkers", monkeypatch, tmp_path, kind="datasets") as hub:
        for to in (out := str(tmp_path / "out"), "someone/talkers"):
            assert push(run, "--to", to, "--quarantine") == 0
        hub.files["shards/of-another.tar"] = b"stays"
        before = set(contents(Path(out)))
        broken = sources()[-1]
        (old,) = FailedUnits.of(RunDirectory(run)).by("all").values()
        well = source(broken.uri, 1280, 720, 10.0, replaces=old)
        write_run(run, [replace(well, clips=(export(clip(well, 0)),))], session="mend")
        merge_shards(run)
        for to in (out, "someone/talkers"):
            assert push(run, "--to", to, "--quarantine") == 0
        (shard,) = RunDirectory(run).names()
        after = {f"shards/{shard}.tar", f"shards/{shard}.parquet", "README.md"}
        assert set(contents(Path(out))) == after
        assert len(before) > len(after)
        assert hub.files.keys() == {*after, "shards/of-another.tar"}
    assert (
        pq.read_table(tmp_path / "out" / "shards" / f"{shard}.parquet").num_rows
        == RunDirectory(run).index(["key"]).num_rows
    )


def test_every_column_is_explained() -> None:
    assert MEANINGS.keys() == COLUMNS.keys() - {"shard"}
    assert (meaning("quality_score"), unit("quality_score")) == ("score of the stage quality", "")
    assert meaning("camera_fit") == "score of the stage motion"
    assert meaning("scenes_combed_share") == "score of the stage scenes"
    assert meaning("score_of_another_soul") == "score"
    assert unit("camera_roll_deg_per_s") == "degrees a second"
    assert unit("end_s") == "s"
    endings = list(UNITS)
    for place, ending in enumerate(endings):
        assert not any(ending.endswith(earlier) for earlier in endings[:place]), f"{ending} is never reached"


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["--run", "{out}/nowhere", "--to", "{out}/x"], "is not a run directory"),
        (["--run", "{out}/empty", "--to", "{out}/x"], "holds nothing yet"),
        (["--run", "{out}/run", "--to", "{out}/run"], "holds something else"),
        (["--run", "{out}/run", "--to", "s3://bucket/data"], "give OWNER/NAME of a repository, or a folder"),
    ],
)
def test_mistakes_are_one_line(tmp_path: Path, words: list[str], line: str, capsys: pytest.CaptureFixture[str]) -> None:
    write_run(str(tmp_path / "run"), sources())
    (tmp_path / "empty" / "shards").mkdir(parents=True)
    assert main(["push", *(word.format(out=tmp_path) for word in words)]) == 2
    error = capsys.readouterr().err
    assert line in error
    assert error.count("\n") == 1
