"""The alert rules: valid, and each fires when it should and not otherwise, by Prometheus' own tool."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from infra.monitoring.prometheus import RULES

TESTS = Path(__file__).parent / "rules"
FILES = sorted(RULES.glob("*.yaml"))
ALERTS = [rule for path in FILES for group in yaml.safe_load(path.read_text())["groups"] for rule in group["rules"]]
needs_promtool = pytest.mark.skipif(shutil.which("promtool") is None, reason="no promtool: make test-tools")


def promtool(*words: str) -> str:
    ran = subprocess.run(["promtool", *words], capture_output=True, text=True, timeout=120, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout + ran.stderr


@needs_promtool
def test_the_rules_are_valid() -> None:
    said = promtool("check", "rules", *map(str, FILES))
    assert said.count("SUCCESS") == len(FILES) == 4


@needs_promtool
@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_alerts_fire_when_they_should_and_then_no_longer(path: Path) -> None:
    promtool("test", "rules", str(TESTS / path.name))


@needs_promtool
def test_the_tool_tells_when_a_rule_is_wrong(tmp_path: Path) -> None:
    rules = (RULES / "machines.yaml").read_text()
    assert "< 0.1" in rules
    (tmp_path / "machines.yaml").write_text(rules.replace("< 0.1", "< 0.01"))
    expected = yaml.safe_load((TESTS / "machines.yaml").read_text())
    expected["rule_files"] = [str(tmp_path / "machines.yaml")]
    (tmp_path / "test.yaml").write_text(yaml.safe_dump(expected))
    ran = subprocess.run(
        ["promtool", "test", "rules", str(tmp_path / "test.yaml")], capture_output=True, timeout=120, check=False
    )
    assert ran.returncode != 0


def asked(alert: str) -> list[dict[str, Any]]:
    """The moments at which the tests look at an alert, in order."""
    cases = [case for path in sorted(TESTS.glob("*.yaml")) for case in yaml.safe_load(path.read_text())["tests"]]
    return [each for case in cases for each in case["alert_rule_test"] if each["alertname"] == alert]


@pytest.mark.parametrize("rule", ALERTS, ids=lambda rule: rule["alert"])
def test_each_alert_is_seen_to_fire_and_to_resolve(rule: dict[str, Any]) -> None:
    looks = asked(rule["alert"])
    fires = [number for number, look in enumerate(looks) if look["exp_alerts"]]
    assert fires, "it never fires"
    assert any(not look["exp_alerts"] for look in looks[fires[0] :]), "it is not seen to resolve"


@pytest.mark.parametrize("rule", ALERTS, ids=lambda rule: rule["alert"])
def test_each_alert_says_what_is_wrong_and_what_to_do(rule: dict[str, Any]) -> None:
    assert re.fullmatch(r"Soul[A-Za-z]+", rule["alert"])
    assert rule["labels"]["severity"] in {"info", "warning", "critical"}
    assert set(rule["annotations"]) == {"summary", "action"}
