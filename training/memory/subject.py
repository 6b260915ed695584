"""Which network a plan is for, and which clips: from a model directory, a preset, or what the recipe names."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

from curation.encoding.bucket import Bucket
from curation.encoding.encoded import EncodedDirectory
from infra.config import ConfigError, profile_section
from infra.storage.files import list_folders
from model.codecs.image import AREAS, CLIP_FRAMES, size_for_area
from model.pretrained.presets import PRESETS, TransformerConfig
from model.weights.files import read_json
from model.weights.source import SHIPPED_DIRECTORY, is_shipped
from training.recipes.recipe import Recipe, load_recipe

PAPERS: Final = "soul-5b"
_STAGE: Final = "stage:"


def network_in(directory: Path) -> TransformerConfig:
    """The network of a model directory."""
    written = read_json(directory / "transformer" / "config.json")
    values = {name: written[name] for name in TransformerConfig.__dataclass_fields__ if name in written}
    return TransformerConfig(**values | {"patch_size": tuple(values.get("patch_size", (1, 2, 2)))})


def named_network(recipe: Recipe, profile: str, given: str | None) -> tuple[str, TransformerConfig]:
    """The network that a stage starts from, and its name; the paper's where the recipe names nothing that is here.

    Args:
        recipe: of the stage.
        profile: in which the stages that it starts from have theirs.
        given: a model directory or preset, in place of the recipe's.

    Raises:
        ConfigError: what was given is neither.
    """
    source = given or recipe.initial
    while source.startswith(_STAGE):
        source = load_recipe(source.removeprefix(_STAGE), profile).initial
    directory = SHIPPED_DIRECTORY if is_shipped(source) else Path(source)
    if source and (directory / "transformer" / "config.json").is_file():
        return source, network_in(directory)
    if source in PRESETS:
        return source, PRESETS[source].transformer
    if given:
        raise ConfigError(f"{given} is neither a model directory nor one of {', '.join(PRESETS)}")
    return PAPERS, PRESETS[PAPERS].transformer


def named_bucket(recipe: Recipe, profile: str) -> Bucket:
    """Clips of the paper's length at 16:9, with the area that a profile encodes the recipe's samples to.

    Raises:
        ConfigError: neither the profile nor the paper has such an area.
    """
    encoded = recipe.encoded
    area = profile_section(profile, f"encode.stages.{encoded}").get("area", AREAS.get(encoded))
    if area is None:
        raise ConfigError(f"no area is known for what was encoded as {encoded!r}: give --clip FRAMESxHEIGHTxWIDTH")
    return Bucket(CLIP_FRAMES, *size_for_area(16, 9, area))


def encoded_buckets(directory: EncodedDirectory) -> list[Bucket]:
    """The buckets of what has been encoded, by their folders."""
    return list(_parsed(list_folders(directory.path)))


def _parsed(names: Sequence[str]) -> Iterable[Bucket]:
    for name in names:
        try:
            yield Bucket.parse(name)
        except ValueError:
            continue
