import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from PIL import Image

from model.__main__ import main
from model.media.video_codec import CODECS
from model.pretrained.model_parts import ModelParts
from tests.worlds.pipelines import click, make_codebook, noise, picture, small_pipeline, write_wav


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("inputs")
    picture().save(folder / "portrait.png")
    Image.new("RGB", (20_000, 1)).save(folder / "thread.png")
    write_wav(folder / "speech.wav", noise(5.0))
    write_wav(folder / "silent.wav", torch.zeros(16_000))
    write_wav(folder / "empty.wav", torch.zeros(0))
    write_wav(folder / "click.wav", click(1.0, 0.5).numpy(), 16_000)
    (folder / "text.txt").write_text("hello")
    make_codebook().save(folder / "codebook.safetensors")
    pipeline = small_pipeline()
    pipeline.save_pretrained(folder / "model")
    return folder


def generate(inputs: Path, out: Path, *more: str, **changes: str) -> int:
    chosen = {
        "model": str(inputs / "model"),
        "image": str(inputs / "portrait.png"),
        "audio": str(inputs / "speech.wav"),
        "prompt": "a person speaks",
        "out": str(out),
    } | changes
    return main(["generate", *(word for key, value in chosen.items() for word in (f"--{key}", value)), *more])


def test_a_video_with_its_sound_is_written(inputs: Path, tmp_path: Path) -> None:
    codebook = str(inputs / "codebook.safetensors")
    assert generate(inputs, tmp_path / "out.mp4", "--codebook", codebook, "--percentile", "50") == 0
    with av.open(str(tmp_path / "out.mp4")) as container:
        video = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    assert len(video) == 125
    assert video[0].shape == (64, 64, 3)
    with av.open(str(tmp_path / "out.mp4")) as container:
        audio = container.streams.audio[0]
        assert audio.duration * audio.time_base == 5


def test_long_videos_without_a_codebook_are_told(
    inputs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    short = write_wav(tmp_path / "short.wav", noise(0.2))
    for audio, more, is_told in (
        (inputs / "speech.wav", (), True),
        (inputs / "speech.wav", ("--codebook", str(inputs / "codebook.safetensors")), False),
        (short, (), False),
    ):
        assert generate(inputs, tmp_path / "out.mp4", "--steps", "1", *more, audio=str(audio)) == 0
        assert ("no codebook: overlaps are not clamped" in capsys.readouterr().err) is is_told


def test_the_sound_of_the_video_is_where_it_was(inputs: Path, tmp_path: Path) -> None:
    assert generate(inputs, tmp_path / "out.mp4", audio=str(inputs / "click.wav")) == 0
    with av.open(str(tmp_path / "out.mp4")) as container:
        sound = np.concatenate([frame.to_ndarray() for frame in container.decode(audio=0)], axis=1)
    assert int(np.abs(sound[0]).argmax()) == 8_000


def test_the_random_preset_runs(inputs: Path, tmp_path: Path) -> None:
    options = ("--steps", "1", "--guidance-scale", "1", "--size", "64x32")
    short = write_wav(tmp_path / "short.wav", noise(0.2))
    assert generate(inputs, tmp_path / "out.mp4", *options, model="tiny", audio=str(short)) == 0
    with av.open(str(tmp_path / "out.mp4")) as container:
        stream = container.streams.video[0]
        assert (stream.width, stream.height) == (64, 32)
        assert len(list(container.decode(video=0))) == 5


@pytest.mark.parametrize("name", ["a [red]b.mp4", "[/x].mp4"])
def test_names_are_no_markup(inputs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str) -> None:
    short = write_wav(tmp_path / "short.wav", noise(0.2))
    (tmp_path / name).parent.mkdir(exist_ok=True)
    options = ("--steps", "1", "--size", "64x32")
    assert generate(inputs, tmp_path / name, *options, model="tiny", audio=str(short)) == 0
    assert f"{tmp_path / name}: 5 frames, 0.20 s, 64x32\n" in capsys.readouterr().err


@pytest.mark.parametrize(("steps", "image"), [("9" * 20, "portrait.png"), ("1", "thread.png")])
def test_what_cannot_be_is_refused_before_the_model_is_loaded(
    inputs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, steps: str, image: str
) -> None:
    monkeypatch.setattr("model.pretrained.model_parts.ModelParts.load", lambda _: pytest.fail("it was loaded"))
    more = ("--steps", steps)
    assert generate(inputs, tmp_path / "out.mp4", *more, model="tiny", image=str(inputs / image)) == 2
    assert ModelParts(model=str(inputs / "model")).default_area() == small_pipeline().config.area


@pytest.mark.slow
def test_two_processes_share_the_clips_and_write_one_video(inputs: Path, tmp_path: Path) -> None:
    assert generate(inputs, tmp_path / "one.mp4") == 0
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    words = ["-m", "model", "generate", "--model", inputs / "model", "--image", inputs / "portrait.png"]
    words += ["--audio", inputs / "speech.wav", "--prompt", "a person speaks", "--out", tmp_path / "two.mp4"]
    subprocess.run([*launch, *map(str, words)], check=True, capture_output=True, timeout=500)
    one, two = (frames_of(tmp_path / name).astype(int) for name in ("one.mp4", "two.mp4"))
    assert one.shape == two.shape == (125, 64, 64, 3)
    # Sums in another order, then H.264: a few levels here and there.
    assert np.abs(one - two).mean() < 1


def frames_of(path: Path) -> np.ndarray:
    with av.open(str(path)) as container:
        return np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)])


