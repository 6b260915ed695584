"""Distances between decoded videos, with known answers; LPIPS there and not there."""

import sys
from types import ModuleType

import pytest
import torch
from torch import Tensor, nn

from infra.config import ConfigError
from training.objectives.decoder.crop_decoder import DecodedCrop
from training.objectives.decoder.fidelity import Fidelity
from training.objectives.decoder.losses import DecoderLossConfig, charbonnier, decoder_loss, feature_distance
from training.objectives.decoder.perceptual import Perceptual, load_perceptual

CPU = torch.device("cpu")


class Difference(nn.Module):
    """Stands where LPIPS does: a distance for each frame."""

    def __init__(self, net: str, *, verbose: bool) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(()))

    def forward(self, ours: Tensor, theirs: Tensor) -> Tensor:
        return self.weight * (ours - theirs).abs().amax(dim=(1, 2, 3), keepdim=True)


def with_lpips(monkeypatch: pytest.MonkeyPatch) -> None:
    module = ModuleType("lpips")
    module.LPIPS = Difference  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "lpips", module)


def decoded(pixels: Tensor, *features: Tensor) -> DecodedCrop:
    return DecodedCrop(pixels=pixels, features=features)


def test_charbonnier_is_the_absolute_difference_and_smooth_at_zero() -> None:
    target = torch.zeros(4)
    assert float(charbonnier(torch.full((4,), 0.5), target, 1e-3)) == pytest.approx(0.499, abs=1e-5)
    pixels = torch.zeros(4, requires_grad=True)
    (gradient,) = torch.autograd.grad(charbonnier(pixels, target, 1e-3), pixels)
    assert gradient.abs().max() == 0


def test_features_are_compared_relative_to_their_size() -> None:
    target = torch.randn(1, 3, 2, 4, 4)
    assert float(feature_distance([torch.zeros_like(target)], [target])) == pytest.approx(1)
    assert float(feature_distance([100 * target, target], [200 * target, target])) == pytest.approx(0.125)


def test_features_of_other_blocks_than_the_targets_are_refused() -> None:
    block = torch.ones(1, 2, 1, 2, 2)
    with pytest.raises(ValueError, match="shorter"):
        feature_distance([block, block], [block])


@pytest.mark.parametrize(
    "values",
    [
        {"pixel_weight": 0},
        {"pixel_weight": -1},
        {"feature_weight": -0.01},
        {"perceptual_weight": -0.01},
        {"charbonnier": 0},
        {"charbonnier": -1},
    ],
)
def test_weights_that_train_nothing_are_refused(values: dict[str, float]) -> None:
    message = r"^pixel_weight and charbonnier are above 0, feature_weight and perceptual_weight at least 0$"
    with pytest.raises(ValueError, match=message):
        DecoderLossConfig(**values)


def test_features_and_lpips_may_be_left_out() -> None:
    DecoderLossConfig(pixel_weight=0.5, feature_weight=0, perceptual_weight=0, charbonnier=1e-6)


def test_the_student_need_not_follow_the_teacher_beyond_white_and_black() -> None:
    teacher = decoded(torch.full((1, 3, 1, 2, 2), 1.7))
    config = DecoderLossConfig(feature_weight=0)
    assert float(decoder_loss(decoded(torch.ones(1, 3, 1, 2, 2)), teacher, config, None).loss) == 0
    assert float(decoder_loss(decoded(torch.full((1, 3, 1, 2, 2), 1.2)), teacher, config, None).loss) > 0.19
    black = decoded(torch.full((1, 3, 1, 2, 2), -1.7))
    assert float(decoder_loss(decoded(-torch.ones(1, 3, 1, 2, 2)), black, config, None).loss) == 0


def test_the_terms_are_weighed_and_named(monkeypatch: pytest.MonkeyPatch) -> None:
    with_lpips(monkeypatch)
    perceptual = load_perceptual("auto", "alex", CPU, print)
    assert perceptual is not None
    ours = decoded(torch.zeros(1, 3, 2, 8, 8, requires_grad=True), torch.ones(1, 2, 1, 2, 2))
    theirs = decoded(torch.full((1, 3, 2, 8, 8), 0.5), torch.full((1, 2, 1, 2, 2), 2.0))
    config = DecoderLossConfig(pixel_weight=2, feature_weight=3, perceptual_weight=4, charbonnier=1e-6)
    result = decoder_loss(ours, theirs, config, perceptual)
    expected = {"pixel_loss": 0.5, "feature_loss": 0.25, "perceptual_loss": 0.5}
    assert result.terms == pytest.approx(expected, abs=1e-5)
    assert float(result.loss.detach()) == pytest.approx(2 * 0.5 + 3 * 0.25 + 4 * 0.5, abs=1e-4)
    assert torch.autograd.grad(result.loss, ours.pixels)[0].abs().max() > 0
    assert not any(parameter.requires_grad for parameter in perceptual.parameters())


def test_without_lpips_one_line_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "lpips", None)
    said: list[str] = []
    assert load_perceptual("auto", "vgg", CPU, said.append) is None
    assert len(said) == 1
    assert "LPIPS (vgg) is not there" in said[0]
    assert "training without the perceptual term" in said[0]
    with pytest.raises(ConfigError, match=r"LPIPS \(vgg\) is not there.*pip install lpips") as raised:
        load_perceptual(True, "vgg", CPU, said.append)
    assert "\n" not in str(raised.value)
    assert load_perceptual(False, "vgg", CPU, said.append) is None
    assert len(said) == 1


def test_weights_that_cannot_be_had_are_like_a_package_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    def offline(**_: object) -> nn.Module:
        raise OSError("no route to host\nmore")

    with_lpips(monkeypatch)
    monkeypatch.setattr(sys.modules["lpips"], "LPIPS", offline)
    said: list[str] = []
    assert load_perceptual("auto", "vgg", CPU, said.append) is None
    assert "(no route to host)" in said[0]


def test_fidelity_of_pieces_is_that_of_the_whole_video() -> None:
    generator = torch.Generator().manual_seed(0)
    reference = torch.rand(1, 3, 5, 16, 16, generator=generator) * 2 - 1
    noisy = (reference + 0.1 * torch.randn(reference.shape, generator=generator)).clamp(-1, 1)
    whole, pieces = Fidelity(Perceptual(Difference("alex", verbose=False), "alex")), Fidelity()
    whole.add(noisy, reference)
    for frames in ([0], [1, 2, 3, 4]):
        pieces.add(noisy[:, :, frames], reference[:, :, frames])
    assert whole.values()["psnr"] == pytest.approx(pieces.values()["psnr"])
    assert whole.values()["ssim"] == pytest.approx(pieces.values()["ssim"])
    assert whole.values().keys() == {"psnr", "ssim", "lpips_alex"}
    assert 0.1 < whole.values()["lpips_alex"] < 0.6


def test_fidelity_has_known_values() -> None:
    grey = torch.zeros(1, 3, 1, 8, 8)
    fidelity = Fidelity()
    fidelity.add(grey + 0.02, grey)
    # 1 % of the range: 40 dB.
    assert fidelity.values()["psnr"] == pytest.approx(40, abs=1e-3)
    same = Fidelity()
    same.add(grey, grey)
    assert same.values() == {"psnr": pytest.approx(106.02, abs=0.01), "ssim": pytest.approx(1)}
