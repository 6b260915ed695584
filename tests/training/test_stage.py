"""Stages from encoded shards to model directories, and what goes wrong."""

import re
import resource
from pathlib import Path

import av
import fsspec
import pytest
import torch
from PIL import Image

from model import SoulPipeline
from model.weights.directory import check_model_directory
from tests.worlds.encoded_run import GENERAL, SampleSpec, make_encoded_run
from tests.worlds.pipelines import asked
from tests.worlds.recipes import metrics, small_options, small_overrides, train
from tests.worlds.small_model import small_model
from tests.worlds.tensorboard_pages import shown_by_tensorboard
from training.__main__ import main
from training.data.damage import DamagedError
from training.distributed.ranks import join_ranks
from training.recipes.recipe import load_recipe
from training.stage import run_stage

SHARDS = ((SampleSpec(),) * 6, (SampleSpec(latent_width=6),) * 4 + (GENERAL,) * 2)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Both stages, with everything that is done once in a while."""
    run = tmp_path_factory.mktemp("stages")
    make_encoded_run(run, shards=SHARDS)
    make_encoded_run(run, stage="1080p", shards=SHARDS)
    looks = {"validation__every": 2, "validation__videos": 2, "validation__steps": 2, "audio_delta_every": 2}
    train(run, data__workers=1, data__pools="{human: 0.8, general: 0.2}", **looks)
    recipe = load_recipe("1080p", "local", small_overrides(initial="stage:720p", steps=2))
    run_stage("1080p", recipe, run, join_ranks())
    return run


def test_what_is_logged(trained: Path) -> None:
    lines = metrics(trained)
    assert [line["step"] for line in lines] == [1, 2, 3, 4]
    always = {"loss", "grad_norm", "lr", "s_per_step", "tokens_per_s", "tflops", "data_wait_s", "epoch", "samples"}
    for line in lines:
        assert always <= line.keys()
        levels = [name for name in line if name.startswith("loss_sigma_")]
        assert levels
        assert min(line[name] for name in levels) <= line["loss"] <= max(line[name] for name in levels)
        assert line["tokens_per_s"] > 0
    assert lines[1]["audio_delta"] > 0
    assert "audio_delta" not in lines[0]
    assert 0 < lines[3]["validation_loss"] < lines[1]["validation_loss"] * 1.2
    # Warm-up over two steps.
    assert [line["lr"] for line in lines] == [5e-4, 1e-3, 1e-3, 1e-3]
    assert list((trained / "train/720p/tensorboard").glob("events.*"))


def test_validation_videos_are_held_out_clips_with_their_sound(trained: Path) -> None:
    videos = sorted((trained / "train/720p/validation").rglob("*.mp4"))
    assert {video.parent.name for video in videos} == {"step-00000002", "step-00000004"}
    with av.open(str(videos[0])) as container:
        frames = list(container.decode(video=0))
        assert len(frames) == 17
        assert frames[0].width == 2 * frames[0].height, "the truth beside what was made"
        assert container.streams.audio


def test_tensorboard_shows_recipe_prompts_and_videos(trained: Path) -> None:
    shown = shown_by_tensorboard(trained / "train/720p/tensorboard")
    keys = {path.stem for path in (trained / "train/720p/validation").rglob("*.mp4")}
    assert shown["images"] == {f"validation/{key}": [2, 4] for key in keys}
    assert shown["text"] == {"recipe": [0]} | {f"prompt/{key}": [0] for key in keys}
    assert shown["scalars"]["loss"] == [1, 2, 3, 4]
    assert not shown["images"].keys() & shown["text"].keys()


def test_the_result_is_a_model_directory_that_knows_its_defaults(trained: Path) -> None:
    assert (trained / "model").resolve() == trained / "train/1080p/model"
    pipeline = SoulPipeline.from_pretrained(trained / "model")
    assert pipeline.config.clip_latents == 5
    assert pipeline.config.overlap_latents == 2
    assert pipeline.config.fps == 25
    first = SoulPipeline.from_pretrained(trained / "train/720p/model")
    second = {name: each.detach() for name, each in pipeline.transformer.named_parameters()}
    moved = [float((each.detach() - second[name]).abs().max()) for name, each in first.transformer.named_parameters()]
    assert min(moved) > 0  # the second stage began with the first one's result, and trained all of it
    assert max(moved) < 0.01
    modes = {path.stat().st_mode & 0o777 for path in (trained / "train").glob("*/model/**/*") if path.is_file()}
    assert modes == {(trained / "train/720p/metrics.jsonl").stat().st_mode & 0o777}
    picture = Image.new("RGB", (64, 64), (200, 100, 50))
    video = pipeline(asked(picture, torch.randn(8000) * 0.1, area=64 * 64))
    assert video.frames.shape == (13, 64, 64, 3)


def test_a_finished_stage_has_nothing_left_to_do(trained: Path) -> None:
    before = (trained / "train/720p/metrics.jsonl").read_text()
    train(trained, data__pools="{human: 0.8, general: 0.2}")
    assert (trained / "train/720p/metrics.jsonl").read_text() == before


def test_an_earlier_stage_that_is_done_does_not_take_the_link_back(
    trained: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    link = trained / "model"
    options = small_options(trained, **{"data.pools": "{human: 0.8, general: 0.2}"})
    assert main(options) == 0
    assert f"{link} leads to train/1080p/model" in capsys.readouterr().out
    link.unlink()
    assert main(options) == 0
    assert f"{link} leads to train/720p/model" in capsys.readouterr().out
    link.unlink()
    link.symlink_to("train/1080p/model")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"batch_size": 5, "micro_batch": 2}, "batch_size 5 is not a multiple of 1 ranks × micro_batch 2.*4 or 6"),
        ({"initial": "stage:evil"}, "the result of 'evil'"),
        ({"initial": "/nowhere"}, "/nowhere: no such directory"),
        ({"initial": "soul-5b"}, "random weights makes no sense"),
        ({"encoded": "480p"}, "480p holds no encoded shards"),
        ({"data.pools": "{human: 1, animals: 1}"}, "'animals' has a weight but no samples"),
        ({"parallel.sequence_parallel": 3}, "1 processes cannot share clips by 3"),
    ],
)
def test_mistakes_are_one_line_and_status_2(
    trained: Path, capsys: pytest.CaptureFixture[str], changes: dict[str, object], message: str
) -> None:
    assert main(small_options(trained, **changes)) == 2
    line = capsys.readouterr().err.strip()
    assert "\n" not in line
    assert re.search(message, line)


def test_unknown_names_are_corrected(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = str(tmp_path)
    assert main(["run", "--stage", "720", "--run", run]) == 2
    assert "did you mean '720p'" in capsys.readouterr().err
    assert main(["run", "--stage", "720p", "--run", run, "--set", "optimizer.learning_rate=1"]) == 2
    assert "unknown key 'learning_rate'" in capsys.readouterr().err


def test_what_is_in_the_way_is_said_before_training(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = tmp_path / "run"
    assert main(small_options(run)) == 2
    assert not run.exists()
    make_encoded_run(run, shards=SHARDS)
    (run / "codebook.safetensors").write_text("not a codebook")
    assert main(small_options(run)) == 2
    assert "is not a safetensors file" in capsys.readouterr().err
    (run / "codebook.safetensors").unlink()
    (run / "model").mkdir()
    assert main(small_options(run)) == 2
    assert "not a link made by training: move it away" in capsys.readouterr().err
    assert not (run / "train").exists()


def test_what_takes_long_is_said_before_it_is_done(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    make_encoded_run(tmp_path, shards=SHARDS)
    assert main(small_options(tmp_path, steps=7, log_every=5, **{"data.held_out_fraction": 0})) == 0
    captured = capfd.readouterr()
    assert captured.out.splitlines()[:4] == [
        "loading  torch and DeepSpeed",
        f"loading  the model {small_model()}",
        f"loading  the data {tmp_path}/encoded/720p",
        "12 samples: general 2, human 10; held out 0",
    ]
    shown = [line for line in captured.err.splitlines() if line.startswith(("step ", "it took"))]
    assert [line.split("  ")[0] for line in shown if line.startswith("step")] == ["step 1", "step 5", "step 7"]
    assert re.fullmatch(r"it took \S+ s; the next line comes with step 5", shown[1])
    assert [line["step"] for line in metrics(tmp_path)] == [5, 7]


def test_a_folder_that_cannot_be_made_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make_encoded_run(tmp_path, shards=SHARDS)
    (tmp_path / "train").write_text("a file")
    assert main(small_options(tmp_path)) == 1
    assert re.fullmatch(r"soul: .*Not a directory.*", capsys.readouterr().err.splitlines()[-1])


def test_a_full_disk_at_the_end_leaves_a_training_that_can_be_finished(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make_encoded_run(tmp_path, shards=SHARDS)
    train(tmp_path, steps=2)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, before[1]))
    try:
        assert main(small_options(tmp_path, steps=2)) == 1
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert "could not be written" in capsys.readouterr().err.splitlines()[-1]
    assert not (tmp_path / "train/720p/model.tmp").exists()
    check_model_directory(train(tmp_path, steps=2))


def test_damaged_samples_are_skipped_and_recorded_and_too_many_stop(tmp_path: Path) -> None:
    directory = make_encoded_run(tmp_path, shards=((SampleSpec(),) * 8,))
    rows = directory.index().to_pylist()
    spoil(directory.path, rows[2])
    train(tmp_path, data__held_out_fraction=0, data__pools="{human: 1}")
    recorded = (tmp_path / "train/720p/skipped.txt").read_text().splitlines()
    assert recorded
    assert all(rows[2]["key"] in line and "damaged: its" in line for line in recorded)
    for row in rows[3:6]:
        spoil(directory.path, row)
    with pytest.raises(DamagedError, match=r"samples are damaged or cannot be read, more than data\.max_skipped"):
        train(tmp_path, data__held_out_fraction=0, data__pools="{human: 1}", steps=12)


def spoil(folder: str, row: dict[str, object]) -> None:
    with (Path(folder) / str(row["tar"])).open("r+b") as tar:
        tar.seek(int(str(row["offset"])))
        tar.write(b"\0" * 200)


@pytest.mark.parametrize("epochs", [0.5, 1, 1.5])
def test_epochs_may_be_fractions(tmp_path: Path, epochs: float) -> None:
    make_encoded_run(tmp_path, shards=((SampleSpec(),) * 12,))
    train(tmp_path, steps="null", epochs=epochs, batch_size=2, data__held_out_fraction=0)
    lines = metrics(tmp_path)
    assert len(lines) == epochs * 6
    assert lines[-1]["epoch"] == int(epochs)


def test_nothing_held_out_is_told(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    make_encoded_run(tmp_path, shards=((SampleSpec(),) * 4,))
    train(tmp_path, steps=1, validation__every=1, data__held_out_fraction=0)
    assert capfd.readouterr().err.count("nothing is validated: no human sample is held out") == 1


def test_shards_are_read_from_an_object_store(object_store: str, tmp_path: Path) -> None:
    import boto3  # noqa: PLC0415

    boto3.client("s3", endpoint_url=object_store).create_bucket(Bucket="encoded-clips")
    make_encoded_run(tmp_path / "made", shards=SHARDS)
    filesystem, _ = fsspec.core.url_to_fs("s3://encoded-clips")
    filesystem.put(str(tmp_path / "made" / "encoded"), "encoded-clips/run/encoded", recursive=True)
    here, there = tmp_path / "here", tmp_path / "there"
    train(here, data__run=str(tmp_path / "made"))
    train(there, data__run="s3://encoded-clips/run")
    losses = [[line["loss"] for line in metrics(run)] for run in (here, there)]
    assert losses[0] == losses[1]


def test_checkpoints_do_not_go_to_an_object_store(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "--stage", "720p", "--run", "s3://bucket/run"]) == 2
    assert "give a local --run, and --set data.run=s3://bucket/run" in capsys.readouterr().err
