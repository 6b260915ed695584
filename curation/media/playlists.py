"""Files that are lists of other files, whatever they are called: HLS, DASH, concat scripts, SDP.

FFmpeg tells formats by content. It would open a list named `talk.mp4` as a list and read the files that it names:
another user's videos, or an address within the network. Only what the input names is ever read.
"""

from __future__ import annotations

HEAD_BYTES = 4096
MARKS = (b"#extm3u", b"ffconcat version", b"v=0\n", b"v=0\r", b"[playlist]", b"#ext-x-", b"[reference]", b"rtsptext")
"""How such files begin, in lower case."""
INSIDE = (
    b"<mpd",
    b"<compositionplaylist",
    b"<assetmap",
    b"<smil",
    b"<asx",
    b"# vobsub index file",
    b"c=in ip4",
    b"c=in ip6",
)
"""What a text that names other files holds near its beginning."""


def names_other_files(head: bytes) -> bool:
    """Whether a file that begins so (its first `HEAD_BYTES`) is a list of other files."""
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    # Containers hold zeros within their first boxes. A list is text, in which a mark may stand after a comment.
    return text.startswith(MARKS) or (b"\0" not in text and any(mark in text for mark in INSIDE))
