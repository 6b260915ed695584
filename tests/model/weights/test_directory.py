import json
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from model import Codebook, SoulTransformer3DModel
from model.generation.pipeline import SoulPipeline
from model.pretrained.assemble import build_pipeline
from model.weights.directory import fingerprint
from model.weights.wan_export import export_wan
from tests.worlds.fresh_process import answer_of
from tests.worlds.pipelines import asked, make_codebook, noise, small_pipeline

WEIGHTS = "diffusion_pytorch_model.safetensors"


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    pipeline = small_pipeline()
    pipeline.codebook = make_codebook()
    pipeline.save_pretrained(tmp_path / "model")
    return tmp_path / "model"


def video_of(directory: str) -> tuple[tuple[int, ...], int]:
    """Shape and sum of the frames of a video by the model in a directory."""
    torch.set_num_threads(1)
    pipeline = SoulPipeline.from_pretrained(directory)
    assert isinstance(pipeline.codebook, Codebook)
    assert isinstance(pipeline.transformer, SoulTransformer3DModel)
    frames = pipeline(asked(audio=noise(5.0))).frames
    return frames.shape, int(frames.astype(int).sum())


def test_a_directory_loads_in_a_fresh_process_and_makes_the_same_video(directory: Path) -> None:
    pipeline = small_pipeline()
    pipeline.codebook = make_codebook()
    frames = pipeline(asked(audio=noise(5.0))).frames
    assert answer_of(video_of, str(directory)) == (frames.shape, int(frames.astype(int).sum()))


def test_defaults_and_weights_come_back(directory: Path) -> None:
    saved = small_pipeline()
    loaded = SoulPipeline.from_pretrained(directory)
    assert (loaded.config.num_inference_steps, loaded.config.guidance_scale) == (1, 1.0)
    weights = saved.transformer.state_dict()
    assert all(torch.equal(tensor, weights[key]) for key, tensor in loaded.transformer.state_dict().items())
    assert loaded.codebook is not None
    assert torch.equal(loaded.codebook.centroids, make_codebook().centroids)


def test_a_directory_does_not_depend_on_where_our_files_lay(directory: Path) -> None:
    written = json.loads((directory / "model_index.json").read_text())
    edit_json(
        directory / "model_index.json",
        lambda c: c.update(
            transformer=["model.transformer", "SoulTransformer3DModel"],
            vae=["model.codec", "PatchDCTCodec"],
            audio_encoder=["model.audio_encoders", "LogMelAudioEncoder"],
            text_encoder=["model.text", "HashedTextEncoder"],
        ),
    )
    loaded = SoulPipeline.from_pretrained(directory)
    loaded.save_pretrained(directory / "again")
    again = json.loads((directory / "again" / "model_index.json").read_text())
    assert {name: again[name] for name in written} == written


def test_half_precision_keeps_modulation_in_fp32(directory: Path) -> None:
    loaded = SoulPipeline.from_pretrained(directory, dtype=torch.bfloat16)
    assert loaded.transformer.dtype == torch.bfloat16
    assert loaded.transformer.scale_shift_table.dtype == torch.float32
    frames = loaded(asked(audio=noise(0.5), prompt="")).frames
    assert frames.shape == (13, 64, 64, 3)
    assert np.ptp(frames[1:]) > 50


def edit_json(file: Path, change: Callable[[dict[str, object]], object]) -> None:
    content = json.loads(file.read_text())
    change(content)
    file.write_text(json.dumps(content))


def edit_weights(directory: Path, change: Callable[[dict[str, torch.Tensor]], object]) -> None:
    file = directory / "transformer" / WEIGHTS
    tensors = load_file(file)
    change(tensors)
    save_file(tensors, file)


