"""Published sets: the public layout, provenance, versions, and nothing that people have not signed."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import soundfile
import yaml

from bench.__main__ import main
from bench.builder import publishing
from bench.builder.build import Build, lay_out, open_build
from bench.builder.candidates import candidates
from bench.builder.cases import TEMPLATE, add_case
from bench.builder.options import Unsigned
from bench.builder.publishing import publish
from bench.builder.review import write_page
from bench.builder.sign_off import merge_decisions
from bench.samples.samples import read_samples
from infra.storage.files import write_atomically
from tests.bench.builder.conftest import SpecWriter
from tests.bench.builder.test_slot_runner import build, judged
from tests.worlds.builder_servers import RATE_HZ, StandIn
from tests.worlds.reviewers import fill_in

FIELDS = {
    *("gender", "age", "nationality", "speaking_language", "hobbies", "personality"),
    *("message", "source", "cn_prompt", "en_prompt", "main_character"),
}
"""Of the public JSON files."""


@pytest.fixture
def made(tmp_path: Path, served: StandIn, write_spec: SpecWriter) -> Build:
    """Four approved samples, the second at its second attempt; a fifth that was given up."""
    served.faults["verdict", 2, 1] = judged("Six fingers.", approved=False)
    for attempt in (1, 2, 3):
        served.faults["verdict", 5, attempt] = judged("Hopeless.", approved=False)
    return build(tmp_path, write_spec(target=5))


@pytest.fixture
def case(tmp_path: Path) -> Path:
    """A singing case as a person describes it."""
    folder = tmp_path / "real"
    folder.mkdir()
    image = np.random.default_rng(0).integers(0, 255, (16, 16, 3)).astype(np.uint8)
    cv2.imwrite(str(folder / "singer.jpg"), cv2.resize(image, (600, 800)))
    times_s = np.arange(4 * RATE_HZ) / RATE_HZ
    stereo = 0.2 * np.sin(2 * np.pi * np.stack([220 * times_s, 330 * times_s], axis=1))
    soundfile.write(str(folder / "song.flac"), stereo, RATE_HZ)
    (folder / "case.yaml").write_text(TEMPLATE)
    return folder / "case.yaml"


def sign(found: Build, folder: Path, against: dict[str, str] | None = None, decided: str = "2026-01-01") -> None:
    write_page(found)
    fill_in(found.directory.review, folder / f"{decided}.json", "Ada", against or {}, decided)
    merge_decisions(found, [folder / f"{decided}.json"])


def test_from_spec_to_a_set_that_the_benchmark_reads(
    made: Build, case: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = str(made.directory.path)
    assert main(["build", "add", "--build", folder, str(case)]) == 0
    assert main(["build", "add", "--build", folder, str(case)]) == 0
    assert "case.yaml: 0006_human_sing_cn_female is there already" in capsys.readouterr().out
    assert main(["build", "publish", "--build", folder]) == 2
    assert "5 samples are not signed off (0001" in capsys.readouterr().err
    assert main(["build", "review", "--build", folder]) == 0
    ids = list(candidates(open_build(made.directory.path)))
    fill_in(made.directory.review, tmp_path / "ada.json", "Ada", {ids[0]: "audio"})
    assert main(["build", "sign-off", "--build", folder, str(tmp_path / "ada.json")]) == 0
    assert main(["build", "publish", "--build", folder]) == 0
    said = capsys.readouterr().out
    assert "version 1, 4 samples; left out: 1 given up, 1 rejected" in said

    samples = read_samples(made.directory.published / "samples")
    assert list(samples) == ids[1:]
    for sample in samples.values():
        assert sample.image is not None
        assert sample.audio is not None
        assert set(json.loads(sample.image.with_suffix(".json").read_text())) == FIELDS
        assert sample.prompt
        assert sample.prompt_cn
    song = samples["0006_human_sing_cn_female"]
    assert (song.mode, song.duration_s, song.attributes["source"]) == ("sing", 4.0, "where image and sound are from")

    manifest = json.loads((made.directory.published / "manifest.json").read_text())
    for id_, one in manifest["samples"].items():
        assert set(one["files"]) == {f"{id_}.{suffix}" for suffix in ("json", "png", "wav")}
        for name, content in one["files"].items():
            data = (made.directory.published / "samples" / name).read_bytes()
            assert hashlib.sha256(data).hexdigest() == content
        assert (one["signed_by"], one["is_signed"]) == (["Ada"], True)
    told = manifest["samples"][ids[1]]["provenance"]
    assert (told["attempts"], told["failures"]) == (2, ["verdict: rejected (Six fingers.)"])
    assert (told["writer"]["model"], told["verdict"]["model"]) == ("writer-1", "judge-1")
    assert manifest["samples"][song.id]["provenance"]["licence"] == "CC0-1.0"
    assert list(manifest["left_out"]["rejected"]) == [ids[0]]
    assert list(manifest["left_out"]["given_up"].values()) == ["verdict: rejected (Hopeless.)"]


def test_versions(made: Build, case: Path, tmp_path: Path) -> None:
    sign(made, tmp_path)
    out = tmp_path / "set"
    first = publish(made, out)
    assert first.is_new
    assert first.manifest["version"] == 1
    before = {path: path.read_bytes() for path in out.rglob("*.*")}
    again = open_build(made.directory.path)
    assert not publish(again, out).is_new
    assert {path: path.read_bytes() for path in out.rglob("*.*")} == before

    ids = list(candidates(made))
    sign(again, tmp_path, {ids[2]: "text"}, "2026-01-02")
    second = publish(again, out)
    changes = {"since": 1, "added": [], "removed": [ids[2]], "changed": []}
    assert (second.manifest["version"], second.manifest["changes"]) == (2, changes)
    assert set(read_samples(out / "samples")) == set(ids) - {ids[2]}
    assert not list((out / "samples").glob(f"{ids[2]}*"))

    assert main(["build", "add", "--build", str(made.directory.path), str(case)]) == 0
    added = open_build(made.directory.path)
    with pytest.raises(ValueError, match="1 samples are not signed off"):
        publish(added, out)
    assert not publish(added, tmp_path / "set2", Unsigned.LEAVE_OUT).manifest["samples"].keys() & {ids[2]}
    third = publish(added, out, Unsigned.INCLUDE).manifest
    assert third["changes"] == {"since": 2, "added": ["0006_human_sing_cn_female"], "removed": [], "changed": []}
    assert third["samples"]["0006_human_sing_cn_female"]["is_signed"] is False


def test_where_and_how_fast_is_no_new_version(made: Build, tmp_path: Path) -> None:
    publish(made, tmp_path / "set", Unsigned.INCLUDE)
    spec = yaml.safe_load(made.directory.spec.read_text())
    spec["workers"], spec["writer"]["timeout_s"] = 9, 7
    made.directory.spec.write_text(yaml.safe_dump(spec))
    assert not publish(open_build(made.directory.path), tmp_path / "set", Unsigned.INCLUDE).is_new
    spec["writer"]["temperature"] = 0.1
    made.directory.spec.write_text(yaml.safe_dump(spec))
    assert publish(open_build(made.directory.path), tmp_path / "set", Unsigned.INCLUDE).manifest["version"] == 2


def test_a_damaged_set_is_mended_and_a_damaged_source_refused(made: Build, tmp_path: Path) -> None:
    out = tmp_path / "set"
    publish(made, out, Unsigned.INCLUDE)
    candidate = next(iter(candidates(made).values()))
    (out / "samples" / f"{candidate.id}.wav").write_bytes(b"RIFF")
    assert not publish(made, out, Unsigned.INCLUDE).is_new
    assert (out / "samples" / f"{candidate.id}.wav").read_bytes() == candidate.sound.read_bytes()
    candidate.image.write_bytes(b"?")
    with pytest.raises(ValueError, match="is not what it was when it was made"):
        publish(made, tmp_path / "other", Unsigned.INCLUDE)
    candidate.image.unlink()
    with pytest.raises(ValueError, match="cannot be read"):
        publish(made, tmp_path / "other", Unsigned.INCLUDE)


def test_what_a_killed_publishing_left_is_taken_away(
    made: Build, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, ids = tmp_path / "set", list(candidates(made))

    def killed(path: str, data: bytes) -> None:
        if path.endswith("manifest.json"):
            raise KeyboardInterrupt
        write_atomically(path, data)

    with monkeypatch.context() as patched:
        patched.setattr(publishing, "write_atomically", killed)
        with pytest.raises(KeyboardInterrupt):
            publish(made, out, Unsigned.INCLUDE)
    assert len(read_samples(out / "samples")) == 4
    sign(made, tmp_path, {ids[0]: "audio"})
    assert publish(made, out).manifest["version"] == 1
    assert list(read_samples(out / "samples")) == ids[1:]
    assert {path.name for path in out.iterdir()} == {"manifest.json", "samples"}


def test_another_set_is_not_written_over(made: Build, tmp_path: Path) -> None:
    out = tmp_path / "set"
    out.mkdir()
    (out / "manifest.json").write_text("{}")
    with pytest.raises(ValueError, match="is not the manifest of a set"):
        publish(made, out, Unsigned.INCLUDE)
    (out / "manifest.json").write_text('{"spec": {"plan": "abc"}, "version": 1, "samples": {}}')
    with pytest.raises(ValueError, match="of another build"):
        publish(made, out, Unsigned.INCLUDE)
    (out / "manifest.json").unlink()
    (out / "samples").mkdir()
    (out / "samples" / "0036_human_talk_en_male.json").write_text("{}")
    with pytest.raises(ValueError, match="holds 0036_human_talk_en_male, which is not of this set"):
        publish(made, out, Unsigned.INCLUDE)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("licence: CC0-1.0", "licence: ''"), "licence must not be empty"),
        (("licence: CC0-1.0", "license: CC0-1.0"), "unknown key 'license', did you mean 'licence'?"),
        (("category: human", "category: cat"), "category: Input should be 'human' or 'comic'"),
        (("singer.jpg", "nobody.jpg"), "nobody.jpg: No such file or directory"),
        (("singer.jpg", "case.yaml"), "case.yaml: .* bytes that cannot be decoded"),
        (("singer.jpg", "small.png"), "small.png: the image is too small"),
        (("song.flac", "silence.wav"), "silence.wav: the sound is silent"),
        (("song.flac", "singer.jpg"), "singer.jpg: cannot be decoded"),
    ],
)
def test_mistakes_in_a_case(
    change: tuple[str, str], message: str, case: Path, tmp_path: Path, write_spec: SpecWriter
) -> None:
    made = lay_out(tmp_path / "build", write_spec())
    cv2.imwrite(str(case.parent / "small.png"), np.eye(100, dtype=np.uint8) * 255)
    soundfile.write(str(case.parent / "silence.wav"), np.zeros(RATE_HZ), RATE_HZ)
    case.write_text(TEMPLATE.replace(*change))
    with pytest.raises(ValueError, match=message):
        add_case(made, case)
    assert not open_build(made.directory.path).state.cases
