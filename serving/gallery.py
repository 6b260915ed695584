"""What the page shows of videos, as HTML: how far one is, the one that plays, and those that were made."""

from __future__ import annotations

import time
from collections.abc import Iterable
from html import escape
from typing import Final

from serving.video import KeptVideo

SHOWN: Final = 24
"""Videos of the gallery at most, the newest."""

CSS: Final = """
.soul-flush, .soul-flush > div { padding: 0 !important; margin: 0 !important; }
.soul-stage { min-height: 16rem; display: grid; place-items: center; border: 1px solid var(--border-color-primary);
  border-radius: var(--radius-lg); background: var(--background-fill-secondary); overflow: hidden; }
.soul-stage video { width: 100%; max-height: 70vh; display: block; background: #000; }
.soul-stage p { color: var(--body-text-color); opacity: .75; padding: 1rem; margin: 0; text-align: center; }
.soul-status { display: grid; gap: .4rem; font-variant-numeric: tabular-nums; }
.soul-status progress { width: 100%; height: .6rem; accent-color: var(--primary-500); }
.soul-status .failed { color: var(--error-text-color, #b91c1c); }
.soul-gallery { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(14rem, 100%), 1fr)); gap: 1rem; }
.soul-gallery figure { margin: 0; border: 1px solid var(--border-color-primary); border-radius: var(--radius-lg);
  overflow: hidden; background: var(--background-fill-secondary); }
.soul-gallery video { width: 100%; aspect-ratio: 1; object-fit: contain; display: block; background: #000; }
.soul-gallery figcaption { padding: .6rem .75rem; display: grid; gap: .25rem; overflow-wrap: anywhere; }
.soul-gallery small { color: var(--body-text-color); opacity: .75; }
.soul-note { color: var(--body-text-color); opacity: .75; margin: 0; }
"""


def empty_stage(message: str) -> str:
    """The place of the video while there is none."""
    return f'<div class="soul-stage"><p>{escape(message)}</p></div>'


def stage(video: KeptVideo) -> str:
    """The video that plays: its stream while it is made; when that ends the finished file, in which one can seek."""
    path = f"/v1/videos/{video.id}"
    if video.state == "done":
        return f'<div class="soul-stage"><video src="{path}/content" controls autoplay></video></div>'
    seekable = f"this.onended=null;this.src='{path}/content'"
    return f'<div class="soul-stage"><video src="{path}/stream" controls autoplay onended="{seekable}"></video></div>'


def status(video: KeptVideo, place: int | None) -> str:
    """How far a video is, in a line, with a bar."""
    if video.state == "queued":
        line = "waits for its turn" if place in {None, 1} else f"waits: {place - 1} before it"
        return _status(line, "<progress></progress>")
    if video.state == "running":
        bar = f'<progress max="{video.num_steps}" value="{video.steps}"></progress>'
        return _status(f"clip {min(video.clips + 1, video.num_clips or 1)} of {video.num_clips}", bar)
    if video.state == "done":
        seconds = (video.ended_at or 0.0) - (video.started_at or 0.0)
        link = f'<a href="/v1/videos/{video.id}/content" download="{video.id}.mp4">Save it</a>'
        made = f"{video.seconds:.1f} s of video, made in {seconds:.0f} s."
        return f'<div class="soul-status"><span>{made} {link}</span></div>'
    reason = f": {video.error}" if video.error else ""
    return f'<div class="soul-status"><span class="{video.state}">{escape(video.state + reason)}</span></div>'


def gallery(videos: Iterable[KeptVideo]) -> str:
    """The videos that were made, the newest first, each with its settings."""
    made = [video for video in videos if video.state == "done"]
    if not made:
        return '<p class="soul-note">Nothing has been made yet.</p>'
    more = f'<p class="soul-note">The newest {SHOWN} of {len(made)}.</p>' if len(made) > SHOWN else ""
    return f'<div class="soul-gallery">{"".join(map(_card, made[:SHOWN]))}</div>{more}'


def _card(video: KeptVideo) -> str:
    asked = video.options.model_dump(exclude={"prompt", "size", "area"}, exclude_none=True)
    settings = [f"{name.replace('_', ' ')} {value}" for name, value in asked.items() if name != "seconds"]
    when = time.strftime("%d %b %Y, %H:%M", time.localtime(video.created_at))
    facts = " · ".join([f"{video.seconds:.1f} s", f"{video.width}×{video.height}", *settings])
    return (
        f'<figure><video src="/v1/videos/{video.id}/content#t=0.1" controls preload="metadata"></video>'
        f"<figcaption>{escape(video.options.prompt)}<small>{escape(facts)}</small><small>{when}</small></figcaption>"
        "</figure>"
    )


def _status(line: str, more: str) -> str:
    return f'<div class="soul-status"><span>{escape(line)}</span>{more}</div>'
