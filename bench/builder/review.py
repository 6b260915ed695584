"""The page on which people sign samples off: a folder that works offline."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from bench import pages
from bench.builder.build import IMAGE, SOUND, Build
from bench.builder.candidates import CHECKS, Candidate, Standing, candidates, sign_offs
from curation.pages import static_page
from infra.storage.files import write_atomically

HERE: Final = Path(__file__).parent
TEXTS: Final = {"message": "message", "en_prompt": "scene, English", "cn_prompt": "scene, Chinese"}
FACTS: Final = ("gender", "nationality", "speaking_language", "personality")
"""Fields of a sample that reviewers are shown in one line, after the age."""


def write_page(build: Build, *, only_open: bool = False) -> int:
    """Write `review/`, which is to be handed out as a whole; returns how many samples it shows.

    Args:
        build: whose candidates are shown.
        only_open: leave out samples that are signed or rejected already.

    Raises:
        ValueError: there is nothing to show, or a file of a sample is missing.
    """
    shown = candidates(build)
    if only_open:
        standing = sign_offs(shown, build.state.signed, build.spec.num_reviewers)
        shown = {id_: one for id_, one in shown.items() if standing[id_].standing is Standing.OPEN}
    if not shown:
        raise ValueError("no sample waits for people; `build run` and `build add` make some")
    folder = build.directory.review
    (folder / "media").mkdir(parents=True, exist_ok=True)
    samples = [_show(folder, candidate) for candidate in shown.values()]
    write_atomically(str(folder / "index.html"), _render(build, samples).encode())
    for path in (folder / "media").iterdir():
        if not any(f"media/{path.name}" in sample.values() for sample in samples):
            path.unlink()
    return len(samples)


def _show(folder: Path, candidate: Candidate) -> dict[str, Any]:
    """A sample's data for the page; its files are copied to it, under names that change with their content."""
    files = {IMAGE: (candidate.image, candidate.image_content), SOUND: (candidate.sound, candidate.sound_content)}
    names = {suffix: f"media/{content[:16]}.{suffix}" for suffix, (_, content) in files.items()}
    for suffix, (path, _) in files.items():
        if not path.is_file():
            raise ValueError(f"{candidate.id}: {path} is missing")
        shutil.copyfile(path, folder / names[suffix])
    return {
        "id": candidate.id,
        "content": candidate.content,
        "image": names[IMAGE],
        "sound": names[SOUND],
        "facts": _facts(candidate.texts),
        "texts": [(title, candidate.texts[name], _language(name)) for name, title in TEXTS.items()],
    }


def _language(name: str) -> str:
    """Language of a text, for the browser's choice of font; empty for a message, which may be Japanese."""
    return {"en_prompt": "en", "cn_prompt": "zh"}.get(name, "")


def _facts(texts: Mapping[str, Any]) -> str:
    told = [str(texts[name]) for name in FACTS if texts[name] not in {"", "unknown"}]
    return " · ".join([f"{texts['age']} years", *told] if texts["age"] != "unknown" else told)


def _render(build: Build, samples: list[dict[str, Any]]) -> str:
    template = static_page.environment(HERE).get_template("review.html.j2")
    return template.render(
        name=build.spec.name,
        checks=CHECKS,
        data={"form": build.plan, "checks": [check.name for check in CHECKS], "samples": samples},
        **static_page.look([pages.STYLE, HERE / "review.css"], [pages.SCRIPT, HERE / "review.js"]),
    )
