"""The stage distill from its recipe to a model directory."""

import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from model.generation.pipeline import SoulPipeline
from model.generation.request import VideoRequest
from model.network.transformer import SoulTransformer3DModel
from tests.worlds.distillation import distil, make_distillation
from tests.worlds.recipes import losses, metrics

LORA = {"dmd__critic_lora_rank": 2}


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = tmp_path_factory.mktemp("prepared") / "run"
    make_distillation(run)
    return run


@pytest.fixture
def run(prepared: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(prepared, tmp_path / "run"))


@pytest.fixture(scope="module")
def undisturbed(prepared: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = Path(shutil.copytree(prepared, tmp_path_factory.mktemp("undisturbed") / "run"))
    distil(run, validation__every=7, validation__videos=1, validation__loss_samples=1)
    return run


def test_the_student_is_updated_with_every_third_update_of_the_critic(undisturbed: Path) -> None:
    steps = metrics(undisturbed, "distill")
    assert [line["step"] for line in steps] == list(range(1, 8))
    assert [line["step"] for line in steps if "generator_loss" in line] == [1, 4, 7]
    assert all("critic_loss" in line for line in steps)
    assert steps[-1]["validation_loss"] > 0
    assert len(list((undisturbed / "train/distill/validation/step-00000007").glob("*.mp4"))) == 1


def test_the_result_generates_in_four_forwards_a_clip_without_being_told(undisturbed: Path) -> None:
    pipeline = SoulPipeline.from_pretrained(undisturbed / "model")
    forwards: list[int] = []
    pipeline.transformer.register_forward_hook(lambda *_: forwards.append(1))
    speech = torch.randn(16_000, generator=torch.Generator().manual_seed(0)) * 0.1
    image = torch.rand(64, 64, 3, generator=torch.Generator().manual_seed(1)).mul(255).byte().numpy()
    from PIL import Image  # noqa: PLC0415

    output = pipeline(VideoRequest(image=Image.fromarray(image), audio=speech, prompt="a person"))
    assert output.frames.shape == (25, 64, 64, 3)
    assert len(forwards) == 4 * pipeline.num_clips(25)
    assert pipeline.num_clips(25) > 1


def test_the_teacher_stays_as_it_was_and_the_student_does_not(undisturbed: Path, prepared: Path) -> None:
    name = "transformer/diffusion_pytorch_model.safetensors"
    before, after = load_file(prepared / "teacher" / name), load_file(undisturbed / "teacher" / name)
    student = load_file(undisturbed / "model" / name)
    assert all(torch.equal(before[key], after[key]) for key in before)
    assert sum(not torch.equal(before[key], student[key]) for key in before) > len(before) // 2


@pytest.mark.parametrize("changes", [{}, LORA], ids=["whole critic", "LoRA critic"])
def test_stopped_and_gone_on_with_it_is_the_same_bit_for_bit(
    run: Path, prepared: Path, changes: dict[str, int]
) -> None:
    whole = Path(shutil.copytree(prepared, run.with_name("whole")))
    distil(whole, **changes)
    # Neither after an update of the student nor before one.
    distil(run, steps=5, **changes)
    distil(run, **changes)
    assert losses(run, "distill") == losses(whole, "distill")
    student, expected = (
        load_file(each / "model/transformer/diffusion_pytorch_model.safetensors") for each in (run, whole)
    )
    assert all(torch.equal(student[name], expected[name]) for name in expected)


@pytest.mark.parametrize("placement", ["offload", "zero3"])
def test_where_the_teacher_lies_changes_nothing(run: Path, undisturbed: Path, placement: str) -> None:
    linear = torch.nn.functional.linear
    distil(run, steps=4, dmd__teacher=placement)
    assert losses(run, "distill") == losses(undisturbed, "distill")[:4]
    assert torch.nn.functional.linear is linear, "what else is trained in this process would round otherwise"


def test_a_lora_critic_trains_its_adapters_alone(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from training import trainer  # noqa: PLC0415

    trained: list[trainer.Trainer] = []
    train = trainer.Trainer.train

    def train_and_keep(self: trainer.Trainer) -> None:
        train(self)
        trained.append(self)

    monkeypatch.setattr(trainer.Trainer, "train", train_and_keep)
    distil(run, steps=4, **LORA)
    teacher = load_file(run / "teacher/transformer/diffusion_pytorch_model.safetensors")
    critic = trained[0].parts.objective.models[1].module
    assert isinstance(critic, SoulTransformer3DModel)
    adapters = {name: each for name, each in critic.named_parameters() if "lora_" in name}
    base = {name.replace(".base_layer", ""): each for name, each in critic.named_parameters() if name not in adapters}
    assert base.keys() == teacher.keys()
    assert all(torch.equal(base[name], teacher[name]) for name in teacher)
    # B starts at zero: an adapter that was not trained does nothing.
    assert all(each.abs().max() > 0 for name, each in adapters.items() if "lora_B" in name)
    assert all(each.requires_grad for each in adapters.values())
    assert not any(each.requires_grad for each in base.values())