MISTAKES: dict[str, tuple[Callable[[Path], dict[str, str]], tuple[str, ...], str]] = {
    "no image": (lambda d: {"image": str(d / "absent.png")}, (), "no such image"),
    "not an image": (lambda d: {"image": str(d / "text.txt")}, (), "not an image"),
    "no audio": (lambda d: {"audio": str(d / "absent.wav")}, (), "no such audio file"),
    "not audio": (lambda d: {"audio": str(d / "text.txt")}, (), "cannot be read as audio"),
    "a picture for audio": (lambda d: {"audio": str(d / "portrait.png")}, (), "no audio stream"),
    "silent": (lambda d: {"audio": str(d / "silent.wav")}, (), "silent"),
    "0 s": (lambda d: {"audio": str(d / "empty.wav")}, (), "lasts 0 s"),
    "no model": (lambda d: {"model": str(d / "absent")}, (), "no such directory"),
    "random weights of the large preset": (lambda d: {"model": "soul-5b"}, (), "give a directory"),
    "no codebook": (lambda d: {}, ("--codebook", "/absent.safetensors"), "no such codebook"),
    "side not divisible": (lambda d: {}, ("--size", "100x64"), "width 100 is not divisible by 32"),
    "no size": (lambda d: {}, ("--size", "wide"), "WIDTHxHEIGHT"),
    "no area": (lambda d: {}, ("--area", "4k"), "--area must be 720p, 1080p"),
    "negative steps": (lambda d: {}, ("--steps", "-3"), "--steps must be at least 1"),
    "zero steps": (lambda d: {}, ("--steps", "0"), "--steps must be at least 1"),
    "endless steps": (lambda d: {}, ("--steps", "9" * 20), "--steps must be at least 1 and at most 1000"),
    "a thread for image": (lambda d: {"image": str(d / "thread.png")}, ("--area", "720p"), "--image is 20000x1: "),
    "a directory for image": (lambda d: {"image": str(d)}, (), "is not a file"),
    "a directory for audio": (lambda d: {"audio": str(d)}, (), "is not a file"),
    "nothing for image": (lambda d: {"image": ""}, (), "--image: it is empty: name an image"),
    "nothing for audio": (lambda d: {"audio": ""}, (), "--audio: it is empty: name an audio file"),
    "threshold without codebook": (lambda d: {}, ("--threshold", "1"), "needs a codebook"),
    "not an mp4": (lambda d: {"out": str(d / "out.avi")}, (), "must end in .mp4"),
    "no folder": (lambda d: {"out": str(d / "absent" / "out.mp4")}, (), "no such directory"),
    "no device": (lambda d: {}, ("--device", "cuda:99"), "--device cuda:99"),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_gives_one_clear_line(
    inputs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    change, more, message = MISTAKES[name]
    changes = {"out": str(tmp_path / "out.mp4")} | change(inputs)
    out = Path(changes.pop("out"))
    assert generate(inputs, out, *more, **changes) == 2
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("soul: ")]
    assert message in line
    assert not out.exists()


def test_a_codec_that_cannot_be_used_is_told_and_replaced(
    inputs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    # As on a machine without NVIDIA's driver, which this one may have.
    absent = replace(CODECS["h264_nvenc"], encoder="h264_crystal")
    monkeypatch.setitem(CODECS, "h264_nvenc", absent)
    short = write_wav(tmp_path / "short.wav", noise(0.2))
    options = ("--steps", "1", "--video-codec", "h264_nvenc", "--no-overlap", "--vae-dtype", "bfloat16")
    assert generate(inputs, tmp_path / "out.mp4", *options, audio=str(short)) == 0
    told = "--video-codec h264_nvenc: PyAV's FFmpeg has no such encoder: the video is written with h264\n"
    assert told in capsys.readouterr().err
    assert len(frames_of(tmp_path / "out.mp4")) == 5


def test_help_and_mistakes_of_a_fresh_process() -> None:
    shown = subprocess.run(
        [sys.executable, "-m", "model", "generate", "--help"], capture_output=True, text=True, check=False
    )
    assert shown.returncode == 0
    assert "--negative-prompt" in shown.stdout
    wrong = subprocess.run(
        [sys.executable, "-m", "model", "info", "--steps", "x"], capture_output=True, text=True, check=False
    )
    assert wrong.returncode == 2
    assert "Traceback" not in wrong.stderr


def test_info_tells_the_cost_of_the_papers_model(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["info", "--size", "1280x704", "--seconds", "10"]) == 0
    text = capsys.readouterr().out
    assert "1280x704, 250 frames, 3 clips" in text
    assert "704,688,668" in text
    assert "24,640 a clip" in text
    assert "66.352 for four frames" in text
    assert main(["info", "--size", "1280x720"]) == 2
    assert "height 720 is not divisible by 32" in capsys.readouterr().err
    assert main(["info", "--preset", "tinny"]) == 2
    assert "did you mean 'tiny'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (("--seconds", "1e300"), "no longer than 1,000,000,000 s"),
        (("--seconds", "inf"), "no longer than"),
        (("--seconds", "0"), "must last longer than 0 s"),
        (("--steps", "0"), "--steps must be at least 1"),
        (("--steps", "9" * 400), "--steps must be at least 1 and at most 1000"),
    ],
)
def test_costs_that_cannot_be_are_refused(
    capsys: pytest.CaptureFixture[str], more: tuple[str, ...], message: str
) -> None:
    assert main(["info", "--preset", "tiny", *more]) == 2
    said = capsys.readouterr().err
    assert message in said
    assert said.count("\n") == 1


