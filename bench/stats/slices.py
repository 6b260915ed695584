"""Parts of the benchmark: singing against talking, one language against another, short against long."""

from __future__ import annotations

from collections.abc import Mapping


def slices(groups: Mapping[str, Mapping[str, str]]) -> dict[str, dict[str, list[str]]]:
    """Grouping → group → samples, sorted; groupings with only one group are left out.

    Args:
        groups: sample → grouping → the group that it belongs to. A sample without a grouping is in none of its groups.
    """
    found: dict[str, dict[str, list[str]]] = {}
    for sample in sorted(groups):
        for grouping, group in groups[sample].items():
            found.setdefault(grouping, {}).setdefault(group, []).append(sample)
    return {grouping: dict(sorted(parts.items())) for grouping, parts in found.items() if len(parts) > 1}
