from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from curation.encoding.bucket import Bucket
from curation.encoding.encoded import EncodedDirectory, EncodedSample
from infra.command_line import CommandFailedError, Parser
from infra.config import ConfigError
from model.codecs.audio import align_audio
from model.codecs.text import HashedTextEncoder, encode_text
from model.generation.pipeline import SoulPipeline
from model.pretrained.assemble import build_pipeline
from tests.worlds.encoded_run import (
    CHANNELS,
    GENERAL,
    SKIPPED,
    TEXT_TOKENS,
    WIDE,
    SampleSpec,
    make_encoded_run,
    make_sample,
    make_unconditional,
)
from training.codebook.vectors import EncodedVectors
from training.data.index import Location
from training.negatives import command, options
from training.negatives.candidates import choose_candidates
from training.negatives.config import NEGATIVE_PROMPT, NegativesConfig
from training.negatives.make import NegativeMaker, encode_prompt, settings_digest

QUIET = SampleSpec(has_audio=False)
SHARDS = ((SampleSpec(), SampleSpec(), WIDE, GENERAL, SKIPPED), (SampleSpec(), WIDE, QUIET))
"""Six human samples, four of 4x4 and two of 4x6."""


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("negatives") / "model"
    build_pipeline("tiny").save_pretrained(path)
    return path


@pytest.fixture
def run(tmp_path: Path) -> Path:
    make_encoded_run(tmp_path, shards=SHARDS)
    return tmp_path


def run_command(run: Path, model: Path, *arguments: str, count: int = 6) -> None:
    parser = Parser()
    options.add_arguments(parser)
    fixed = ["--run", str(run), "--stage", "720p", "--model", str(model), "--steps", "2", "--count", str(count)]
    command.run(parser.parse_args([*fixed, *arguments]))


def directory_of(run: Path) -> EncodedDirectory:
    return EncodedDirectory(str(run / "encoded" / "720p"))


def negative_rows(run: Path) -> dict[str, Mapping[str, Any]]:
    """Index rows of the failure cases by the key of the sample that they are made of."""
    rows = directory_of(run).index().to_pylist()
    return {row["key"].split("-negative-")[0]: row for row in rows if row["pool"] == "negative"}


def read(run: Path, row: Mapping[str, Any]) -> EncodedSample:
    sample = EncodedSample.from_bytes(directory_of(run).read(row["tar"], row["offset"], row["size"]))
    if row["wav_offset"] is None:
        return sample
    return replace(sample, wav=directory_of(run).read(row["tar"], row["wav_offset"], row["wav_size"]))


def spec_of(key: str) -> SampleSpec:
    shard, clip = int(key.split("-")[1]), int(key.split("-")[3])
    return SHARDS[shard][clip]


def test_every_human_sample_becomes_a_failure_case(run: Path, model: Path) -> None:
    before = sum(len(chunk) for chunk in EncodedVectors(str(run)))
    run_command(run, model)
    rows = negative_rows(run)
    human = {f"shard-00{i}-clip-00{j}" for i, shard in enumerate(SHARDS) for j, spec in enumerate(shard)
             if spec.pool == "human" and spec.encoded}  # fmt: skip
    assert rows.keys() == human
    states = encode_text(HashedTextEncoder(), None, [NEGATIVE_PROMPT])[0]
    for key, row in rows.items():
        made, original = read(run, row), make_sample(spec_of(key), key)
        assert (made.pool, made.prompts, made.source, made.fps) == ("negative", (NEGATIVE_PROMPT,), f"{key}.mp4", 25)
        assert (row["bucket"], row["has_audio"]) == (f"17x64x{16 * spec_of(key).latent_width}", spec_of(key).has_audio)
        pivots = original.reference_latents.half()
        assert any(torch.equal(made.latents[:, 0], pivot) for pivot in pivots)
        assert torch.equal(made.reference_latents, pivots)
        assert made.latents.shape == original.latents.shape
        assert not torch.allclose(made.latents[:, 1:].float(), original.latents[:, 1:], atol=0.1)
        (stored,) = made.text_states
        assert torch.equal(stored, states[: len(stored)].half())
        assert not states[len(stored) :].any()
        assert (made.audio_features is None) == (original.audio_features is None)
        if original.audio_features is not None:
            assert made.audio_features is not None
            assert torch.equal(made.audio_features, original.audio_features.half())
            assert made.audio_first_step == original.audio_first_step
        assert made.wav == original.wav
        assert row["codebook_vectors"] == b""
    assert sum(len(chunk) for chunk in EncodedVectors(str(run))) == before


