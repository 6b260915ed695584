"""The results that are kept are of the shape that the studies write, and the README tells what is in them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bench.studies import distillation, lip_sync
from bench.studies.training_run import TrainingRun
from model.weights.source import SHIPPED_DIRECTORY
from tests.bench.studies.shape import RESULTS, committed, shape

README = (RESULTS.parents[1] / "README.md").read_text()
FRONT_README = (RESULTS.parents[2] / "README.md").read_text()
CLIPS_OF_A_VIDEO = 4


def test_shapes_are_of_names_not_numbers() -> None:
    wide = {"loss": {"500": 0.7, "1000": 0.5}, "results": [{"sampling": None}, {"sampling": {"steps": 4}}]}
    narrow = {"loss": {"2": 3.0}, "results": [{"sampling": {"steps": 1}}]}
    assert shape(wide) == shape(narrow)
    assert shape(wide) != shape(narrow | {"loss": 3.0})
    assert shape(wide) != shape(narrow | {"more": 1})


@pytest.fixture
def logged(tmp_path: Path) -> Path:
    """A run whose trainings logged twenty steps, and whose faces are three clips."""
    (tmp_path / "truth.jsonl").write_text(
        "".join(f"{json.dumps(each)}\n" for each in ({}, *({"key": k} for k in "abc")))
    )
    for stage in ("720p", "distill"):
        folder = tmp_path / "train" / stage
        folder.mkdir(parents=True)
        lines = [{"step": step, "loss": 1 / step, "s_per_step": step / 100} for step in range(1, 21)]
        lines[9]["validation_loss"], lines[19]["validation_loss"] = 0.123456, 0.2
        (folder / "metrics.jsonl").write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    return tmp_path


def test_a_training_is_told_from_its_recipe_and_its_log(logged: Path) -> None:
    figures = lip_sync.training_figures(TrainingRun(run=logged, steps=20, overrides=("optimizer.lr=3e-4",)))
    assert (figures["clips"], figures["steps"], figures["batch_size"], figures["lr"]) == (3, 20, 4, 3e-4)
    assert (figures["schedule"], figures["ema_decay"]) == ("cosine", 0.998)
    assert figures["median_s_per_step"] == pytest.approx(0.105)
    assert list(figures["loss"]) == [str(step) for step in range(2, 21, 2)]
    assert figures["validation_loss"] == {"10": 0.1235, "20": 0.2}
    assert shape(figures) == shape(committed("lip_sync")["training"])


def test_a_distillation_is_told_from_its_recipe_and_its_log(logged: Path) -> None:
    run = TrainingRun(run=logged, steps=18, stage="distill", settings=distillation.DISTILLATION)
    figures = distillation.training_figures(run)
    assert figures == {"steps": 18, "student_updates": 4, "validation_loss": {"10": 0.1235, "20": 0.2}}
    assert shape(figures) == shape(committed("distillation")["training"])


@pytest.mark.slow
def test_studies_write_what_is_kept(tmp_path: Path) -> None:
    run = ["--run", str(tmp_path), "--threads", "1", "--videos", "2", "--seconds", "1.4"]
    short = ["--long-videos", "2", "--long-seconds", "2", "--silent-videos", "1", "--steps", "1"]
    assert lip_sync.main([*run, *short, "--train-videos", "8", "--train-steps", "3"]) == 0
    assert shape(json.loads((tmp_path / "bench/lip_sync.json").read_text())) == shape(committed("lip_sync"))
    assert distillation.main([*run, "--train-steps", "2", "--out", str(tmp_path / "kept")]) == 0
    assert shape(json.loads((tmp_path / "kept/distillation.json").read_text())) == shape(committed("distillation"))


def interval(values: list[float]) -> str:
    """Mean and ends as the README writes them."""
    return "{:.3f} [{:.3f}, {:.3f}]".format(*values)


def signed(value: float) -> str:
    return f"{value:.3f}".replace("-", "−")


def test_the_readme_tells_what_the_lip_sync_study_measured() -> None:
    codec, short, _, long = (result["summary"] for result in committed("lip_sync")["results"])
    others, silent, truth = (signed(value[0]) for value in (short["r_others"], short["r_silent"], codec["r_mean"]))
    controls = f"another's speech {others}; made without sound {silent}; the truth through the codec {truth}"
    assert f"| {interval(short['r_mean'])} | {controls} |" in README
    assert f"| {interval(long['r_mean'])} | another's speech {signed(long['r_others'][0])} |" in README
    far = f"other people's references {short['identity_others'][0]:.1f}"
    assert f"| {short['identity'][0]:.1f} | {far} |" in README
    assert short["motion_accuracy"] == 1
    assert f"| {short['sharpness_ratio']:.1f} × |" in README
    jumps, least = ([summary[f"jump_{at}"][0] for at in ("first", "second")] for summary in (short, codec))
    assert f"| {jumps[0]:.1f}, {jumps[1]:.1f} | the truth through the codec {least[0]:.1f}, {least[1]:.1f} |" in README


def test_the_readme_tells_what_other_pivots_did() -> None:
    """Columns: the share of the clips without overlap that start from their own first frame."""
    columns = [
        {result["name"]: result["summary"] for result in committed(name)["results"]}
        for name in ("lip_sync_none", "lip_sync_half", "lip_sync")
    ]

    def row(name: str, kind: str, places: int) -> str:
        values = [(each[name][f"{kind}_first"][0], each[name][f"{kind}_second"][0]) for each in columns]
        return " | ".join(f"{first:.{places}f} ({second:.{places}f})" for first, second in values)

    rested, started = "10 steps, w 2", "10 steps, w 2, own start"
    rows = (
        " | ".join(f"{each[rested]['r_mean'][0]:.3f}" for each in columns),
        *(row(rested, "jump", 1), row(started, "jump", 1), row(started, "head_jump", 2)),
    )
    for cells in rows:
        assert f"| {cells} |\n" in README


def test_the_readme_tells_what_the_distillation_measured() -> None:
    for result in committed("distillation")["results"][1:]:
        summary = result["summary"]
        right = round(summary["motion_accuracy"] * summary["num_videos"])
        cells = (
            interval(summary["r_mean"]),
            f"{summary['identity'][0]:.1f}",
            f"{right} of {summary['num_videos']}",
            f"{summary['sharpness_ratio']:.2f}",
            f"{summary['wall_s']:.2f}",
            f"{summary['num_forwards'] / CLIPS_OF_A_VIDEO:.0f}",
        )
        assert f"| {' | '.join(cells)} |" in README
    losses = committed("distillation")["training"]["validation_loss"].values()
    assert " → ".join(map(str, losses)) in README


def test_the_readme_tells_what_the_decoder_study_measured() -> None:
    report = committed("decoder")
    for name, values in report["held_out"]["fidelity"].items():
        assert f"| {name} | {values['psnr']:.1f} dB | {values['ssim']:.3f} |" in README
        assert values["lpips"] is None
    training, steps = report["training"], ("50", "100", "200", "300", "400", "500", "600")
    losses = " | ".join(f"{training['validation_loss'][step]:.3f}" for step in steps)
    assert f"| held-out loss | {losses} |" in README
    psnr = " | ".join(f"{training['validation_psnr'][step]:.1f}" for step in steps)
    assert f"| PSNR against the teacher, dB | {psnr} |" in README
    assert list(training["validation_loss"].values()) == sorted(training["validation_loss"].values(), reverse=True)
    assert set(report["streaming_error"].values()) == {0.0}, "the README says bit for bit"
    (wide, narrow), (many, few) = report["full_size"]["parameters"], report["full_size"]["macs"]
    assert f"{narrow:,} parameters in place of {wide:,}" in README
    for macs in (many, few):
        assert f"{macs / 1e12:.2f}T" in README
    assert f"{report['held_out']['fidelity']['student against teacher']['psnr']:.1f} dB" in FRONT_README


def test_the_card_of_the_shipped_network_tells_what_was_measured() -> None:
    report = committed("shipped_network")
    card = (SHIPPED_DIRECTORY / "README.md").read_text()
    summary, pictures = report["summary"], report["pictures"]
    low, mean, high = sorted(summary["r_mean"])
    assert f"{mean:.3f} [{low:.3f}, {high:.3f}]" in card
    assert f"{report['made_from']['train_steps']:,}, of 4 clips" in card
    assert mean >= 0.9
    assert abs(summary["r_others"][0]) < 0.05
    assert 1 / 1.3 < pictures["sharpness_ratio"] < 1.3
