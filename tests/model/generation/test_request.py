import http.server
import json
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from PIL import Image

from model.codecs.image import MAX_SIDE, choose_size
from model.generation.pipeline import SoulPipeline
from model.generation.request import Sampling, check_new_directory, check_out, parse_size
from model.weights import files as weights
from tests.worlds.pipelines import noise, picture, write_wav


@pytest.mark.parametrize(
    ("size", "message"),
    [
        ("100x64", "width 100 is not divisible by 32, the nearest that is: 96"),
        ("64x0", "height 0 is not divisible"),
        ("-64x64", "WIDTHxHEIGHT"),
        ("64", "WIDTHxHEIGHT"),
        ("²x64", "WIDTHxHEIGHT"),
        (f"{'9' * 5000}x64", "WIDTHxHEIGHT"),
        (f"{MAX_SIDE + 32}x64", "more than the network has positions for: at most 32768"),
    ],
)
def test_a_size_that_cannot_be_is_refused(size: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse_size(size, None)


@pytest.mark.parametrize(
    ("area", "message"),
    [
        ("4k", "--area must be 720p, 1080p or a number"),
        ("-5", "--area must be"),
        ("1000", "at least 32x32"),
        ("999999999", "frames of one clip take 609 GiB, this machine has 32"),
    ],
)
def test_an_area_that_cannot_be_is_refused(monkeypatch: pytest.MonkeyPatch, area: str, message: str) -> None:
    monkeypatch.setattr("os.sysconf", {"SC_PAGE_SIZE": 4096, "SC_PHYS_PAGES": 2**23}.get)
    with pytest.raises(ValueError, match=message):
        parse_size(None, area)


def test_a_size_that_memory_does_not_hold_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.sysconf", {"SC_PAGE_SIZE": 4096, "SC_PHYS_PAGES": 2**23}.get)
    image = Image.new("RGB", (64, 64))
    assert choose_size(image, height=1088, width=1920, area=None, default_area=0) == (1088, 1920)
    with pytest.raises(ValueError, match="8192x8192 is too large: the frames of one clip take 41 GiB"):
        choose_size(image, height=8192, width=8192, area=None, default_area=0)
    thread = Image.new("RGB", (60_000, 1))
    with pytest.raises(ValueError, match="more than the network has positions for"):
        choose_size(thread, height=None, width=None, area=None, default_area=704 * 1280)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"seed": 2**63}, "--seed must lie in"),
        ({"steps": 0}, "--steps must be at least 1"),
        ({"steps": 1001}, "at most 1000, got 1001"),
        ({"guidance_scale": float("nan")}, "--guidance-scale must be a number"),
        ({"audio_guidance_scale": float("inf")}, "--audio-guidance-scale must be a number"),
        ({"threshold": -1.0}, "--threshold is a distance"),
        ({"threshold": float("nan")}, "--threshold is a distance"),
        ({"percentile": 101.0}, "--percentile must lie in"),
    ],
)
def test_numbers_that_cannot_be_are_refused(wrong: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Sampling(**wrong)  # type: ignore[arg-type]


def test_where_no_video_can_be_written_is_told(tmp_path: Path) -> None:
    check_out(tmp_path / "out.mp4")
    assert not list(tmp_path.iterdir()), "nothing is left behind"
    (tmp_path / "folder.mp4").mkdir()
    for out, message in (
        (tmp_path / "out.avi", r"must end in \.mp4"),
        (tmp_path / "absent" / "out.mp4", "no such directory"),
        (tmp_path / "folder.mp4", "is a directory"),
        (Path("/proc/out.mp4"), "cannot write in /proc: "),
    ):
        with pytest.raises(ValueError, match=message):
            check_out(out)
    (tmp_path / "file").touch()
    for out, message in (
        (tmp_path / "file", "exists and is not empty"),
        (tmp_path, "exists and is not empty"),
        (tmp_path / "file" / "model", "not a directory"),
        (Path("/proc/model"), "cannot write in /proc"),
    ):
        with pytest.raises(ValueError, match=message):
            check_new_directory(out)
    check_new_directory(tmp_path / "new" / "model")


def test_a_full_disk_is_told_before_anything_is_loaded(tmp_path: Path) -> None:
    script = f"""
import resource, signal
from pathlib import Path
from model.generation.request import check_out
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
try:
    check_out(Path({str(tmp_path / "out.mp4")!r}))
except ValueError as error:
    print(error)
"""
    told = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert told.stdout == f"--out: cannot write in {tmp_path}: File too large\n"


MISTAKES: dict[str, tuple[dict[str, str], str]] = {
    "no image": ({"image": "absent.png"}, "no such image"),
    "a directory for an image": ({"image": "."}, "is not a file"),
    "not an image": ({"image": "text.png"}, "not an image"),
    "no audio": ({"audio": "absent.wav"}, "no such audio file"),
    "a directory for audio": ({"audio": "."}, "is not a file"),
    "not audio": ({"audio": "text.png"}, "no audio stream"),
    "no codebook": ({"codebook": "absent.safetensors"}, "no such codebook"),
    "no size": ({"size": "100x64"}, "not divisible by 32"),
    "no folder": ({"out": "absent/out.mp4"}, "no such directory"),
    "no seed": ({"seed": "99999999999999999999"}, "--seed"),
}


def test_mistakes_are_told_before_torch_is_imported(tmp_path: Path) -> None:
    picture().save(tmp_path / "portrait.png")
    write_wav(tmp_path / "speech.wav", noise(1.0))
    (tmp_path / "text.png").write_text("hello")
    right = {"model": "tiny", "image": "portrait.png", "audio": "speech.wav", "prompt": "x", "out": "out.mp4"}
    commands = {
        name: ["generate", *(word for key, value in (right | changes).items() for word in (f"--{key}", value))]
        for name, (changes, _) in MISTAKES.items()
    }
    # One process for all of them: what it has imported after the last, it had not before.
    script = f"""
import contextlib, io, json, sys
sys.path.insert(0, {str(Path.cwd())!r})
from model.__main__ import main
told = {{}}
for name, words in {commands!r}.items():
    with contextlib.redirect_stderr(io.StringIO()) as errors:
        try:
            status = main(words)
        except SystemExit as stop:
            status = stop.code
    told[name] = status, "torch" in sys.modules, errors.getvalue()
print(json.dumps(told))
"""
    answer = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=tmp_path)
    told = json.loads(answer.stdout)
    assert told.keys() == MISTAKES.keys()
    for name, (_, message) in MISTAKES.items():
        status, imported, errors = told[name]
        assert (status, imported) == (2, False), name
        assert message in errors, name
        assert "Traceback" not in errors, name
    assert "Traceback" not in answer.stderr


