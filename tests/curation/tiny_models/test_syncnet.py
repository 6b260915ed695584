from __future__ import annotations

from pathlib import Path

from curation.backends.lips.syncnet.network import NUM_PARAMETERS, load_syncnet
from curation.tiny_models.syncnet import write_syncnet


def test_it_has_the_published_layout(tmp_path: Path) -> None:
    write_syncnet(tmp_path / "syncnet_v2.model")
    network = load_syncnet(tmp_path / "syncnet_v2.model")
    assert sum(parameter.numel() for parameter in network.parameters()) == NUM_PARAMETERS
