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


@dataclass(frozen=True, kw_only=True, slots=True)
class Span:
    """From and to."""

    low: int
    high: int

    def __post_init__(self) -> None:
        """Refuse a span that ends before it begins."""
        if self.low > self.high:
            raise ValueError("low must not be above high")


@dataclass(frozen=True, kw_only=True, slots=True)
class Part:
    """Has a union."""

    size: int | Span | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Whole:
    """Has several of them."""

    parts: tuple[Part, ...] = ()


def whole(size: object) -> Whole:
    return build(Whole, {"parts": [{"size": 1}, {"size": size}]}, "here")


def test_a_number_or_a_mapping() -> None:
    assert whole(3).parts[1].size == 3
    assert whole(None).parts[1].size is None
    assert whole({"low": 1, "high": 2}).parts[1].size == Span(low=1, high=2)


@pytest.mark.parametrize(
    ("size", "line"),
    [
        ("many", r"here.parts.1.size: Input should be a valid integer.*, or a mapping"),
        ({"low": 1, "hihg": 2}, r"here.parts\[1\].size: unknown key 'hihg', did you mean 'high'\?"),
        ({"low": 1}, r"here.parts.1.size.high: Field required"),
        ({"low": 1, "high": "x"}, r"here.parts.1.size.high: Input should be a valid integer.*"),
        ({"low": 3, "high": 2}, r"here.parts.1.size: low must not be above high"),
        ([1, 2], r"here.parts.1.size: Input should be a valid integer, or a mapping"),
    ],
)
def test_what_is_wrong_with_a_number_or_a_mapping_is_said_of_the_one_that_was_meant(size: object, line: str) -> None:
    with pytest.raises(ConfigError, match=rf"\A{line}\Z"):
        whole(size)


def write(path: Path, text: str) -> str:
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    return str(path)


def test_a_profile_is_laid_over_the_one_that_it_extends(tmp_path: Path) -> None:
    write(tmp_path / "base.yaml", "curation: {shards: {max_samples: 7}, stages: {faces: {min_presence: 0.5}}}")
    write(tmp_path / "deep" / "middle.yaml", "extends: ../base.yaml\ncuration: {stages: {faces: {min_iou: 0.31}}}")
    top = write(tmp_path / "top.yaml", "extends: deep/middle.yaml\ncuration: {stages: {faces: {min_presence: 0.9}}}")
    config = load_section(CurationConfig, top, "curation")
    assert (config.stages.faces.min_presence, config.stages.faces.min_iou) == (0.9, 0.31)
    assert config.shards.max_samples == 7
    assert load_section(CurationConfig, top, "curation", ["stages.faces.min_iou=0.4"]).stages.faces.min_iou == 0.4


def test_a_profile_may_extend_one_of_ours_by_name(tmp_path: Path) -> None:
    own = write(tmp_path / "own.yaml", "extends: local\ncuration: {shards: {max_samples: 7}}")
    config = load_section(CurationConfig, own, "curation")
    assert (config.execution.pools[0].num_cpus, config.shards.max_samples) == (0.8, 7)


@pytest.mark.parametrize(
    ("files", "line"),
    [
        ({"a": "extends: a.yaml"}, "profiles extend each other in a circle: a.yaml -> a.yaml"),
        (
            {"a": "extends: b.yaml", "b": "extends: c.yaml", "c": "extends: b.yaml"},
            "profiles extend each other in a circle: b.yaml -> c.yaml -> b.yaml",
        ),
        ({"a": "extends: [b.yaml]"}, r".*/a.yaml: extends: expected the name of a profile, found \['b.yaml'\]"),
        ({"a": "extends: lokal"}, "no profile 'lokal'; there are local, .*"),
    ],
)
def test_what_cannot_be_extended_is_one_line(files: dict[str, str], line: str, tmp_path: Path) -> None:
    for name, text in files.items():
        write(tmp_path / f"{name}.yaml", text)
    with pytest.raises(ConfigError, match=rf"\A{line}\Z"):
        load_section(CurationConfig, str(tmp_path / "a.yaml"), "curation")