@pytest.mark.parametrize(
    "source",
    ["/absent/model", "./model", "../absent", "~/absent", "a/b/c", "runs/local/model", "here/model", "x/", "x"],
)
def test_a_missing_directory_is_never_looked_up_on_the_hub(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str
) -> None:
    def ask(*_: object, **__: object) -> None:
        raise AssertionError("the Hub was asked")

    monkeypatch.setattr(weights, "snapshot_download", ask)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "here").mkdir()
    for load in (weights.locate, SoulPipeline.from_pretrained):
        with pytest.raises(ValueError, match="no such directory"):
            load(source)


def test_a_hub_that_does_not_answer_is_one_line(tmp_path: Path) -> None:
    answers = {"a": (500, b""), "b": (404, b""), "c": (200, b"hello"), "d": (200, b"{}"), "e": (0, b"")}
    asked: list[str] = []

    class Hub(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            (name,) = (name for name in answers if f"owner/{name}/" in f"{self.path}/")
            asked.append(name)
            status, answer = answers[name]
            if status:
                self.send_response(status)
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hub) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        script = (
            "from model.weights.files import locate\n"
            f"for name in {[*answers]!r}:\n"
            "    try: locate(f'owner/{name}')\n"
            "    except ValueError as error: print(error)"
        )
        told = subprocess.run(
            [sys.executable, "-c", script],
            capture_output=True,
            text=True,
            check=False,
            env={
                "PYTHONPATH": ".",
                "HF_ENDPOINT": f"http://127.0.0.1:{server.server_address[1]}",
                "HF_HUB_CACHE": str(tmp_path),
            },
        )
        server.shutdown()
    assert set(asked) == set(answers)
    lines = told.stdout.splitlines()
    assert len(lines) == len(answers)
    for name, line in zip(answers, lines, strict=True):
        assert line.startswith(f"owner/{name}: neither a directory nor a model that the Hub gives: ")
    assert told.returncode == 0