BREAKS: dict[str, tuple[Callable[[Path], object], str]] = {
    "no index": (lambda d: (d / "model_index.json").unlink(), r"model_index.json: no such file"),
    "index is not JSON": (lambda d: (d / "model_index.json").write_text("{"), "model_index.json: not JSON"),
    "another pipeline": (
        lambda d: edit_json(d / "model_index.json", lambda c: c.update(_class_name="WanPipeline")),
        "describes a WanPipeline",
    ),
    "no component": (lambda d: (d / "vae").rename(d.parent / "vae"), "no vae/"),
    "unknown class": (
        lambda d: edit_json(d / "model_index.json", lambda c: c.update(vae=["model.codecs.patch_dct", "Codec"])),
        "has no Codec",
    ),
    "no config": (
        lambda d: (d / "transformer" / "config.json").unlink(),
        "transformer/config.json: no such file",
    ),
    "no weights": (lambda d: (d / "transformer" / WEIGHTS).unlink(), f"transformer/{WEIGHTS}: no such file"),
    "cut weights": (
        lambda d: (d / "transformer" / WEIGHTS).write_bytes((d / "transformer" / WEIGHTS).read_bytes()[:100_000]),
        "not a whole safetensors file",
    ),
    "missing key": (
        lambda d: edit_weights(d, lambda t: t.pop("proj_out.weight")),
        "missing key 'proj_out.weight'",
    ),
    "unknown key": (
        lambda d: edit_weights(d, lambda t: t.update(extra=torch.zeros(1))),
        "unknown key 'extra'",
    ),
    "wrong shape": (
        lambda d: edit_weights(d, lambda t: t.update({"proj_out.bias": torch.zeros(3)})),
        r"'proj_out.bias' has shape \(3,\), expected \(192,\)",
    ),
    "broken codebook": (lambda d: (d / "codebook.safetensors").write_text("x"), "not a safetensors file"),
}


@pytest.mark.parametrize("name", BREAKS)
def test_a_broken_directory_gives_one_clear_line(directory: Path, name: str) -> None:
    damage, message = BREAKS[name]
    damage(directory)
    with pytest.raises(ValueError, match=message) as error:
        SoulPipeline.from_pretrained(directory)
    assert "\n" not in str(error.value)


def test_what_is_no_directory_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no such directory"):
        SoulPipeline.from_pretrained(tmp_path / "absent")
    (tmp_path / "file").write_text("x")
    with pytest.raises(ValueError, match="a file, not a directory"):
        SoulPipeline.from_pretrained(tmp_path / "file")
    with pytest.raises(ValueError, match="did you mean 'tiny'"):
        build_pipeline("tinny")


def test_a_fingerprint_follows_the_contents_and_not_the_place(directory: Path, tmp_path: Path) -> None:
    before = fingerprint(directory)
    directory = directory.rename(tmp_path / "elsewhere")
    assert fingerprint(directory) == before
    file = directory / "transformer" / WEIGHTS
    weights = load_file(file)
    name = next(iter(weights))
    save_file(weights | {name: weights[name] + 1e-3}, file)
    assert fingerprint(directory) != before


def test_a_fingerprint_of_a_large_file_sees_what_training_changes(tmp_path: Path) -> None:
    values = np.random.default_rng(0).normal(size=5_000_000).astype(np.float32)
    (tmp_path / "model.safetensors").write_bytes(values.tobytes())
    before = fingerprint(tmp_path)
    (tmp_path / "model.safetensors").write_bytes((values * np.float32(1.0001)).tobytes())
    assert fingerprint(tmp_path) != before


@pytest.mark.parametrize("umask", [0o022, 0o007])
def test_others_may_read_what_the_umask_allows(tmp_path: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        pipeline = small_pipeline()
        pipeline.codebook = make_codebook()
        pipeline.save_pretrained(tmp_path / "model")
        export_wan(pipeline.transformer, tmp_path / "wan", layout="diffusers")
    finally:
        os.umask(before)
    modes = {path.stat().st_mode & 0o777 for path in tmp_path.rglob("*") if path.is_file()}
    assert modes == {0o666 & ~umask}
