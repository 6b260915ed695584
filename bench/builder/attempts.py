"""Taking a slot through its steps until it is approved or given up. Each finished step is written to the ledger."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.builder.build import IMAGE, SOUND, Build, holds, store
from bench.builder.failure import StepFailedError
from bench.builder.image import draw, read_image
from bench.builder.ledger import Entry, Kind
from bench.builder.speech import speak, voice
from bench.builder.state import STEPS, Attempt, Slot
from bench.builder.texts import PROMPT_VERSION as WRITER_VERSION
from bench.builder.texts import AttemptFailure, Texts, write_texts
from bench.builder.verdict import PROMPT_VERSION as JUDGE_VERSION
from bench.builder.verdict import judge
from infra.served.endpoint import NotNowError

FILES = {Kind.SPOKEN: SOUND, Kind.PICTURED: IMAGE}
Told = Callable[[Kind, Exception | None], bool]
"""Called after each request with its step and the error, if any; returns whether to go on."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Maker:
    """Makes samples of a build."""

    build: Build

    def finish(self, slot: Slot, told: Told) -> None:
        """Go on with a slot until it is approved or given up, or `told` says to stop.

        Raises:
            NotNowError: a server gave no answer. The ledger records it; another run asks for the step again.
        """
        is_going_on = True
        while is_going_on and slot.is_open(self.build.spec.max_attempts):
            attempt = slot.current
            step = self._next(slot, attempt)
            try:
                data = self._do(step, slot, attempt)
            except StepFailedError as error:
                failure = AttemptFailure(step=STEPS[step], reason=error.reason, detail=error.detail)
                self._note(slot, attempt, Kind.FAILED, dataclasses.asdict(failure))
                is_going_on = told(step, error)
            except NotNowError as error:
                problem = f"{error}" + (f" ({error.told})" if error.told else "")
                self._note(slot, attempt, Kind.SILENT, {"step": STEPS[step], "problem": problem})
                told(step, error)
                raise
            else:
                self._note(slot, attempt, step, data)
                is_going_on = told(step, None)

    def _next(self, slot: Slot, attempt: Attempt) -> Kind:
        """The first step that is not finished, or whose file has changed since."""
        for step in STEPS:
            done = attempt.done.get(step)
            if done is None:
                return step
            if step in FILES and not holds(self._file(slot, attempt, step), done["content"]):
                return step
        raise AssertionError("a slot whose steps are all finished is approved or has failed")

    def _do(self, step: Kind, slot: Slot, attempt: Attempt) -> dict[str, Any]:
        seed = request_seed(self.build.spec.seed, slot.brief.number, attempt.number)
        if step is Kind.WRITTEN:
            return self._write(slot, seed)
        texts = Texts(**attempt.done[Kind.WRITTEN]["texts"])
        if step is Kind.SPOKEN:
            return self._speak(slot, attempt, texts)
        if step is Kind.PICTURED:
            return self._draw(slot, attempt, texts, seed)
        return self._judge(slot, attempt, texts, seed)

    def _write(self, slot: Slot, seed: int) -> dict[str, Any]:
        config = self.build.spec.writer
        texts = write_texts(config, slot.brief, slot.failures, seed)
        return {"texts": texts.model_dump(), "model": config.model, "prompt_version": WRITER_VERSION}

    def _speak(self, slot: Slot, attempt: Attempt, texts: Texts) -> dict[str, Any]:
        config = self.build.spec.speech
        sound = speak(config, slot.brief, texts.message)
        content = store(self._file(slot, attempt, Kind.SPOKEN), sound.to_wav())
        model = config.singing_model if slot.brief.mode == "sing" else config.model
        made = {"model": model, "voice": voice(config, slot.brief), "duration_s": round(sound.duration_s, 3)}
        return {"content": content, **made, "sample_rate_hz": sound.sample_rate_hz}

    def _draw(self, slot: Slot, attempt: Attempt, texts: Texts, seed: int) -> dict[str, Any]:
        config = self.build.spec.image
        image = draw(config, slot.brief, texts.image_prompt, seed)
        content = store(self._file(slot, attempt, Kind.PICTURED), image.png)
        return {"content": content, "model": config.model, "size": list(image.size), "seed": seed}

    def _judge(self, slot: Slot, attempt: Attempt, texts: Texts, seed: int) -> dict[str, Any]:
        config = self.build.spec.verdict
        pixels = read_image(self._file(slot, attempt, Kind.PICTURED).read_bytes()).pixels
        duration_s = float(attempt.done[Kind.SPOKEN]["duration_s"])
        verdict = judge(config, slot.brief, texts, pixels=pixels, duration_s=duration_s, seed=seed)
        return {
            "passed": verdict.passes(config.min_grade),
            "approved": verdict.approved,
            "grades": verdict.grades,
            "reason": verdict.reason,
            "model": config.model,
            "prompt_version": JUDGE_VERSION,
        }

    def _file(self, slot: Slot, attempt: Attempt, step: Kind) -> Path:
        return self.build.directory.attempt_file(slot.brief.id, attempt.number, FILES[step])

    def _note(self, slot: Slot, attempt: Attempt, kind: Kind, data: Mapping[str, Any]) -> None:
        entry = Entry(kind=kind, sample=slot.brief.id, attempt=attempt.number, data=data)
        self.build.ledger.append([entry])
        slot.note(entry)


def request_seed(seed: int, number: int, attempt: int) -> int:
    """A seed below 2³¹ for the requests of an attempt: each attempt has its own, and repeats of a request share it."""
    digest = hashlib.sha256(f"{seed} {number} {attempt}".encode()).digest()
    return int.from_bytes(digest[:4], "big") >> 1
