"""A model pushed with its card: what the card says is what the training did, and what arrives is the model."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from huggingface_hub import ModelCard

from model import SoulPipeline
from tests.worlds.encoded_run import GENERAL, SampleSpec, make_encoded_run
from tests.worlds.pushing import taking_hub
from tests.worlds.recipes import metrics, train
from training.__main__ import main

SHARDS = ((SampleSpec(),) * 8, (GENERAL,) * 3)
SECONDS = 17 / 25
"""Of a made clip."""


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A training of three steps, validated at its end."""
    made = tmp_path_factory.mktemp("push")
    make_encoded_run(made, shards=SHARDS)
    looks = {"validation__every": 3, "validation__videos": 2, "validation__steps": 1, "validation__loss_samples": 2}
    train(made, steps=3, data__pools="{human: 0.8, general: 0.2}", **looks)
    return made


@pytest.fixture(scope="module")
def pushed(run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("pushed") / "talker"
    words = ["--license", "apache-2.0", "--base-model", "someone/base"]
    assert main(["push", "--model", str(run / "model"), "--to", str(out), *words]) == 0
    return out


def section(text: str, heading: str) -> str:
    return text.partition(f"## {heading}\n")[2].partition("\n## ")[0]


def test_what_arrives_is_the_model_and_loads(run: Path, pushed: Path) -> None:
    own = {path.relative_to(run / "model") for path in (run / "model").rglob("*") if path.is_file()}
    assert {path.relative_to(pushed) for path in pushed.rglob("*") if path.is_file()} - own == {
        Path("README.md"),
        *(Path("samples") / path.name for path in (run / "train/720p/validation").rglob("*.mp4")),
    }
    assert all((pushed / name).read_bytes() == (run / "model" / name).read_bytes() for name in own)
    assert SoulPipeline.from_pretrained(pushed).config.fps == 25


def test_the_hub_reads_the_head_of_the_card(run: Path, pushed: Path) -> None:
    about = ModelCard.load(pushed / "README.md").data
    assert (about.license, about.base_model, about.pipeline_tag) == ("apache-2.0", "someone/base", "image-to-video")
    assert about.model_name == "talker"
    (result,) = about.eval_results
    assert result.metric_value == metrics(run)[-1]["validation_loss"]


def test_the_card_says_what_the_training_did(run: Path, pushed: Path) -> None:
    text = (pushed / "README.md").read_text()
    trained = section(text, "Training")
    drawn = int(metrics(run)[-1]["samples"])
    assert f"Stage `720p`, objective `flow_matching`: 3 steps of 4 clips, {drawn} clips drawn." in trained
    assert f"| general | 3 | {3 * SECONDS:.1f} s | 0.2 |" in trained
    assert f"| human | 7 | {7 * SECONDS:.1f} s | 0.8 |" in trained
    assert "Held out, from other videos: 1." in trained
    recipe = yaml.safe_load(trained.partition("```yaml\n")[2].partition("```")[0])
    assert (recipe["optimizer.lr"], recipe["steps"]) == (1e-3, 3)
    loss = metrics(run)[-1]["validation_loss"]
    assert f"| loss on held-out clips | {loss:.4g} |" in section(text, "Validation")
    for video in (pushed / "samples").iterdir():
        assert f'src="samples/{video.name}"' in text
        assert f"prompt 0 of {video.stem}" in text
    assert str(run) not in text, "no paths of who trained"


def test_a_repository_gets_the_same(
    run: Path, pushed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with taking_hub("someone/talker", monkeypatch, tmp_path) as hub:
        words = ["push", "--model", str(run / "model"), "--to", "someone/talker", "--samples", "0"]
        assert main(words) == 0
        assert f"pushed  {hub.address}/someone/talker" in capsys.readouterr().out
        same = {str(path.relative_to(pushed)): path.read_bytes() for path in pushed.rglob("*") if path.is_file()}
        assert hub.files.keys() == {name for name in same if not name.startswith("samples/")}
        assert all(content == same[name] for name, content in hub.files.items() if name != "README.md")
        card = hub.files["README.md"].decode()
        assert "--model someone/talker" in card
        assert "Who pushed it has given no licence." in card
        assert hub.messages == ["Push the model of 720p, step 3"]


def test_a_model_of_which_nothing_is_known_has_a_card_that_says_so(
    pushed: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (pushed / "README.md").rename(tmp_path / "card.md")
    assert main(["push", "--model", str(pushed), "--to", str(tmp_path / "other")]) == 0
    assert "nothing is told of it" in capsys.readouterr().out
    assert "Nothing is recorded of how it was trained." in (tmp_path / "other" / "README.md").read_text()
    (pushed / "README.md").write_text("# Mine")
    assert main(["push", "--model", str(pushed), "--to", str(tmp_path / "third")]) == 0
    assert (tmp_path / "third" / "README.md").read_text() == "# Mine", "a card of its own is taken as it is"
    (tmp_path / "card.md").rename(pushed / "README.md")


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["--model", "{folder}", "--to", "{out}"], "model_index.json: no such file"),
        (["--model", "{run}/model", "--to", "{folder}"], "holds something else (mine.txt)"),
        (["--model", "{run}/model", "--to", "{out}", "--samples", "-1"], "--samples is at least 0"),
        (["--model", "{run}/model", "--to", "{out}", "--trained", "{folder}"], "has no checkpoint that can be read"),
        (["--model", "{run}/nowhere", "--to", "{out}"], "no such directory"),
    ],
)
def test_mistakes_are_one_line(
    run: Path, tmp_path: Path, words: list[str], line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "mine.txt").write_text("mine")
    names = {"run": run, "folder": tmp_path / "folder", "out": tmp_path / "out"}
    assert main(["push", *(word.format(**names) for word in words)]) == 2
    error = capsys.readouterr().err
    assert line in error
    assert error.count("\n") == 1
    assert not (tmp_path / "out").exists()
