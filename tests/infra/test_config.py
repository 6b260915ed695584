from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

import pytest

from curation.pipeline import CurationConfig, StagesConfig
from curation.stages.faces import FacesConfig
from infra.config import ConfigError, build, fingerprint, load_section


def test_local_profile_loads() -> None:
    config = load_section(CurationConfig, "local", "curation")
    assert config.execution.pools[0].name == "all"


def test_unknown_key_names_the_nearest() -> None:
    with pytest.raises(ConfigError, match="unknown key 'min_confidnce', did you mean 'min_confidence'"):
        build(FacesConfig, {"min_confidnce": 1}, "here")


def test_unknown_key_in_a_list_of_pools() -> None:
    with pytest.raises(ConfigError, match="unknown key 'num_cpu'"):
        build(CurationConfig, {"execution": {"pools": [{"name": "a", "num_cpu": 1}]}}, "here")


def test_overrides_reach_nested_fields() -> None:
    config = load_section(
        CurationConfig, "local", "curation", ["stages.faces.min_presence=0.9", "shards.max_samples=7"]
    )
    assert config.stages.faces.min_presence == 0.9
    assert config.shards.max_samples == 7


@pytest.mark.parametrize("override", ["nonsense", "stages.faces.min_presence=high", "stages.nothing.at=1"])
def test_bad_overrides_are_one_line(override: str) -> None:
    with pytest.raises(ConfigError) as error:
        load_section(CurationConfig, "local", "curation", [override])
    assert "\n" not in str(error.value)


def test_values_out_of_range_are_refused() -> None:
    with pytest.raises(ConfigError, match="min_clip_s"):
        load_section(CurationConfig, "local", "curation", ["stages.split.min_clip_s=9"])


def test_missing_profile_lists_the_known() -> None:
    with pytest.raises(ConfigError, match="local"):
        load_section(CurationConfig, "lokal", "curation")


def test_broken_yaml(tmp_path: Path) -> None:
    path = tmp_path / "profile.yaml"
    path.write_text("curation: [")
    with pytest.raises(ConfigError, match="cannot read"):
        load_section(CurationConfig, str(path), "curation")


def test_fingerprint_follows_every_field() -> None:
    plain = StagesConfig()
    changed = build(StagesConfig, {"faces": {"min_iou": 0.31}}, "here")
    assert fingerprint(asdict(plain)) == fingerprint(asdict(StagesConfig())) != fingerprint(asdict(changed))


def test_hash_ignores_placement() -> None:
    one = build(CurationConfig, {"execution": {"max_attempts": 2}}, "here")
    assert one.hash == CurationConfig().hash


@dataclass(frozen=True, kw_only=True, slots=True)
class Small:
    """A config of our own."""

    number: int = 1


def test_types_are_checked() -> None:
    with pytest.raises(ConfigError, match="number"):
        build(Small, {"number": "many"}, "here")
