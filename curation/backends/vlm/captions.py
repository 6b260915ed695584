"""Captions by Qwen3-VL: specialised questions for the attributes, then the texts (paper, Sec. 4.1)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Final, cast

from pydantic import BaseModel, BeforeValidator, Field, create_model

from curation.backends.caption.captioner import CaptionError, Described
from curation.backends.vlm.asking import Answered, NoValidReplyError, Question, VlmClient, first_then_rest
from curation.backends.vlm.clip_video import ClipVideo
from curation.backends.vlm.config import VlmConfig
from curation.backends.vlm.prompts import load_prompt, wording_of
from curation.clip.caption import NONE, TEXTS, Caption, Event, Strict, confirmed, with_labels
from curation.clip.schema import Clip

STAGE: Final = "caption"
SYSTEM: Final = "system"
QUESTIONS: Final[Mapping[str, tuple[str, ...]]] = {
    "scene": ("scene", "style", "lighting"),
    "shot": ("shot_type", "num_people"),
    "action": ("human_action",),
    "hands": ("hand_gesture", "object_interaction"),
    "motion": ("movement_direction", "camera_movement"),
}
"""Specialised prompt → the attributes that it asks for; together they are asked for because they are told apart by the
same look at the frames."""
EVENTS: Final = "events"
PROMPTS: Final = (SYSTEM, *QUESTIONS, EVENTS, *TEXTS)
MAX_EVENTS: Final = 8


@dataclass(frozen=True, kw_only=True, slots=True)
class VlmCaptionerConfig(VlmConfig):
    """Which model describes clips, and what it is asked for."""

    model: str = "Qwen/Qwen3-VL-30B-A3B-Instruct"
    """Name under which it is served. The paper uses Qwen3-VL and does not say which size."""
    events: bool = False
    """Ask also for the events around people, with their times."""
    wording: str = field(default_factory=lambda: wording_of(PROMPTS), init=False)
    """Of the prompts: other words are other captions."""


class VlmCaptioner:
    """Asks a vision-language model for each group of attributes, then for the texts that follow from them."""

    def __init__(self, config: VlmCaptionerConfig) -> None:
        self.config = config
        self.client = VlmClient(config)
        self.questions = [_question(name, kind) for name, kind in KINDS.items() if config.events or name != EVENTS]

    def caption(self, clip: Clip, labels: Mapping[str, str]) -> Described:
        """The caption, with all that the model said.

        Raises:
            CaptionError: a question got no valid reply, or there are no keyframes to show.
            LabelError: a label does not fit its attribute.
            MachineFaultError: the server stays away or refuses requests.
        """
        if not clip.keyframes:
            raise CaptionError("the clip has no keyframes to show")
        with_labels(Caption(**dict.fromkeys(TEXTS, NONE)), labels)  # a wrong label is found before anything is asked
        video = ClipVideo.of(clip, self.config)
        try:
            answers = first_then_rest(lambda question: self.client.ask(video, question), self.questions)
            values = _merged(answers)
            events = _on_the_clip(values.pop(EVENTS, ()), video, clip)
            # The texts are about the attributes that stand, so labels come first. The placeholders are never seen.
            attributes = with_labels(Caption.model_validate({**values, **dict.fromkeys(TEXTS, NONE)}), labels)
            listed = json.dumps(confirmed(attributes), ensure_ascii=False, indent=1)
            texts = first_then_rest(
                lambda name: self.client.ask(video, _question(name, TEXT_KINDS[name], attributes=listed)), TEXTS
            )
        except NoValidReplyError as error:
            raise CaptionError(str(error), error.replies) from error
        caption = attributes.model_copy(update={**_merged(texts), EVENTS: events})
        replies = tuple(reply for answered in (*answers, *texts) for reply in answered.replies)
        return Described(caption=caption, replies=replies)


def _lower_none(value: Any) -> Any:
    """Models write the word for what cannot be confirmed in their own way: "None.", "N/A"."""
    return NONE if isinstance(value, str) and value.strip().rstrip(".").lower() in (NONE, "n/a") else value


def _kind(name: str, fields: tuple[str, ...]) -> type[BaseModel]:
    """The part of a caption that one question fills, with every field required."""
    return cast("type[BaseModel]", create_model(name, __base__=Strict, **{each: _required(each) for each in fields}))


def _required(name: str) -> Any:
    info = Caption.model_fields[name]
    if name == "human_action":
        parts: Any = {part: _required_text(field.annotation, field.metadata) for part, field in _PARTS.items()}
        return create_model("HumanAction", __base__=Strict, **parts), ...
    return _required_text(info.annotation, info.metadata)


def _required_text(annotation: Any, metadata: list[Any]) -> Any:
    return Annotated[(annotation, *metadata, BeforeValidator(_lower_none))], ...


_PARTS = cast("type[BaseModel]", Caption.model_fields["human_action"].annotation).model_fields


class _Events(Strict):
    events: Annotated[tuple[Event, ...], Field(max_length=MAX_EVENTS)]


KINDS: Final[Mapping[str, type[BaseModel]]] = {
    **{name: _kind(name, fields) for name, fields in QUESTIONS.items()},
    EVENTS: _Events,
}
TEXT_KINDS: Final[Mapping[str, type[BaseModel]]] = {name: _kind(name, (name,)) for name in TEXTS}


def _question(name: str, kind: type[BaseModel], **filled_in: str) -> Question[BaseModel]:
    prompt = load_prompt(name)
    return Question(
        stage=STAGE,
        prompt=name,
        version=prompt.version,
        text=prompt.listed.format(**filled_in),
        kind=kind,
        system=load_prompt(SYSTEM).text.strip(),
    )


def _merged(answers: list[Answered[BaseModel]]) -> dict[str, Any]:
    return {name: value for answered in answers for name, value in answered.value.model_dump().items()}


def _on_the_clip(events: Any, video: ClipVideo, clip: Clip) -> tuple[Event, ...]:
    """Events from the model's clock, which starts with the first frame that it is shown, on the clip's."""
    found = [Event.model_validate(event) for event in events]
    moved = (
        (
            round(max(0.0, event.start_s + video.begins_s), 3),
            round(min(event.end_s + video.begins_s, clip.duration_s), 3),
            event.label,
        )
        for event in found
    )
    # What begins at the clip's end or later is not in it.
    return tuple(Event(start_s=start, end_s=end, label=label) for start, end, label in sorted(moved) if start < end)
