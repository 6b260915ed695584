"""Making a study: a page with videos under opaque names, to be handed out, and a key, to be kept."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import random
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench import pages
from bench.human_study.config import StudyConfig
from bench.human_study.questions import QUESTIONS, SCALE
from bench.metrics.measured_video import file_hash
from bench.samples.samples import Sample, Tell, read_videos, untold
from bench.samples.video_files import PLAYED
from curation.pages import static_page
from infra.storage.files import write_atomically

HERE = Path(__file__).parent
DEFAULT_CONFIG = StudyConfig()


@dataclass(frozen=True, kw_only=True, slots=True)
class Trial:
    """A video to rate. An attention check has an expected answer and no method."""

    id: str
    """Opaque. Its video is `media/<id>` with the suffix of the method's file, by which browsers know the format."""
    sample: str
    method: str | None
    video: str
    """Content hash."""
    expected: int | None = None
    """For an attention check: the answer to all questions."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Key:
    """What the page must not show: which method made which video."""

    study: str
    """Hash of the whole study, by which result files of another study are recognised."""
    trials: tuple[Trial, ...]

    def to_json(self) -> str:
        """The key file."""
        return json.dumps(dataclasses.asdict(self), indent=1)

    @classmethod
    def read(cls, path: Path) -> Key:
        """A key file.

        Raises:
            ValueError: it is not a key file.
        """
        try:
            document = json.loads(path.read_text(encoding="utf-8"))
            return cls(study=document["study"], trials=tuple(Trial(**trial) for trial in document["trials"]))
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ValueError(f"{path} is not the key of a study ({error})") from error


def make_study(
    out: Path,
    samples: Mapping[str, Sample],
    methods: Mapping[str, Path],
    config: StudyConfig = DEFAULT_CONFIG,
    tell: Tell = untold,
) -> Key:
    """Write `page/` (to be handed out) and `key.json` (to be kept) into `out`.

    Only samples of which every method has a video are included, so that methods are compared on the same ones.

    Raises:
        ValueError: fewer videos than a study needs, or `out` holds another study.
    """
    videos = {method: read_videos(folder, samples, tell) for method, folder in methods.items()}
    common = [id_ for id_ in samples if all(found[id_] is not None for found in videos.values())]
    if not methods or not common:
        raise ValueError("a study needs methods, and a sample of which every method has a video")
    for method, found in videos.items():
        unplayed = sorted({path.suffix for path in found.values() if path and path.suffix.lower() not in PLAYED})
        if unplayed:
            tell(f"most browsers do not play {', '.join(unplayed)}: raters would skip videos of {method}")
    files = {(method, id_): path for method in methods for id_ in common if (path := videos[method][id_]) is not None}
    trials = _trials(files, config)
    study = _digest(json.dumps([dataclasses.asdict(config), [dataclasses.asdict(one) for one in trials]]), 16)
    page, key_path = out / "page", out / "key.json"
    if key_path.exists() and Key.read(key_path).study != study:
        raise ValueError(f"{out} holds another study; give a directory of its own to this one")
    (page / "media").mkdir(parents=True, exist_ok=True)
    shown = [_show(page, trial, samples[trial.sample], files) for trial in trials]
    write_atomically(str(page / "index.html"), _render(study, shown, config).encode())
    key = Key(study=study, trials=trials)
    write_atomically(str(key_path), key.to_json().encode())
    return key


def _trials(files: Mapping[tuple[str, str], Path], config: StudyConfig) -> tuple[Trial, ...]:
    """The trials, ordered by their opaque ids."""
    # Nobody should guess ids from the names of methods, so the draw is seeded with the videos too.
    hashes = {place: file_hash(path) for place, path in files.items()}
    chance = random.Random(f"{config.seed} {sorted(hashes.items())}")
    trials = [
        Trial(id=f"{chance.getrandbits(48):012x}", sample=sample, method=method, video=hashes[method, sample])
        for method, sample in sorted(files)
    ]
    for _ in range(config.num_checks):
        like = chance.choice(trials[: len(files)])
        expected = chance.choice([answer for answer in SCALE if answer != 3])
        # The middle, 3, is left out of the expected answers: it is what an inattentive person chooses.
        name = f"{chance.getrandbits(48):012x}"
        trials.append(Trial(id=name, sample=like.sample, method=None, video=like.video, expected=expected))
    return tuple(sorted(trials, key=lambda trial: trial.id))


def _show(page: Path, trial: Trial, sample: Sample, files: Mapping[tuple[str, str], Path]) -> dict[str, Any]:
    """A trial's data for the page; its files are copied to it."""
    source = next(
        path
        for (method, id_), path in files.items()
        if id_ == trial.sample and (method == trial.method or (trial.method is None and file_hash(path) == trial.video))
    )
    video = f"media/{trial.id}{source.suffix.lower()}"
    shutil.copyfile(source, page / video)
    image = None
    if sample.image is not None and ".png" not in sample.problems:
        image = f"media/{_digest(sample.id, 12)}.png"
        shutil.copyfile(sample.image, page / image)
    return {
        "id": trial.id,
        "video": video,
        "image": image,
        "prompts": [text for text in (sample.prompt, sample.prompt_cn) if text],
        "check": trial.expected,
    }


def _render(study: str, trials: list[dict[str, Any]], config: StudyConfig) -> str:
    template = static_page.environment(HERE).get_template("page.html.j2")
    return template.render(
        questions=QUESTIONS,
        scale=SCALE,
        num_checks=config.num_checks,
        data={
            "study": study,
            "seed": config.seed,
            "perRater": config.per_rater,
            "questions": [question.name for question in QUESTIONS],
            "trials": trials,
        },
        **static_page.look([pages.STYLE, HERE / "page.css"], [pages.SCRIPT, HERE / "page.js"]),
    )


def _digest(text: str, length: int) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:length]