class Recorder:
    """A maker on a tiny network, and what the network is called with."""

    def __init__(self, run: Path, model: Path, config: NegativesConfig) -> None:
        pipeline = SoulPipeline.from_pretrained(model)
        states = encode_prompt(pipeline.text_encoder, None, config.prompt)
        self.calls: list[tuple[Tensor, ...]] = []
        pipeline.transformer.register_forward_pre_hook(lambda _module, inputs: self.calls.append(inputs))
        self.maker = NegativeMaker(
            pipeline.transformer, pipeline.scheduler, directory_of(run), states=states, config=config
        )
        (self.candidates,) = (
            candidates
            for _, candidates in choose_candidates(
                directory_of(run), self.maker.settings, count=6, seed=0, clips_per_commit=8
            ).commits
            if candidates[0].bucket == Bucket(17, 64, 64)
        )

    def candidate(self, key: str) -> Location:
        return next(candidate for candidate in self.candidates if candidate.key == key)


def test_the_network_is_told_what_it_should_be(run: Path, model: Path) -> None:
    config = NegativesConfig(prompt="a broken face", num_steps=3)
    recorder = Recorder(run, model, config)
    key = "shard-001-clip-000"
    list(recorder.maker.clips([recorder.candidate(key)]))
    assert len(recorder.calls) == 3
    original = make_sample(spec_of(key), key)
    assert original.audio_features is not None
    windows = align_audio(
        original.audio_features.half().float(), range(5), window=16, first_step=original.audio_first_step
    )
    text = encode_text(HashedTextEncoder(), None, ["a broken face"])
    for latents, timesteps, heard_text, heard in recorder.calls:
        assert any(torch.equal(latents[0, :, 0], pivot.half().float()) for pivot in original.reference_latents)
        assert timesteps[0, 0] == 0
        assert timesteps[0, 1:].min() == timesteps[0, 1:].max() > 0
        torch.testing.assert_close(heard_text, text, rtol=1e-5, atol=1e-5)
        assert not heard[0, 0].any()
        assert torch.equal(heard[0, 1:], windows[1:])
    assert float(recorder.calls[0][1][0, 1]) == pytest.approx(1000, abs=0.01)


def test_guidance_leads_away_from_the_empty_prompt_in_silence(run: Path, model: Path) -> None:
    recorder = Recorder(run, model, NegativesConfig(num_steps=1, guidance_scale=3))
    list(recorder.maker.clips([recorder.candidate("shard-001-clip-000")]))
    conditional, free = recorder.calls
    assert conditional[3].any()
    assert not free[3].any()
    assert torch.equal(free[2][0, :1], make_unconditional().half().float())
    assert not free[2][0, 1:].any()
    assert free[2].shape == (1, TEXT_TOKENS, 64)


def test_a_clip_does_not_depend_on_its_batch(run: Path, model: Path) -> None:
    one, many = (Recorder(run, model, NegativesConfig(num_steps=3, batch_size=size)) for size in (1, 3))
    alone, together = (
        {clip.sample.key: clip.sample.latents for clip in recorder.maker.clips(recorder.candidates)}  # type: ignore[union-attr]
        for recorder in (one, many)
    )
    assert [call[0].shape[0] for call in many.calls] == [3, 3, 3, 1, 1, 1]
    assert len(alone) == 4
    for key, latents in alone.items():
        torch.testing.assert_close(latents, together[key], rtol=2e-3, atol=2e-3)
    assert not torch.equal(*list(alone.values())[:2])


