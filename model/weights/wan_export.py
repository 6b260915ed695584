"""The backbone back in the layouts of Wan2.2."""

import json
from os import PathLike
from pathlib import Path

from huggingface_hub import save_torch_state_dict
from torch import Tensor, nn

from model.network.transformer import SoulTransformer3DModel
from model.weights.files import WEIGHTS, give_usual_mode
from model.weights.wan_names import AUDIO_MODULES, Layout, stored_config, to_diffusers, to_official


def wan_state_dict(model: nn.Module, layout: Layout) -> dict[str, Tensor]:
    """Return the backbone's weights, without the audio layers, under the names of a layout.

    Raises:
        ValueError: a weight is not Wan's (adapters must be fused or removed first); the message names it.
    """
    official = {
        to_official(name): tensor
        for name, tensor in model.state_dict().items()
        if AUDIO_MODULES.isdisjoint(name.split("."))
    }
    return official if layout == "official" else {to_diffusers(key): tensor for key, tensor in official.items()}


def export_wan(
    model: SoulTransformer3DModel, directory: str | PathLike[str], *, layout: Layout, max_shard_size: str = "10GB"
) -> None:
    """Write the backbone without the audio layers, as config.json and safetensors that Wan's code loads.

    Args:
        model: the network.
        directory: made if need be.
        layout: "official" or "diffusers".
        max_shard_size: above it the weights are sharded.

    Raises:
        ValueError: a weight has no name in Wan, e.g. an adapter's; the message names it.
    """
    state_dict = wan_state_dict(model, layout)
    folder = Path(directory)
    folder.mkdir(parents=True, exist_ok=True)
    pattern = f"{WEIGHTS}{{suffix}}.safetensors"
    save_torch_state_dict(state_dict, folder, filename_pattern=pattern, max_shard_size=max_shard_size)
    give_usual_mode(folder.glob(f"{WEIGHTS}*.safetensors"))
    (folder / "config.json").write_text(json.dumps(stored_config(dict(model.config), layout), indent=2) + "\n")
