"""`--help` and mistakes of every command load nothing heavy: people wait for no library to be told what they typed."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

import bench.__main__
import curation.__main__
import serving.__main__
import training.__main__
from tests.paths import ROOT

HEAVY = (
    *("torch", "ray", "diffusers", "transformers", "accelerate", "deepspeed", "av", "cv2", "pyarrow", "scenedetect"),
    *("numpy", "scipy", "skimage", "faiss", "librosa", "soundfile", "matplotlib", "dlib", "onnxruntime", "rapidocr"),
    *("fsspec", "s3fs", "webdataset", "tensorboard", "jinja2"),
)

COMMANDS = (
    *(("curation", name) for name in curation.__main__.COMMANDS),
    *(("training", name) for name in training.__main__.COMMANDS),
    *(("model", name) for name in ("generate", "convert", "info")),
    *(("serving", name) for name in serving.__main__.COMMANDS),
    *(("bench", name) for name in bench.__main__.COMMANDS),
    *(("bench", "build", name) for name in ("plan", "run", "review", "sign-off", "add", "publish", "status")),
    *(("bench", "human-study", name) for name in ("make", "merge")),
    *((part,) for part in ("curation", "training", "model", "serving", "bench")),
)

ALONE = tuple(
    (f"bench.{room}.{path.stem}",)
    for room in ("speed", "studies")
    for path in sorted((ROOT / "bench" / room).glob("*.py"))
    if '__name__ == "__main__"' in path.read_text()
)
"""Modules that are one command each, by themselves."""

ASK = """
import contextlib, io, json, runpy, sys
told, commands, heavy = [], json.loads(sys.argv[1]), sys.argv[2].split()
for command in commands:
    sys.argv[1:] = command[1:]
    said, errors = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(errors):
        try:
            runpy.run_module(command[0], run_name="__main__", alter_sys=True)
        except SystemExit as end:
            status = end.code
    loaded = [name for name in heavy if name in sys.modules]
    told.append([status, said.getvalue(), errors.getvalue(), loaded])
print(json.dumps(told))
"""


def ask(*commands: tuple[str, ...]) -> list[tuple[int, str, str, list[str]]]:
    """What each command line ends with, says and has loaded by then, one after the other in a fresh process."""
    words = [sys.executable, "-c", ASK, json.dumps(commands), " ".join(HEAVY)]
    made = subprocess.run(words, cwd=ROOT, check=True, capture_output=True, text=True, timeout=120)
    return [(status, said, errors, loaded) for status, said, errors, loaded in json.loads(made.stdout)]


def test_help_of_every_command_loads_nothing_heavy() -> None:
    answers = ask(*((*command, "--help") for command in (*COMMANDS, *ALONE)))
    for command, (status, said, errors, loaded) in zip((*COMMANDS, *ALONE), answers, strict=True):
        assert (status, errors, loaded) == (0, "", []), command
        assert said.startswith(f"usage: python -m {' '.join(command)} "), command


@pytest.fixture
def image(tmp_path: Path) -> str:
    (tmp_path / "face.png").write_bytes(b"")
    return str(tmp_path / "face.png")


def test_mistakes_are_one_line_before_anything_heavy_is_loaded(tmp_path: Path, image: str) -> None:
    samples, gone = str(tmp_path), str(tmp_path / "gone")
    speak = ("--prompt", "p", "--out", "x.mp4")
    cases = {
        ("curation",): "give a command first: plan, doctor, run",
        ("curation", "rnu"): "no command 'rnu', did you mean 'run'",
        ("curation", "run", "--profle=x"): "unrecognized arguments: --profle=x (did you mean --profile?)",
        ("curation", "report", "--run", gone): f"{gone} is not a run directory",
        ("curation", "encode", "--run", gone, "--stage", "720p"): f"{gone} is not a run directory",
        (
            "curation",
            "encode",
            "--run",
            samples,
            "--stage",
            "720p",
            "--model",
            gone,
        ): f"--model: {gone}: no such directory",
        ("training", "run", "--stage", "710p"): "--stage: unknown stage '710p', did you mean '720p'?",
        ("training", "run", "--stage", "720p", "--run", gone): f"{gone} is not a run directory",
        ("training", "run", "--stage", "720p", "--model", gone): f"--model: {gone}: no such directory",
        ("training", "negatives", "--stage", "720p", "--model", gone): f"--model: {gone}: no such directory",
        ("model", "generate", "--image", gone, "--audio", image): f"--image: no such image: {gone}",
        ("model", "generate", "--image", image, "--audio", gone): f"--audio: no such audio file: {gone}",
        (
            *("model", "generate", "--model", gone, "--image", image, "--audio", image, *speak),
        ): f"--model: {gone}: no such directory; train first (`make train`), or give `pretrained`",
        ("model", "convert", gone, "--out", "x"): f"wan: {gone}: no such directory",
        ("model", "convert"): "the following arguments are required",
        ("model", "generate", "--seed", "x"): "--seed: invalid int value: 'x'",
        ("serving", "serve", "--model", gone): f"--model: {gone}: no such directory; train first",
        ("serving", "serve", "--prot", "1"): "unrecognized arguments: --prot 1 (did you mean --port?)",
        ("bench", "evaluate", "--samples", gone): f"--samples: no such directory: {gone}",
        ("bench", "generate", "--samples", gone): f"--samples: no such directory: {gone}",
        ("bench", "generate", "--samples", samples, "--model", gone): f"--model: {gone}: no such directory",
        ("bench", "efficiency", "--model", gone): f"--model: {gone}: no such directory",
        ("bench", "build", "plan"): "the following arguments are required: --build; see python -m bench build plan",
        ("bench.studies.drift", "--clips", "2"): "the following arguments are required: --model",
        ("bench.studies.lip_sync", "--vidoes=2"): "unrecognized arguments: --vidoes=2 (did you mean --videos?)",
        ("bench.speed.block", "--width", "x"): "--width: invalid int value: 'x'",
    }
    for command, (status, said, errors, loaded) in zip(cases, ask(*cases), strict=True):
        assert (status, said, loaded) == (2, "", []), command
        assert errors.startswith("soul: "), errors
        assert errors.count("\n") == 1, errors
        assert cases[command] in errors, command


def test_a_missing_input_is_told_before_ray_and_torch_are_loaded(tmp_path: Path) -> None:
    gone = str(tmp_path / "gone")
    ((status, _, errors, loaded),) = ask(("curation", "run", gone, "--run", str(tmp_path / "run")))
    assert (status, errors) == (2, f"soul: no such file or directory: {gone}\n")
    assert not {"ray", "torch", "diffusers", "transformers"} & set(loaded)
    assert not (tmp_path / "run").exists()


def test_no_console_takes_a_name_for_markup() -> None:
    for path in sorted(
        each for part in ("model", "curation", "training", "serving", "bench") for each in Path(part).rglob("*.py")
    ):
        for line in path.read_text().splitlines():
            assert "Console(" not in line or "markup=False" in line or "class " in line, f"{path}: {line.strip()}"