def test_an_interrupted_run_goes_on_where_it_was(
    tmp_path: Path, model: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Stopped in the second of three commits, it makes the last two; all clips are those of a run in one go."""
    for name in ("stopped", "whole"):
        make_encoded_run(tmp_path / name, shards=SHARDS)
    monkeypatch.setattr(command, "NegativesConfig", smaller_commits)
    run_command(tmp_path / "whole", model)
    with monkeypatch.context() as patch:
        patch.setattr(NegativeMaker, "denoise", stop_after(3))
        with pytest.raises(KeyboardInterrupt):
            run_command(tmp_path / "stopped", model)
    assert len(negative_rows(tmp_path / "stopped")) == 2
    # What a killed process, which cannot clean up, leaves behind.
    orphan = tmp_path / "stopped" / "encoded" / "720p" / "17x64x64" / "negative-dead.tar"
    orphan.write_bytes(b"half a tar")
    capsys.readouterr()
    run_command(tmp_path / "stopped", model)
    text = capsys.readouterr().err
    assert "to make  4 clips; 2 are there" in text
    assert "removed 1 files" in text
    assert not orphan.exists()
    stopped, whole = (negative_rows(tmp_path / name) for name in ("stopped", "whole"))
    assert stopped.keys() == whole.keys()
    for key, row in whole.items():
        one, other = read(tmp_path / "whole", row), read(tmp_path / "stopped", stopped[key])
        assert (one.key, one.wav) == (other.key, other.wav)
        assert torch.equal(one.latents, other.latents)


def smaller_commits(**values: Any) -> NegativesConfig:
    return NegativesConfig(**values, clips_per_commit=2)


def stop_after(num_batches: int) -> Callable[..., Tensor]:
    denoise, calls = NegativeMaker.denoise, []

    def stopping(self: NegativeMaker, samples: Any) -> Tensor:
        calls.append(samples)
        if len(calls) > num_batches:
            raise KeyboardInterrupt
        return denoise(self, samples)

    return stopping


def test_more_clips_add_and_the_same_again_does_nothing(
    run: Path, model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run_command(run, model, count=2)
    first = negative_rows(run)
    run_command(run, model, count=5)
    second = negative_rows(run)
    assert len(first) == 2
    assert len(second) == 5
    assert all(second[key] == row for key, row in first.items())
    capsys.readouterr()
    run_command(run, model, count=5)
    assert "nothing to do: all 5 negatives are there" in capsys.readouterr().err
    assert negative_rows(run) == second


def test_other_settings_make_others(run: Path, model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run_command(run, model, count=2)
    run_command(run, model, "--negative-prompt", "blurred", count=3)
    rows = [row for row in directory_of(run).index().to_pylist() if row["pool"] == "negative"]
    assert len(rows) == 5
    assert len({row["key"] for row in rows}) == 5
    assert "2 negatives of other settings or weights stay" in capsys.readouterr().err


def test_other_weights_are_other_settings(model: Path) -> None:
    transformer = SoulPipeline.from_pretrained(model).transformer
    before = settings_digest(NegativesConfig(), transformer)
    assert settings_digest(NegativesConfig(), transformer.bfloat16()) == before
    with torch.no_grad():
        next(iter(transformer.blocks[3].parameters())).mul_(1.05)
    assert settings_digest(NegativesConfig(), transformer) != before


def test_fewer_human_samples_than_asked_for_is_said(run: Path, model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run_command(run, model, count=100)
    assert "6 human samples are fewer than 100: each is used once" in capsys.readouterr().err
    assert len(negative_rows(run)) == 6


def test_half_precision_makes_the_same_clips_roughly(run: Path, model: Path) -> None:
    run_command(run, model, count=1)
    ((key, exact),) = negative_rows(run).items()
    exact_latents = read(run, exact).latents.float()
    make_encoded_run(run / "half", shards=SHARDS)
    run_command(run / "half", model, "--dtype", "bfloat16", count=1)
    half_latents = read(run / "half", negative_rows(run / "half")[key]).latents.float()
    assert not torch.equal(half_latents, exact_latents)
    assert float((half_latents - exact_latents).std() / exact_latents.std()) < 0.05


def test_damaged_samples_are_records(run: Path, model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = run / "encoded" / "720p"
    (folder / "17x64x96" / "shard-001.tar").unlink()
    row = next(row for row in directory_of(run).index().to_pylist() if row["key"] == "shard-000-clip-001")
    with (folder / row["tar"]).open("r+b") as tar:
        tar.seek(row["offset"])
        tar.write(b"\0" * 64)
    run_command(run, model, "--batch-size", "4")
    rows = negative_rows(run)
    bad = {key: row["reason"] for key, row in rows.items() if not row["encoded"]}
    assert bad.keys() == {"shard-000-clip-001", "shard-001-clip-001"}
    assert "damaged: its" in bad["shard-000-clip-001"]
    assert "cannot be read" in bad["shard-001-clip-001"]
    assert sum(row["encoded"] for row in rows.values()) == 4
    assert "skipped  1: damaged: its" in capsys.readouterr().err


def test_samples_of_another_shape_than_their_bucket_are_records(run: Path, model: Path) -> None:
    recorder = Recorder(run, model, NegativesConfig(num_steps=1))
    wrong = replace(recorder.candidate("shard-001-clip-000"), bucket=Bucket(17, 64, 96))
    (skipped,) = recorder.maker.clips([wrong])
    assert "latents are (48, 5, 4, 4), its bucket says (48, 5, 4, 6)" in skipped.reason  # type: ignore[union-attr]


def test_a_network_that_makes_nan_makes_no_samples(run: Path, model: Path, tmp_path: Path) -> None:
    broken = SoulPipeline.from_pretrained(model)
    torch.nn.init.constant_(broken.transformer.proj_out.bias, torch.inf)
    broken.save_pretrained(tmp_path / "broken")
    with pytest.raises(CommandFailedError, match="none of 6 clips could be made"):
        run_command(run, tmp_path / "broken")
    assert {row["reason"] for row in negative_rows(run).values()} == {"the network made NaN or infinity of it"}


def test_two_jobs_do_not_mix(run: Path, model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clips = NegativeMaker.clips

    def interrupted(self: NegativeMaker, candidates: Any) -> Any:
        directory_of(run).open_session("encode")
        return clips(self, candidates)

    monkeypatch.setattr(NegativeMaker, "clips", interrupted)
    with pytest.raises(ConfigError, match=r"another run has started on .* cannot run at once"):
        run_command(run, model)
    assert negative_rows(run) == {}


def test_nothing_encoded_and_no_people_are_one_clear_line(tmp_path: Path, model: Path) -> None:
    with pytest.raises(ConfigError, match="holds no encoded shards"):
        run_command(tmp_path, model)
    make_encoded_run(tmp_path, shards=[[GENERAL, SKIPPED]])
    with pytest.raises(ConfigError, match="no encoded samples of the pool human"):
        run_command(tmp_path, model)


def test_a_model_that_does_not_fit_is_one_clear_line(run: Path, model: Path) -> None:
    pipeline = SoulPipeline.from_pretrained(model)
    encoding = replace(directory_of(run).encoding(), audio_dim=6400)
    directory = directory_of(run / "other")
    directory.describe(encoding, torch.zeros(1, 64))
    with pytest.raises(ConfigError, match="its audio features have 6400 channels, the network takes 80"):
        NegativeMaker(
            pipeline.transformer, pipeline.scheduler, directory, states=torch.zeros(1, 64), config=NegativesConfig()
        )
    with pytest.raises(ValueError, match="no such directory"):
        run_command(run, run / "nowhere" / "model")
    with pytest.raises(ConfigError, match="--device nonsense"):
        run_command(run, model, "--device", "nonsense")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"prompt": " \n"}, "the negative prompt is empty"),
        ({"count": 0}, "count must be at least 1"),
        ({"num_steps": 0}, "num_steps must be"),
        ({"guidance_scale": 0.5}, "guidance_scale must be"),
        ({"guidance_scale": float("nan")}, "guidance_scale must be"),
    ],
)
def test_impossible_settings_are_one_clear_line(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        NegativesConfig(**values)


def test_the_default_prompt_is_not_cut_short() -> None:
    longer = encode_prompt(HashedTextEncoder(max_tokens=1000), None, NEGATIVE_PROMPT)
    assert len(longer) == len(encode_prompt(HashedTextEncoder(), None, NEGATIVE_PROMPT)) <= TEXT_TOKENS
    with pytest.raises(ConfigError, match="has no words"):
        encode_prompt(HashedTextEncoder(), None, "&nbsp;")
    assert CHANNELS == 48
