"""What goes wrong with a media file, as a short rule that records can hold."""

from __future__ import annotations


class MediaError(Exception):
    """A file that cannot be read as video; `rule` is the short reason that goes into records.

    Rules: `missing`, `no_permission`, `empty_file`, `unreadable` (no container), `no_video_stream`, `undecodable`,
    `times_go_back` and `times_jump` (pictures whose times run backwards, or a minute and more ahead), `picture_changes`
    (to another size on the way).
    """

    def __init__(self, rule: str, detail: str) -> None:
        super().__init__(f"{rule}: {detail}")
        self.rule = rule
        self.detail = detail
