"""The stage distill from its recipe to a model directory."""

import random
import shutil
import signal
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from infra.config import ConfigError
from model.generation.pipeline import SoulPipeline
from model.generation.request import VideoRequest
from model.network.transformer import SoulTransformer3DModel
from tests.worlds.distillation import distil, launch_distillation, losses, make_distillation, metrics, wait_for_step
from training.recipes.recipe import load_recipe

LORA = {"dmd__critic_lora_rank": 2}
LONG = {"steps": 30, "checkpoint__every": 4, "dmd__critic_updates": 3}
"""Checkpoints fall before, after and between updates of the student, which come with every third step."""


def checkpoint_tensors(folder: Path) -> dict[str, torch.Tensor]:
    """Every tensor that a checkpoint holds, by file and place, but for generators of numbers."""
    found: dict[str, torch.Tensor] = {}
    for path in sorted(folder.rglob("*.pt")):
        if not path.name.startswith("random-"):
            _collect(torch.load(path, weights_only=False), str(path.relative_to(folder)), found)
    return found


def _collect(value: object, name: str, found: dict[str, torch.Tensor]) -> None:
    if isinstance(value, torch.Tensor):
        found[name] = value
    elif isinstance(value, dict):
        for key, each in value.items():
            _collect(each, f"{name}/{key}", found)
    elif isinstance(value, (list, tuple)):
        for number, each in enumerate(value):
            _collect(each, f"{name}/{number}", found)


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
    steps = metrics(undisturbed)
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
    assert losses(run) == losses(whole)
    student, expected = (
        load_file(each / "model/transformer/diffusion_pytorch_model.safetensors") for each in (run, whole)
    )
    assert all(torch.equal(student[name], expected[name]) for name in expected)


@pytest.fixture(scope="module")
def long(prepared: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = Path(shutil.copytree(prepared, tmp_path_factory.mktemp("long") / "run"))
    distil(run, **LONG)
    return run


@pytest.mark.parametrize(("stop", "status"), [(signal.SIGKILL, -9), (signal.SIGTERM, 143)], ids=["SIGKILL", "SIGTERM"])
def test_stopped_at_a_random_step_student_and_critic_go_on_bit_for_bit(
    run: Path, long: Path, stop: signal.Signals, status: int
) -> None:
    process = launch_distillation(run, **LONG)
    wait_for_step(run, random.Random().randint(4, 12), process)
    process.send_signal(stop)
    _, errors = process.communicate(timeout=120)
    assert process.returncode == status, errors
    done = len(metrics(run))
    assert done < LONG["steps"]
    distil(run, **LONG)
    assert losses(run) == losses(long), f"stopped after step {done}"
    # Weights and optimizer states of student and critic, and the student's average.
    last = f"train/distill/checkpoints/step-{LONG['steps']:08d}"
    saved, expected = (checkpoint_tensors(each / last) for each in (run, long))
    assert {name.partition("/")[0] for name in expected} == {"transformer", "critic", "ema-transformer-00000.pt"}
    assert saved.keys() == expected.keys()
    different = [name for name in expected if not torch.equal(saved[name], expected[name])]
    assert not different, f"stopped after step {done}"


@pytest.mark.parametrize("placement", ["offload", "zero3"])
def test_where_the_teacher_lies_changes_nothing(run: Path, undisturbed: Path, placement: str) -> None:
    linear = torch.nn.functional.linear
    distil(run, steps=4, dmd__teacher=placement)
    assert losses(run) == losses(undisturbed)[:4]
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


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("generation.guidance_scale=5", "generation.guidance_scale 1, not few-step and 5"),
        ("generation.scheduler=unipc", "generation.scheduler few-step and generation.guidance_scale 1, not unipc"),
        ("dmd.critic_updates=0", "critic_updates is at least 1"),
        ("dmd.lowest_sigma=0.99", "the first below the second"),
        ("dmd.critc_updates=5", "critic_updates"),
    ],
)
def test_recipes_that_do_not_distil_are_refused(change: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load_recipe("distill", "local", [change])


def test_a_lora_critic_leaves_no_teacher_to_place() -> None:
    with pytest.raises(ConfigError, match=r"set dmd\.teacher to resident"):
        load_recipe("distill", "local", ["dmd.critic_lora_rank=4", "dmd.teacher=offload"])


def test_the_recipe_holds_the_published_numbers(tmp_path: Path) -> None:
    profile = tmp_path / "unscaled.yaml"
    profile.write_text("training: {}\n")
    recipe = load_recipe("distill", str(profile))
    assert recipe.objective == "dmd"
    assert (recipe.optimizer.lr, recipe.dmd.critic.lr, recipe.dmd.critic_updates) == (2e-6, 4e-7, 5)
    assert recipe.optimizer.betas == recipe.dmd.critic.betas == (0.0, 0.999)
    assert (recipe.ema.decay, recipe.ema.start_step, recipe.optimizer.clip, recipe.dmd.critic.clip) == (
        0.99,
        200 / recipe.dmd.critic_updates,
        10,
        10,
    )
    assert (recipe.generation.num_inference_steps, recipe.validation.steps, recipe.generation.guidance_scale) == (
        4,
        4,
        1,
    )