def test_what_makes_it_faster_is_told(inputs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    short = write_wav(tmp_path / "short.wav", noise(0.2))
    options = ("--steps", "4", "--cache", "first-block:1000", "--attention", "_native_math")
    assert generate(inputs, tmp_path / "out.mp4", *options, audio=str(short)) == 0
    told = capsys.readouterr().err
    assert "attention  _native_math\n" in told
    assert "compile" not in told
    assert re.search(r"cache      skipped [1-9]\d% of the blocks\n", told)


def test_network_and_decoder_are_compiled_where_asked_for(
    inputs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    compiled: list[str] = []
    for name in ("compile_blocks", "compile_decoder"):
        monkeypatch.setattr(
            f"model.generation.acceleration.{name}",
            lambda part, name=name: compiled.append(f"{name} {type(part).__name__}"),
        )
    short = write_wav(tmp_path / "short.wav", noise(0.2))
    expected = {
        "none": [],
        "auto": [],
        "blocks": ["compile_blocks SoulTransformer3DModel"],
        "all": ["compile_blocks SoulTransformer3DModel", "compile_decoder PatchDCTCodec"],
    }
    for choice, parts in expected.items():
        compiled.clear()
        options = ("--steps", "1", "--compile", choice)
        assert generate(inputs, tmp_path / "out.mp4", *options, audio=str(short)) == 0
        assert compiled == parts
        assert capsys.readouterr().err.count("compile    ") == len(parts)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--attention", "flash"), "attention flash: .*install `flash-attn>=.*; what works here: native"),
        (("--attention", "fast"), "attention fast: there is no such backend; what works here: native"),
        (("--quantization", "fp8"), "fp8 stands in for bfloat16, and the network is in float32"),
        (("--cache", "last-block"), "--cache last-block: choose first-block"),
    ],
)
def test_what_cannot_make_it_faster_is_one_line(
    inputs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], options: tuple[str, str], message: str
) -> None:
    short = write_wav(tmp_path / "short.wav", noise(0.2))
    assert generate(inputs, tmp_path / "out.mp4", *options, audio=str(short)) == 2
    assert re.search(message, capsys.readouterr().err)
    assert not (tmp_path / "out.mp4").exists()


def test_processes_that_share_a_clip_have_no_step_cache(
    inputs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert generate(inputs, tmp_path / "out.mp4", "--cache", "first-block") == 2
    assert "--cache first-block:0.05: processes that share a clip would not skip" in capsys.readouterr().err
