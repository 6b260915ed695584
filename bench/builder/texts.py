"""Writing a sample's texts: for the image, the speech and the video (paper, Sec. 4.2, step 1)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from bench.builder.briefs import Brief
from bench.builder.failure import StepFailedError
from bench.builder.shares import span
from bench.builder.spec import WriterConfig
from bench.builder.structured_output import Reply, ask

PROMPT_VERSION: Final = "1"
"""Raised whenever a word of the instructions changes."""
INSTRUCTIONS: Final = """\
You prepare test cases for systems that turn one still image, one sound recording and one description into a video in \
which the subject of the image talks or sings. You are given a brief and invent one case that fits all of it. Be \
concrete and varied; avoid clichés, real people, brands, lettering in the image, violence and anything indecent.

Reply with JSON:
- image_prompt: English, for a text-to-image model. One subject only, facing the camera or nearly so, the mouth \
closed or nearly so, unobstructed and well lit. Name the framing, looks, clothes, surroundings, light and style. A \
portrait shows head and shoulders, an upper body ends at the waist, a full body shows the feet.
- message: what the subject says, or the words of the song, in the language asked for, in the first person, natural \
when read aloud: no stage directions, no emojis, no abbreviations, digits written as words. Its length matters: the \
recording must last as long as the brief says.
- en_prompt: English description of the video: who is seen and what they do while they talk or sing, with gestures, \
expression, handling of the object where there is one, surroundings and camera. It must agree with the image and be \
possible in one continuous shot. Keep to the number of words.
- cn_prompt: the same description in Chinese.
- age: in years, within the brief's band where it has one.
- nationality: one word, English; "unknown" where it makes no sense.
- hobbies: two to five, English.
- personality: three to five adjectives, English.
"""
LETTERS_PER_WORD: Final = 5.8
"""Of English messages, spaces and punctuation included; measured on the public set."""
MODES: Final = {"talk": "talks to the camera", "sing": "sings"}
SHOTS: Final = {"portrait": "portrait", "upper_body": "upper body", "full_body": "full body"}


class Texts(Reply):
    """The texts of one test case."""

    image_prompt: str
    message: str
    en_prompt: str
    cn_prompt: str
    age: int
    nationality: str
    hobbies: list[str]
    personality: str


@dataclass(frozen=True, kw_only=True, slots=True)
class AttemptFailure:
    """Why an attempt failed."""

    step: str
    reason: str
    detail: str = ""

    def __str__(self) -> str:
        return f"{self.step}: {self.reason}" + (f" ({self.detail})" if self.detail else "")


def write_texts(config: WriterConfig, brief: Brief, failures: Sequence[AttemptFailure], seed: int) -> Texts:
    """Texts that fit the brief.

    Args:
        config: of the writer.
        brief: what to write.
        failures: of the attempts before this one; the request includes them.
        seed: of sampling.

    Raises:
        StepFailedError: the model gave no texts, or they do not fit.
        NotNowError: the server gave no answer.
    """
    messages = [
        {"role": "system", "content": INSTRUCTIONS},
        {"role": "user", "content": _request(config, brief, failures)},
    ]
    texts = ask(config, Texts, messages, temperature=config.temperature, max_tokens=config.max_tokens, seed=seed)
    check_texts(config, brief, texts)
    return texts


def public_texts(brief: Brief, texts: Texts) -> dict[str, Any]:
    """The JSON of a sample, in the fields of the public set."""
    return {
        "gender": brief.gender,
        "age": texts.age,
        "nationality": texts.nationality,
        "speaking_language": brief.speaking_language,
        "hobbies": texts.hobbies,
        "personality": texts.personality,
        "message": texts.message,
        "source": "generated",
        "cn_prompt": texts.cn_prompt,
        "en_prompt": texts.en_prompt,
        "main_character": brief.category,
    }


def check_texts(config: WriterConfig, brief: Brief, texts: Texts) -> None:
    """Check that texts fit the brief, as far as counting can show it.

    Raises:
        StepFailedError: they do not.
    """
    empty = [name for name, value in texts.model_dump().items() if value in ("", [])]
    if empty:
        raise StepFailedError(f"no {empty[0]}")
    wanted = letters(config, brief)
    if not _near(len(texts.message), wanted, wanted, config.length_tolerance):
        found = f"{len(texts.message)} letters instead of about {wanted}"
        raise StepFailedError("the message has not the length asked for", found)
    if is_chinese(texts.message) != (brief.language == "cn"):
        raise StepFailedError(f"the message is not {brief.speaking_language}")
    if is_chinese(texts.en_prompt) or is_chinese(texts.image_prompt) or not is_chinese(texts.cn_prompt):
        raise StepFailedError("a prompt is not in its language")
    words = len(texts.en_prompt.split())
    if not _near(words, *brief.prompt_words, config.words_tolerance):
        raise StepFailedError("the English prompt has not the length asked for", f"{words} words")
    if brief.age and not _near(texts.age, *span(brief.age), 0.0):
        raise StepFailedError("the age is not in the band asked for", f"{texts.age} years")


def letters(config: WriterConfig, brief: Brief) -> int:
    """How many letters the message should have."""
    return round(brief.aim_s * config.letters_per_s[brief.language])


def is_chinese(text: str) -> bool:
    """Whether more than a third of the letters are Han characters."""
    found = [letter for letter in text if letter.isalpha()]
    return 3 * sum("\u4e00" <= letter <= "\u9fff" for letter in found) > len(found)


def describe(brief: Brief) -> str:
    """The brief in words, a line each."""
    lines = {
        "subject": brief.subject if brief.subject != "animation" else "an animated character",
        "gender": brief.gender if brief.gender != "unknown" else "",
        "age": f"{brief.age} years" if brief.age else "",
        "style": brief.style,
        "framing": SHOTS[brief.shot],
        "wears": brief.accessories,
        "place": brief.environment,
        "touches or holds": brief.objects,
        "does": MODES[brief.mode],
        "language": brief.speaking_language,
        "image size": f"{brief.size[0]} x {brief.size[1]} pixels",
    }
    return "\n".join(f"{name}: {value}" for name, value in lines.items() if value)


def _request(config: WriterConfig, brief: Brief, failures: Sequence[AttemptFailure]) -> str:
    low, high = brief.prompt_words
    wanted = letters(config, brief)
    # Models count words better than letters. In Chinese each letter counts as a word.
    words = f" (some {round(wanted / LETTERS_PER_WORD)} words)" if brief.language == "en" else ""
    text = (
        f"Brief number {brief.number}\n{describe(brief)}\n"
        f"message: about {wanted} letters{words}, to last {brief.aim_s:g} seconds\n"
        f"en_prompt: {low:g} to {high:g} words"
    )
    if not failures:
        return text
    told = "\n".join(f"- {failure}" for failure in failures)
    return f"{text}\n\nEarlier attempts were rejected. Write a different case that avoids this:\n{told}"


def _near(value: float, low: float, high: float, tolerance: float) -> bool:
    return low * (1 - tolerance) <= value <= high * (1 + tolerance)
