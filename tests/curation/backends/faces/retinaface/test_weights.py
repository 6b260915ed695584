"""Which public file is which, and what is refused."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch

from curation.backends.faces.retinaface.releases import MOBILENET, RELEASES, RESNET
from curation.backends.faces.retinaface.weights import load_retinaface
from infra.config import ConfigError
from tests.curation.backends.faces.retinaface.published import random_weights

REAL = Path(os.environ.get("SOUL_SHARED", "../shared")) / "weights" / "retinaface_mobilenet0.25.pth"

PUBLISHED_KEYS = {
    MOBILENET: {
        "body.stage1.0.0.weight": (8, 3, 3, 3),
        "body.stage1.1.0.weight": (8, 1, 3, 3),
        "body.stage1.1.3.weight": (16, 8, 1, 1),
        "body.stage2.5.4.running_var": (128,),
        "body.stage3.1.3.weight": (256, 256, 1, 1),
        "fpn.output3.0.weight": (64, 256, 1, 1),
        "ssh2.conv7x7_3.0.weight": (16, 16, 3, 3),
        "LandmarkHead.2.conv1x1.weight": (20, 64, 1, 1),
    },
    RESNET: {
        "body.conv1.weight": (64, 3, 7, 7),
        "body.layer1.0.downsample.0.weight": (256, 64, 1, 1),
        "body.layer2.0.conv2.weight": (128, 128, 3, 3),
        "body.layer3.5.bn3.running_mean": (1024,),
        "body.layer4.2.conv3.weight": (2048, 512, 1, 1),
        "fpn.output3.0.weight": (256, 2048, 1, 1),
        "fpn.merge1.0.weight": (256, 256, 3, 3),
        "ssh3.conv3X3.0.weight": (128, 256, 3, 3),
        "ClassHead.0.conv1x1.weight": (4, 256, 1, 1),
        "BboxHead.1.conv1x1.bias": (8,),
    },
}
"""Some keys of the published files."""
NUM_KEYS = {MOBILENET: 300, RESNET: 456}


@pytest.mark.parametrize(
    ("release", "backbone"), [(name, backbone) for name, each in RELEASES.items() for backbone in each.backbones]
)
def test_each_release_is_told_from_its_weights(tmp_path: Path, release: str, backbone: str) -> None:
    state = random_weights(release, backbone)
    assert len(state) == NUM_KEYS[backbone]
    assert {key: tuple(state[key].shape) for key in PUBLISHED_KEYS[backbone]} == PUBLISHED_KEYS[backbone]
    path = tmp_path / "retinaface.pth"
    torch.save({f"module.{key}": value for key, value in state.items()}, path)
    network, found = load_retinaface(str(path))
    assert found is RELEASES[release]
    assert not network.training
    assert all(torch.equal(value, state[key]) for key, value in network.state_dict().items())


@pytest.mark.skipif(not REAL.is_file(), reason="no RetinaFace weights (SOUL_SHARED)")
def test_the_real_small_weights_are_recognised() -> None:
    network, release = load_retinaface(str(REAL))
    assert release is RELEASES["face_detector_1mb"]
    assert sum(parameter.numel() for parameter in network.parameters()) == 426_608


def test_other_files_are_refused_in_one_line(tmp_path: Path) -> None:
    state = random_weights("face_detector_1mb", MOBILENET)
    first = next(iter(state))
    torch.save({key: value for key, value in state.items() if key != first}, tmp_path / "part.pth")
    torch.save({**state, "fc.weight": torch.zeros(1)}, tmp_path / "more.pth")
    torch.save({**state, first: torch.zeros(1)}, tmp_path / "shape.pth")
    torch.save([1, 2], tmp_path / "list.pth")
    torch.save(state, tmp_path / "good.pth")
    (tmp_path / "text.pth").write_text("no weights")
    for name, message in {
        "part": f"is not RetinaFace .* 1 of its 300 tensors are not there, such as {first}",
        "more": "is not RetinaFace .* 1 tensors more, such as fc.weight",
        "shape": rf"is not RetinaFace .* {first} is \(1,\) and should be \(8, 3, 3, 3\)",
        "list": "holds no tensors by name",
        "text": "is not a file of RetinaFace weights",
        "absent": "is not a file of RetinaFace weights",
    }.items():
        with pytest.raises(ConfigError, match=message) as caught:
            load_retinaface(str(tmp_path / f"{name}.pth"))
        assert "\n" not in str(caught.value)
    with pytest.raises(ConfigError, match=r"has the backbone mobilenet0\.25; release ternaus has resnet50"):
        load_retinaface(str(tmp_path / "good.pth"), "ternaus")
    assert load_retinaface(str(tmp_path / "good.pth"), "pytorch_retinaface")[1] is RELEASES["pytorch_retinaface"]


def test_where_the_weights_do_not_tell_the_release_must_be_named(tmp_path: Path) -> None:
    state = random_weights("face_detector_1mb", MOBILENET)
    state["body.stage1.1.0.weight"].zero_()
    torch.save(state, tmp_path / "blank.pth")
    with pytest.raises(ConfigError, match="name it: release=pytorch_retinaface or face_detector_1mb"):
        load_retinaface(str(tmp_path / "blank.pth"))
    assert load_retinaface(str(tmp_path / "blank.pth"), "face_detector_1mb")
