"""The function that puts the parts together, for each objective."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from training.parts.decoder import decoder_parts
from training.parts.dmd import dmd_parts
from training.parts.flow_matching import flow_matching_parts
from training.parts.parts import BuildParts
from training.recipes.recipe import ObjectiveName

PARTS_OF: Final[Mapping[ObjectiveName, BuildParts]] = {
    "flow_matching": flow_matching_parts,
    "dmd": dmd_parts,
    "decoder": decoder_parts,
}
