import argparse
import json
import resource
import shutil
from pathlib import Path

import fsspec
import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image

from curation.encoding.encoded import EncodedDirectory, codebook_vectors
from infra.config import ConfigError
from infra.storage.write_errors import NotWrittenError
from model.generation.codebook import Codebook
from tests.worlds.encoded_run import CHANNELS, GENERAL, NEGATIVE, SKIPPED, SampleSpec, make_encoded_run
from tests.worlds.small_disk import fill, small_disk
from training.codebook.clustering import MIN_POINTS
from training.codebook.command import run as run_codebook
from training.codebook.options import add_arguments
from training.codebook.vectors import EncodedVectors

HUMAN = SampleSpec(num_codebook_vectors=60)


def run_command(*arguments: str | Path) -> None:
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    run_codebook(parser.parse_args([str(argument) for argument in arguments]))


def said(capsys: pytest.CaptureFixture[str]) -> str:
    return capsys.readouterr().err


def all_vectors(directory: EncodedDirectory) -> torch.Tensor:
    rows = [row for row in directory.index().to_pylist() if row["encoded"] and row["pool"] != "negative"]
    return torch.cat([codebook_vectors(row, CHANNELS) for row in rows])


def test_a_run_becomes_codebook_and_plot(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    directory = make_encoded_run(tmp_path, shards=[[HUMAN] * 3 + [SKIPPED], [SKIPPED], [HUMAN, GENERAL]])
    run_command("--run", tmp_path, "--centroids", "3")
    codebook = Codebook.load(tmp_path / "codebook.safetensors")
    assert codebook.centroids.shape == (3, CHANNELS)
    vectors = all_vectors(directory)
    assert int(codebook.counts.sum()) == len(vectors) == 250
    distances = torch.cdist(vectors.double(), codebook.centroids.double()).amin(dim=1)
    np.testing.assert_allclose(
        codebook.distance_quantiles.numpy(), np.quantile(distances, np.linspace(0, 1, 101)), rtol=1e-5
    )
    with Image.open(tmp_path / "codebook.png") as plot:
        assert plot.width > 800
        assert len(np.unique(np.asarray(plot.convert("L")))) > 10
    text = said(capsys)
    assert "on the CPU (faiss finds no GPU)" in text
    assert "iteration 1: mean squared distance" in text
    assert "clustered on 250 of 250 vectors" in text
    assert not list(tmp_path.glob("*.tmp")) + list(tmp_path.glob(".*"))


def test_fewer_centroids_are_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make_encoded_run(tmp_path, shards=[[HUMAN] * 4])
    run_command("--run", tmp_path, "--iterations", "2")
    assert len(Codebook.load(tmp_path / "codebook.safetensors").centroids) == 240 // MIN_POINTS
    assert "240 vectors are too few for 40,000 centroids (at least 39 for each): building 6" in said(capsys)


def test_negative_clips_do_not_enter(tmp_path: Path) -> None:
    """Not even when they bring vectors, which those that `negatives` makes do not."""
    far = SampleSpec(pool="negative", num_codebook_vectors=50)
    make_encoded_run(tmp_path, shards=[[HUMAN, far, NEGATIVE]])
    assert sum(len(chunk) for chunk in EncodedVectors(str(tmp_path))) == 60


def test_stages_are_all_read_unless_chosen(tmp_path: Path) -> None:
    make_encoded_run(tmp_path, stage="720p", shards=[[HUMAN] * 2])
    make_encoded_run(tmp_path, stage="1080p", shards=[[HUMAN]])
    assert EncodedVectors(str(tmp_path)).stages == ("1080p", "720p")
    assert sum(len(chunk) for chunk in EncodedVectors(str(tmp_path))) == 180
    assert sum(len(chunk) for chunk in EncodedVectors(str(tmp_path), ["1080p"])) == 60


def test_a_version_of_the_run_has_encoded_clips_of_its_own(tmp_path: Path) -> None:
    make_encoded_run(tmp_path, shards=[[HUMAN] * 3])
    make_encoded_run(tmp_path / "decisions" / "near", shards=[[HUMAN] * 4])
    run_command("--run", tmp_path, "--iterations", "2", "--decisions", "near")
    assert Codebook.load(tmp_path / "codebook.safetensors").counts.sum() == 240


def test_later_commits_do_not_change_what_is_read(tmp_path: Path) -> None:
    make_encoded_run(tmp_path, shards=[[HUMAN]])
    vectors = EncodedVectors(str(tmp_path))
    make_encoded_run(tmp_path, shards=[[HUMAN], [HUMAN]])
    assert [len(chunk) for chunk in vectors] == [60]


def test_the_codebook_is_put_into_a_model_directory(tmp_path: Path) -> None:
    make_encoded_run(tmp_path, shards=[[HUMAN] * 4])
    run_command("--run", tmp_path, "--iterations", "1", "--model", model_directory(tmp_path / "model", CHANNELS))
    written = (tmp_path / "model" / "codebook.safetensors").read_bytes()
    assert written == (tmp_path / "codebook.safetensors").read_bytes()


@pytest.mark.parametrize(("make", "message"), [(False, "not a model directory"), (True, "16 latent channels")])
def test_a_model_that_does_not_fit_is_refused_first(tmp_path: Path, make: bool, message: str) -> None:
    make_encoded_run(tmp_path, shards=[[HUMAN]])
    (tmp_path / "model").mkdir()
    if make:
        model_directory(tmp_path / "model", 16)
    with pytest.raises(ConfigError, match=message):
        run_command("--run", tmp_path, "--model", tmp_path / "model")
    assert not (tmp_path / "codebook.safetensors").exists()


def test_nothing_encoded_is_one_clear_line(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"holds no encoded shards; run `make encode` first"):
        run_command("--run", tmp_path)
    make_encoded_run(tmp_path, shards=[[HUMAN]])
    with pytest.raises(ConfigError, match=r"1080p holds no encoded shards"):
        run_command("--run", tmp_path, "--stages", "1080p")


def test_no_commit_and_no_vectors_are_one_clear_line(tmp_path: Path) -> None:
    make_encoded_run(tmp_path / "a", shards=[])
    with pytest.raises(ConfigError, match="no shard has been committed in 720p"):
        run_command("--run", tmp_path / "a")
    make_encoded_run(tmp_path / "b", shards=[[SKIPPED], [NEGATIVE]])
    with pytest.raises(ConfigError, match="there are no latent vectors"):
        run_command("--run", tmp_path / "b")


def test_stages_of_different_encoders_do_not_mix(tmp_path: Path) -> None:
    make_encoded_run(tmp_path, stage="720p", shards=[[HUMAN]], encoders="one")
    make_encoded_run(tmp_path, stage="1080p", shards=[[HUMAN]], encoders="two")
    with pytest.raises(ConfigError, match="encoded by different networks"):
        run_command("--run", tmp_path)


def test_stages_of_different_channels_do_not_mix(tmp_path: Path) -> None:
    for stage in ("720p", "1080p"):
        make_encoded_run(tmp_path, stage=stage, shards=[[HUMAN]])
    about = tmp_path / "encoded" / "720p" / "encoding.json"
    about.write_text(json.dumps(json.loads(about.read_text()) | {"latent_channels": 16}))
    with pytest.raises(ConfigError, match="stages differ in latent channels: 1080p 48, 720p 16"):
        run_command("--run", tmp_path)


def test_damaged_indices_are_one_clear_line(tmp_path: Path) -> None:
    directory = Path(make_encoded_run(tmp_path, shards=[[HUMAN]]).path)
    about = directory / "encoding.json"
    about.write_text(json.dumps(json.loads(about.read_text()) | {"latent_channels": 47}))
    with pytest.raises(ConfigError, match=r"shard-000.parquet: its vectors are not of 47 latent channels"):
        run_command("--run", tmp_path)
    (directory / "shard-000.parquet").write_bytes(b"PAR1 but not really")
    with pytest.raises(ConfigError, match=r"shard-000.parquet cannot be read"):
        run_command("--run", tmp_path)


def test_vectors_that_are_not_finite_are_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    directory = make_encoded_run(tmp_path, shards=[[HUMAN] * 2])
    rows = directory.rows_of("shard-000").to_pylist()
    spoilt = np.frombuffer(rows[0]["codebook_vectors"], np.float16).reshape(-1, CHANNELS).copy()
    spoilt[[3, 5], 7] = np.inf
    rows[0]["codebook_vectors"] = spoilt.tobytes()
    directory.commit("shard-000", rows, "by-hand")
    run_command("--run", tmp_path, "--iterations", "1")
    assert "passed over 2 vectors with NaN or infinity" in said(capsys)


def test_a_run_in_a_bucket_is_read_and_written(tmp_path: Path, object_store: str) -> None:
    make_encoded_run(tmp_path, shards=[[HUMAN] * 2, [HUMAN]])
    fs = fsspec.filesystem("s3")
    fs.mkdir("codebook-run")
    fs.put(str(tmp_path / "encoded"), "codebook-run/run/encoded", recursive=True)
    run_command("--run", tmp_path, "--iterations", "2")
    run_command("--run", "s3://codebook-run/run", "--iterations", "2")
    fs.get_file("codebook-run/run/codebook.safetensors", str(tmp_path / "fetched.safetensors"))
    remote, local = (Codebook.load(tmp_path / f"{name}.safetensors") for name in ("fetched", "codebook"))
    assert torch.equal(remote.centroids, local.centroids)
    assert fs.exists("codebook-run/run/codebook.png")


def test_a_place_that_cannot_be_written_to_is_one_clear_line(tmp_path: Path) -> None:
    make_encoded_run(tmp_path, shards=[[HUMAN]])
    (tmp_path / "codebook.safetensors").mkdir()
    with pytest.raises(NotWrittenError, match=r"codebook\.safetensors could not be written: .*Is a directory"):
        run_command("--run", tmp_path, "--iterations", "1")


def test_it_is_found_before_the_clustering(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make_encoded_run(tmp_path, shards=[[HUMAN]])
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, before[1]))
    try:
        with pytest.raises(NotWrittenError, match=f"{tmp_path} cannot be written to: .*codebook.safetensors.probe"):
            run_command("--run", tmp_path, "--iterations", "1")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert "K-Means" not in said(capsys)


