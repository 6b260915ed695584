"""A small study with stand-in files, and raters of known taste."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench.human_study.kit import Key, Trial
from bench.human_study.merging import NAMES
from bench.samples.samples import Sample

METHODS = ("Alpha", "Beta")
Taste = Callable[[Trial], int]


def given(folder: Path, num_samples: int = 4) -> tuple[dict[str, Sample], dict[str, Path]]:
    """Samples without pictures, and a directory of videos for each method."""
    ids = [f"{index:04d}_human_talk_en_male" for index in range(num_samples)]
    methods = {method: folder / "videos" / method for method in METHODS}
    for method, place in methods.items():
        place.mkdir(parents=True)
        for id_ in ids:
            (place / f"{id_}.mp4").write_text(f"{method} {id_}")
    return {id_: Sample(id=id_, prompt=f"He talks, {id_}.", prompt_cn="他在说话") for id_ in ids}, methods


def page_data(page: Path) -> Any:
    """The JSON block of the page, as its script reads it."""
    html = (page / "index.html").read_text()
    return json.loads(html.partition('id="data">')[2].partition("</script>")[0])


def answer(page: Path, rater: str, key: Key, taste: Taste, *, is_attentive: bool = True) -> dict[str, Any]:
    """The document that the page would offer for download."""
    data = page_data(page)
    methods = {trial.id: trial for trial in key.trials}
    answers = []
    for trial in data["trials"]:
        value = taste(methods[trial["id"]]) if trial["check"] is None else trial["check"]
        value = 3 if trial["check"] is not None and not is_attentive else value
        answers.append({"trial": trial["id"], "ratings": dict.fromkeys(NAMES, value), "seconds": 12.5})
    order = [trial["id"] for trial in data["trials"]]
    return {
        "version": 1,
        "study": data["study"],
        "rater": rater,
        "started": "2026-01-01T00:00:00Z",
        "finished": "2026-01-01T00:10:00Z",
        "order": order,
        "answers": answers,
    }
