from __future__ import annotations

from pathlib import Path

import pytest
import torch

from curation.backends.lips.syncnet.network import NUM_PARAMETERS, SyncNet, load_syncnet

CONVOLUTIONS: dict[str, dict[int, tuple[int, ...]]] = {
    "netcnnaud": {
        0: (64, 1, 3, 3),
        4: (192, 64, 3, 3),
        8: (384, 192, 3, 3),
        11: (256, 384, 3, 3),
        14: (256, 256, 3, 3),
        18: (512, 256, 5, 4),
    },
    "netcnnlip": {
        0: (96, 3, 5, 7, 7),
        4: (256, 96, 1, 5, 5),
        8: (256, 256, 1, 3, 3),
        11: (256, 256, 1, 3, 3),
        14: (256, 256, 1, 3, 3),
        18: (512, 256, 1, 6, 6),
    },
}
"""Module index of each convolution, every ReLU and pool counted, and its weight's shape."""


def published_layout(*, counters: bool) -> dict[str, torch.Tensor]:
    """Random weights under exactly the keys of the published file; old files have no batch counters."""
    generator = torch.Generator().manual_seed(0)
    state: dict[str, torch.Tensor] = {}

    def norm(name: str, width: int) -> None:
        state[f"{name}.weight"] = torch.rand(width, generator=generator) + 0.5
        state[f"{name}.bias"] = torch.randn(width, generator=generator) * 0.1
        state[f"{name}.running_mean"] = torch.zeros(width)
        state[f"{name}.running_var"] = torch.ones(width)
        if counters:
            state[f"{name}.num_batches_tracked"] = torch.tensor(1)

    for tower, layers in CONVOLUTIONS.items():
        for index, shape in layers.items():
            state[f"{tower}.{index}.weight"] = torch.randn(shape, generator=generator) * 0.02
            state[f"{tower}.{index}.bias"] = torch.zeros(shape[0])
            norm(f"{tower}.{index + 1}", shape[0])
    for head in ("netfcaud", "netfclip"):
        for index, (width_out, width_in) in {0: (512, 512), 3: (1024, 512)}.items():
            state[f"{head}.{index}.weight"] = torch.randn(width_out, width_in, generator=generator) * 0.05
            state[f"{head}.{index}.bias"] = torch.zeros(width_out)
        norm(f"{head}.1", 512)
    return state


def test_the_number_of_parameters_is_the_published_one() -> None:
    assert sum(parameter.numel() for parameter in SyncNet().parameters()) == NUM_PARAMETERS == 13_631_616


@pytest.mark.parametrize("counters", [True, False])
def test_the_published_layout_loads_strictly(tmp_path: Path, counters: bool) -> None:
    state = published_layout(counters=counters)
    torch.save(state, tmp_path / "syncnet_v2.model")
    network = load_syncnet(tmp_path / "syncnet_v2.model")
    loaded = network.state_dict()
    assert all(torch.equal(loaded[name], value) for name, value in state.items())
    assert {name for name in loaded if not name.endswith("num_batches_tracked")} == {
        name for name in state if not name.endswith("num_batches_tracked")
    }
    assert not network.training
    assert network.embed_sound(torch.zeros(2, 1, 13, 20)).shape == (2, 1024)
    assert network.embed_lips(torch.zeros(1, 3, 5, 224, 224)).shape == (1, 1024)


def test_other_files_are_refused_in_one_line(tmp_path: Path) -> None:
    state = published_layout(counters=False)
    torch.save({name: value for name, value in state.items() if name != "netfcaud.3.bias"}, tmp_path / "part.model")
    torch.save({**state, "netcnnaud.0.weight": torch.zeros(1)}, tmp_path / "shape.model")
    torch.save([1, 2], tmp_path / "list.model")
    (tmp_path / "text.model").write_text("no weights")
    for name, message in {
        "part": "is not syncnet_v2",
        "shape": "is not syncnet_v2",
        "list": "is not syncnet_v2",
        "text": "is not a weights file",
        "absent": "no SyncNet weights",
    }.items():
        with pytest.raises(ValueError, match=message) as caught:
            load_syncnet(tmp_path / f"{name}.model")
        assert "\n" not in str(caught.value)