def test_a_disk_that_fills_up_is_one_line_and_leaves_no_part(tmp_path: Path) -> None:
    make_encoded_run(tmp_path / "made", shards=[[HUMAN] * 4])
    with small_disk(tmp_path / "disk", 512) as disk:
        shutil.copytree(tmp_path / "made" / "encoded", disk / "encoded")
        fill(disk, leave=8192)
        with pytest.raises(
            NotWrittenError, match=rf"^{disk}/codebook\.png could not be written: .*No space left on device"
        ):
            run_command("--run", disk, "--iterations", "1")
        assert {path.name for path in disk.iterdir()} == {"encoded", "filler", "codebook.safetensors"}
        (disk / "filler").unlink()
        run_command("--run", disk, "--iterations", "1")
        assert (disk / "codebook.png").is_file()


def test_vectors_that_a_disk_has_damaged_are_refused(tmp_path: Path) -> None:
    path = Path(make_encoded_run(tmp_path, shards=[[HUMAN] * 4]).path) / "shard-000.parquet"
    data = bytearray(path.read_bytes())
    vectors = pq.read_table(path)["codebook_vectors"].to_pylist()[1]
    data[data.index(vectors[:64]) + 500] ^= 0x40
    path.write_bytes(data)
    with pytest.raises(ConfigError, match=rf"^{path} cannot be read: .*CRC checksum verification failed"):
        run_command("--run", tmp_path)


def test_a_run_may_have_brackets_in_its_name(tmp_path: Path) -> None:
    make_encoded_run(tmp_path / "run [1]", shards=[[HUMAN] * 2])
    run_command("--run", tmp_path / "run [1]", "--iterations", "1")
    assert (tmp_path / "run [1]" / "codebook.safetensors").is_file()


def model_directory(path: Path, in_channels: int) -> Path:
    """As much of one as the command looks at."""
    (path / "transformer").mkdir(parents=True)
    (path / "model_index.json").write_text("{}")
    (path / "transformer" / "config.json").write_text(json.dumps({"in_channels": in_channels}))
    return path
