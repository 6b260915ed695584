"""What the columns of the index mean, for people who have the data set and nothing else of ours."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from curation.pipeline import STAGES

MEANINGS: Final = {
    "key": "the clip; its files in the shard have this name. For a source without clips, the source's key",
    "source": "the video that it comes from, as the run was given it",
    "source_key": "the source, or segment of a long one",
    "segment": "number of the segment of a long source",
    "num_segments": "into how many segments the source was cut",
    "source_duration_s": "length of the source or segment",
    "stage_seconds": "JSON: seconds that each stage took for the source",
    "pool": "`human`, or `general`: animals, animation and scenery, whose sound is dropped",
    "config_hash": "tells the settings that decided from others",
    "backends": "JSON: the method behind each stage",
    "field_order": "fields of the source's picture: progressive or interlaced",
    "color_range": "range of the source's levels",
    "color_matrix": "matrix of the source's colours",
    "color_primaries": "primaries of the source's colours",
    "color_transfer": "transfer curve of the source's colours",
    "start_s": "where the clip begins in the source",
    "end_s": "where it ends",
    "shot_start_s": "where the shot that it lies in begins",
    "shot_end_s": "where that shot ends",
    "parent_key": "of a crop: the clip that it was cropped from",
    "shot_type": "how much of the person is seen",
    "num_people": "people in the picture",
    "audio_type": "talking, singing, other sound, or unknown",
    "width": "of the picture, px",
    "height": "of the picture, px",
    "num_frames": "frames of the clip; null if it was not kept",
    "fps": "frames a second",
    "caption_brief": "the caption in a sentence; the whole caption is in the clip's JSON",
    "thumbnail": "a small JPEG of the middle",
    "content_hash": "of the clip's mp4: equal where two clips are the same file",
    "look_print": "what the clip looks like on average: 42 low frequencies, a signed byte each; null if it is blank",
    "motion_print": "how motion, brightness and contrast go, 12.5 steps a second: three rows of signed bytes",
    "sound_print": "how loudness goes, 12.5 steps a second: signed bytes; null without sound",
    "embedding_print": "DINOv2 on its keyframes, 128 random projections, a signed byte each; null if it did not run",
    "kept": "whether the clip's files are in the shard",
    "reject_stage": "the stage that rejected it",
    "reject_rule": "that stage's rule",
    "reject_value": "what was measured",
    "reject_threshold": "what it was compared with",
    "audio_reason": "`stage/rule` that dropped its sound; null where it has its sound, or never had any",
    "audio_kept": "whether the clip has its sound",
    "duplicate_of": "of a duplicate that was left out: the key of the clip that was kept in its place",
}
"""Of the columns that every row has."""

OTHER_WORDS: Final = {
    "face": "faces", "subtitle": "subtitles", "defect": "defects", "camera": "motion", "subject": "motion",
    "speech": "sync", "audio": "sync",
}  # fmt: skip
"""The stage whose scores begin with a word that is not its name."""

UNITS: Final = {
    "_deg_per_s": "degrees a second",
    "_per_s": "picture widths or heights, or shares of the size, a second",
    "_frames": "frames",
    "_heads": "heads: a number of them, or their height as the measure of a way",
    "_keyframes": "keyframes",
    "_db": "dB",
    "_s": "s",
    "_verdict": "a word",
    "_rule": "a word",
}
"""By the end of a score's name, the first that fits."""


def meaning(column: str) -> str:
    """What a column means; of a score, the stage that measured it."""
    if column in MEANINGS:
        return MEANINGS[column]
    word = column.partition("_")[0]
    stage = OTHER_WORDS.get(word, word)
    return f"score of the stage {stage}" if stage in STAGES else "score"


def unit(column: str) -> str:
    """The unit of a column; empty where its meaning says it or it has none."""
    if column in MEANINGS:
        return "s" if column.endswith("_s") else ""
    return next((unit for ending, unit in UNITS.items() if column.endswith(ending)), "")


def described(columns: Sequence[str]) -> list[tuple[str, str, str]]:
    """Name, meaning and unit of each column."""
    return [(name, meaning(name), unit(name)) for name in columns]
