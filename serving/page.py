"""The page of the studio, on Gradio: what is asked for on one side, the video and how far it is on the other."""

import asyncio
import shutil
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any, Final

import gradio as gr
from pydantic import ValidationError

from model.weights.examples import Example
from serving.access import THIS_MACHINE, RefusedError
from serving.counter import Counter
from serving.gallery import empty_stage, gallery, stage, status
from serving.problems import first_problem
from serving.video import KeptVideo, VideoOptions

TITLE: Final = "Soul studio"
UPDATE_S: Final = 0.2
"""Between two updates of the page at least."""
DAY_S: Final = 86_400
WELCOME: Final = "The video plays here from its first clip on, while the rest is made."

Update = tuple[str, str, str | None, Any, Any, Any]
"""Stage, status, id of the video that is made, gallery, and the two buttons."""


def build_page(counter: Counter, examples: Sequence[Example], about: str) -> gr.Blocks:
    """The page.

    Args:
        counter: takes what is asked for.
        examples: what can be tried with the model.
        about: the model, in a line.
    """
    studio = _Studio(counter)
    # Filled in from the beginning, so that one press of the button makes a video.
    first = examples[0] if examples else None
    with gr.Blocks(title=TITLE, analytics_enabled=False, delete_cache=(DAY_S, DAY_S)) as page:
        making = gr.State(None)
        gr.Markdown(f"# {TITLE}\n\nA portrait and speech become a video. {about}")
        with gr.Row():
            with gr.Column():
                portrait = gr.Image(
                    first and str(first.image),
                    label="Portrait", type="filepath", sources=["upload", "clipboard"], height=260,
                )  # fmt: skip
                speech = gr.Audio(
                    first and str(first.audio),
                    label="Speech: a file, or your microphone", type="filepath", buttons=["download"],
                )  # fmt: skip
                gr.HTML('<p class="soul-note">Speech is needed: none is made of text.</p>', elem_classes="soul-flush")
                wording = first.prompt if first else VideoOptions().prompt
                prompt = gr.Textbox(wording, label="Prompt: what happens", lines=2, max_length=4000)
                with gr.Accordion("Settings", open=False):
                    with gr.Row():
                        seed = gr.Number(label="Seed", value=0, precision=0, min_width=120)
                        seconds = gr.Number(label="Length in s (0: all of the speech)", value=0, min_width=120)
                    with gr.Row():
                        steps = gr.Number(label="Steps (0: the model's)", value=0, precision=0, min_width=120)
                        size = gr.Textbox(label="Size (empty: the portrait's shape)", placeholder="WxH", min_width=120)
                with gr.Row():
                    cancel = gr.Button("Cancel", interactive=False)
                    make = gr.Button("Make video", variant="primary")
                if examples:
                    gr.Examples(
                        [[str(each.image), str(each.audio), each.prompt] for each in examples],
                        [portrait, speech, prompt],
                        example_labels=[each.name for each in examples],
                        label="Examples",
                    )
            with gr.Column():
                shown = gr.HTML(empty_stage(WELCOME), elem_classes="soul-flush")
                told = gr.HTML(elem_classes="soul-flush")
        gr.Markdown("## Made here")
        made = gr.HTML(elem_classes="soul-flush")
        asked = [portrait, speech, prompt, seed, seconds, steps, size]
        outputs = [shown, told, making, made, make, cancel]
        make.click(studio.make, asked, outputs, concurrency_limit=None, show_progress="hidden", api_name="make")
        cancel.click(studio.cancel, making, None, concurrency_limit=None, show_progress="hidden", api_name=False)
        page.load(studio.resume, None, outputs, concurrency_limit=None, show_progress="hidden", api_name=False)
    return page


class _Studio:
    """What the page does."""

    def __init__(self, counter: Counter) -> None:
        self._counter = counter

    async def make(  # noqa: PLR0917 (Gradio passes inputs by position)
        self,
        portrait: str | None,
        speech: str | None,
        prompt: str,
        seed: float | None,
        seconds: float | None,
        steps: float | None,
        size: str | None,
    ) -> AsyncIterator[Update]:
        """Make a video, and show how far it is until it has ended."""
        if portrait is None or speech is None:
            raise _mistake("Give a portrait and speech first.")
        asked = {"prompt": prompt, "seed": seed or 0, "seconds": seconds, "steps": steps, "size": (size or "").strip()}

        async def receive(folder: Path) -> VideoOptions:
            for given, name in ((portrait, "portrait"), (speech, "speech")):
                await asyncio.to_thread(shutil.copyfile, given, folder / name)
            return VideoOptions.model_validate({name: value for name, value in asked.items() if value})

        try:
            video = await self._counter.take(THIS_MACHINE, receive)
        except ValidationError as error:
            raise _mistake(first_problem(error.errors())) from error
        except (ValueError, RefusedError) as error:
            raise _mistake(str(error)) from error
        async for update in self._follow(video):
            yield update

    async def resume(self) -> AsyncIterator[Update]:
        """What a page shows that was just opened: the gallery, and the video that is being made, if there is one."""
        videos = self._counter.desk.of_client(THIS_MACHINE)
        current = next((video for video in reversed(videos) if not video.ended), None)
        if current is None:
            yield empty_stage(WELCOME), "", None, self._gallery(), *_buttons(busy=False)
            return
        async for update in self._follow(current):
            yield update

    async def cancel(self, video_id: str | None) -> None:
        """Cancel what is being made; `_follow` shows it."""
        if video_id is not None:
            await self._counter.desk.cancel(self._counter.desk.find(video_id, THIS_MACHINE))

    async def _follow(self, video: KeptVideo) -> AsyncIterator[Update]:
        desk, plays = self._counter.desk, False
        yield empty_stage(WELCOME), status(video, desk.place(video)), video.id, self._gallery(), *_buttons(busy=True)
        while not video.ended:
            # The player is left alone once it is there: put in anew, it would begin again.
            shown = gr.skip() if plays or not video.clips else stage(video)
            plays = plays or bool(video.clips)
            yield shown, status(video, desk.place(video)), video.id, gr.skip(), gr.skip(), gr.skip()
            await asyncio.sleep(UPDATE_S)
            if not video.ended:
                await desk.changed(video)
        shown = gr.skip() if plays and video.state == "done" else _last_stage(video)
        yield shown, status(video, None), None, self._gallery(), *_buttons(busy=False)

    def _gallery(self) -> str:
        return gallery(self._counter.desk.of_client(THIS_MACHINE))


def _last_stage(video: KeptVideo) -> str:
    return stage(video) if video.state == "done" else empty_stage(WELCOME)


def _buttons(*, busy: bool) -> tuple[Any, Any]:
    return gr.update(interactive=not busy), gr.update(interactive=busy)


def _mistake(message: str) -> gr.Error:
    return gr.Error(message[:1].upper() + message[1:], print_exception=False)
